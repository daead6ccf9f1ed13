"""Does a run survive whatever ends it, at any moment? Killed at random moments, and gone on with.

A tiny run of digits by two workers is ended at a moment drawn uniformly within three quarters of
the time that an undisturbed one works, once its libraries are loaded (what goes on has less to
do): its launcher by kill -9, SIGTERM, SIGINT or SIGHUP, a worker by kill -9 as soon as there is
one, or all its processes at once, each kind once before any comes again. The same command goes on
until the run is done, which is then compared with the undisturbed one; and another begins, until
there were as many kills as were asked for. Figures and graphs, which take seconds and are no
rows, are left out.

    nice python benchmarks/soak.py --kills 200 --out soak
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

import command

from atom_nas.storage.files import CHECKSUM, parse_row, write_plain_json

RUN = """run --dataset digits --proxy atom_ipc1 --steps 30 --adjust width=16 --trials 6
--audit-size 4 --proxy-steps 20 --full-steps 20 --top-k 1 --workers 2 --device cpu --seed 0"""

DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of the background ignores it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and one under nohup ignores this
from atom_nas import cli
from atom_nas.audit import ranking
from atom_nas.export import folder
from atom_nas.pipeline import opening
from atom_nas.report import page
print("loaded", flush=True)
folder.FORMATS, page.draw_all, ranking.NUM_RESAMPLES = {}, lambda results: [], 99
cli.main(sys.argv[1:])
"""

KINDS = (
    *(("launcher", each) for each in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")),
    *((target, "SIGKILL") for target in ("worker", "all")),
)

KEYS = {
    "scores.csv": ("proxy_digest", "training_digest", "candidate"),
    "truth.csv": ("candidate", "steps", "seed", "train_digest"),
}
"""The tables with a row a training, and what no two rows share."""

TABLES = (*KEYS, "free.csv", "candidates.csv", "audit.csv")

PATIENCE = 600.0

Rows = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked of the soak."""

    kills: int = 200
    """Kills in all."""
    seed: int = 0
    """Their moments, kinds and workers depend on it."""
    out: Path = Path("soak")
    """A folder for the runs and soak.json."""


@dataclass(kw_only=True)
class Tally:
    """What came of it."""

    kills: dict[str, int] = field(default_factory=dict)
    """By kind."""
    runs: int = 0
    """Finished, each after some kills."""
    rows: int = 0
    """Compared with those of the undisturbed run, of all tables."""
    lost: int = 0
    """Rows of a training that were on disk at a kill, and later not as they were."""
    repeated: int = 0
    """Rows of a training that was made before."""
    unlike: list[str] = field(default_factory=list)
    """Runs and files that differ from those of the undisturbed run."""
    seconds: float = 0.0


def start(folder: Path) -> "subprocess.Popen[str]":
    """Begin the run in `folder`, or go on with it, in a group of processes of its own.

    Returns when its libraries are loaded.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *RUN.split(), "--out", str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None and any(line == "loaded\n" for line in process.stdout)
    return process


def soak(options: Options) -> Tally:
    """Kill and compare; raises RuntimeError where a command fails that was not killed."""
    begin, choose, tally = time.monotonic(), random.Random(options.seed), Tally()
    undisturbed = options.out / "undisturbed"
    process, loaded = start(undisturbed), time.monotonic()
    finish(process)
    longest, kinds = 3 / 4 * (time.monotonic() - loaded), drawn_kinds(choose)
    kind = next(kinds)
    while sum(tally.kills.values()) < options.kills:
        folder, is_done, before = options.out / f"run_{tally.runs}", False, {}
        while not is_done:
            process = start(folder)
            while not is_done and process.poll() is None:
                left = options.kills - sum(tally.kills.values())
                if left == 0 or has_ended(process, choose.uniform(0.0, longest)):
                    finish(process)
                    is_done = True
                elif kill(process, *kind, choose):
                    tally.kills[" ".join(kind)] = tally.kills.get(" ".join(kind), 0) + 1
                    print(f"{options.kills - left + 1} of {options.kills}: {kind}", flush=True)
                    kind = next(kinds)
            found = {name: rows_of(folder / name) for name in KEYS}
            for name, rows in before.items():
                tally.lost += sum(row not in found[name] for row in rows)
            before = found
        tally.runs += 1
        compare(folder, undisturbed, tally)
    tally.seconds = time.monotonic() - begin
    return tally


def drawn_kinds(choose: random.Random) -> Iterator[tuple[str, str]]:
    """Yield kinds of kills for ever, all in a random order before any comes again."""
    while True:
        yield from choose.sample(KINDS, len(KINDS))


def has_ended(process: "subprocess.Popen[str]", seconds: float) -> bool:
    """Wait so many seconds; say whether the process ended by itself."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def finish(process: "subprocess.Popen[str]") -> None:
    """Wait for a process that nobody ends."""
    output, _ = process.communicate(timeout=PATIENCE)
    if process.returncode:
        raise RuntimeError(f"a run ended with status {process.returncode}:\n{output}")


def kill(process: "subprocess.Popen[str]", target: str, name: str, choose: random.Random) -> bool:
    """End `target` by the signal called `name`; False where the run was done before.

    After the launcher no process is left, each of which would hold the pipe that is read to its
    end; after a worker the launcher goes on.
    """
    number = Signals[name]
    if target == "worker":
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None:
            if workers := children.read_text().split():
                os.kill(int(choose.choice(workers)), number)
                return True
            time.sleep(0.01)
        finish(process)
        return False
    (os.killpg if target == "all" else os.kill)(process.pid, number)
    output, _ = process.communicate(timeout=PATIENCE)
    if process.returncode == 0:
        return False
    expected = {-number, *((1, 130) if number == Signals.SIGINT else ())}  # 1: while it ends
    if process.returncode not in expected:
        raise RuntimeError(f"{name} ended a run with status {process.returncode}:\n{output}")
    return True


def rows_of(path: Path) -> Rows:
    """Return the rows of a table that are whole."""
    if not path.exists():
        return []
    header, *lines = path.read_bytes().split(b"\n")
    columns = header.decode().split(",")
    assert columns.pop() == CHECKSUM
    return [row for line in lines if (row := parse_row(columns, line)) is not None]


def compare(folder: Path, undisturbed: Path, tally: Tally) -> None:
    """Hold the tables and weights of a finished run to those of the undisturbed one."""
    for name, key in KEYS.items():
        keys = [tuple(row[column] for column in key) for row in rows_of(folder / name)]
        tally.repeated += len(keys) - len(set(keys))
    for name in TABLES:
        found, expected = (
            sorted(str({**row, "seconds": ""}) for row in rows_of(each / name))
            for each in (folder, undisturbed)
        )
        tally.rows += len(found)
        if found != expected:
            tally.unlike.append(f"{folder.name}/{name}")
    found, expected = (
        {str(path.relative_to(each)): path.read_bytes() for path in each.rglob("*.safetensors")}
        for each in (folder, undisturbed)
    )
    tally.unlike += [f"{folder.name}/{name}" for name in found if found[name] != expected.get(name)]
    tally.unlike += [f"{folder.name}/{name}" for name in expected if name not in found]


def main(options: Options) -> None:
    options.out.mkdir(parents=True)
    tally = soak(options)
    write_plain_json(options.out / "soak.json", tally)
    print(
        f"{sum(tally.kills.values())} kills in {tally.runs} runs, {tally.seconds / 60:.0f} min: "
        f"{tally.rows} rows compared, {tally.lost} lost, {tally.repeated} repeated, "
        f"unlike the undisturbed: {', '.join(tally.unlike) or 'none'}."
    )
    if tally.lost or tally.repeated or tally.unlike:
        sys.exit(1)


if __name__ == "__main__":
    command.run(main, Options, __file__, __doc__)
