"""A PostgreSQL server of the tests' own, and processes that share a run on it."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

PASSWORD = "s3cret {of} 7%"
TIMEOUT = 180

DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from atom_nas import cli
from atom_nas.cluster import server
from atom_nas.export import folder
from atom_nas.report import page

folder.FORMATS, page.draw_all = {}, lambda results: []  # seconds that no row depends on
server.HEARTBEAT, server.GRACE, server.PATIENCE = 1, 10, float(sys.argv[1])
cli.main(sys.argv[2:])
"""


def programs():
    """Return the folder of PostgreSQL's programs, or None where it is not installed."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return versions[-1] if versions else None


class Database:
    """A server on loopback, which can be stopped and started."""

    def __init__(self, folder):
        self.folder, self.bin = folder, programs()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        user = pwd.getpwnam("postgres" if _has_user("postgres") else "nobody")
        self._as_user = {}
        if os.getuid() == 0:  # the server refuses to run as root
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        (folder / "password").write_text(PASSWORD)
        os.chmod(folder / "password", 0o644)
        self._run(
            *("initdb", "-D", folder / "data", "-U", "nas", "-A", "scram-sha-256"),
            *("--pwfile", folder / "password", "-N", "-E", "UTF8", "--locale", "C"),
        )
        self.start()

    def _run(self, program, *args):
        subprocess.run(
            [self.bin / program, *args],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},
            **self._as_user,
        )

    def start(self):
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self.folder / "server.log"
        self._run("pg_ctl", "start", "-w", "-D", self.folder / "data", "-l", log, "-o", options)

    def stop(self):
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self.folder / "data")

    def connect(self, database="postgres"):
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="nas",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )

    def new_url(self):
        """Return the URL of a fresh database."""
        with self.connect() as connection:
            count = connection.execute("SELECT count(*) FROM pg_database").fetchone()[0]
            connection.execute(f"CREATE DATABASE run{count}")
        password = PASSWORD.replace("%", "%25").replace(" ", "%20")
        return f"postgresql+psycopg://nas:{password}@127.0.0.1:{self.port}/run{count}"


def _has_user(name):
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


@contextmanager
def running_database():
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a short path, as that of a socket has to be
    os.chmod(folder, 0o755)
    database = None
    try:
        database = Database(folder)
        yield database
    finally:
        if database is not None:
            with suppress(subprocess.CalledProcessError):
                database.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Node:
    """One process of a shared run, in a folder of its own, with a heart that beats fast."""

    def __init__(self, args, *, patience=60):
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(patience), *map(str, args)],
            cwd=Path(__file__).parents[1],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, status=0):
        output = self.process.communicate(timeout=TIMEOUT)[0]
        assert self.process.returncode == status, output
        assert PASSWORD not in output
        return output


def wait_until(is_time, *nodes, seconds=None):
    """Wait for it while the nodes run; or for so many seconds."""
    start = time.monotonic()
    while not is_time():
        if seconds is not None and time.monotonic() - start > seconds:
            return
        for node in nodes:
            assert node.process.poll() is None, node.process.communicate()[0]
        assert time.monotonic() - start < TIMEOUT
        time.sleep(0.02)
