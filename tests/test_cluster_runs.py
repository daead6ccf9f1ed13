"""Real processes that share a run in a database: killed, cut off, and the database stopped."""

from contextlib import closing
from signal import SIGINT, SIGKILL
from unittest.mock import Mock

import pytest
from made_cluster import PASSWORD, Node, wait_until
from optuna import load_study
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import PendingRollbackError
from tiny_run import SPACE, rows_of, run_args, save_data

from atom_nas.audit.record import Audit
from atom_nas.cli import main
from atom_nas.cluster.address import Address
from atom_nas.cluster.server import Server
from atom_nas.cluster.shared_study import after_death
from atom_nas.search.trials import has_place, is_counted, is_lost

pytestmark = pytest.mark.usefixtures("quiet")

N = 10
SLOW = SPACE.replace("import Any\n", "import Any\nimport time\n").replace(
    "    layers: list", "    time.sleep(0.3)\n    layers: list"
)
"""The nets take a while to build, and so to try."""


class Shared:
    """A run that processes share, and what the database holds of it."""

    def __init__(self, folder, url, space=SLOW):
        self.folder, self.url = folder, url
        self.space = folder / "space.py"
        widths = ", ".join(map(str, range(2, 13)))
        self.space.write_text(space.replace("(4, 8, 13)", f"({widths})"))
        self.data = save_data(folder)

    def args(self, name, *more):
        out = self.folder / name / "run"
        args = run_args(self.data, self.space, out, "--workers", "1", "--proxy", "random_ipc4")
        return [*args, "--trials", str(N), *more]

    def start(self, name, *more, command="search", patience=60):
        args = [*self.args(name, *more), "--storage", self.url]
        return Node([command, *args[1:]], patience=patience)

    def studies(self):
        storage = RDBStorage(self.url.replace("{", "{{").replace("}", "}}"))
        try:
            for each in storage.get_all_studies():
                study = load_study(study_name=each.study_name, storage=storage)
                yield each.study_name, study.get_trials()
        finally:
            storage.engine.dispose()

    def trials(self):
        return next((trials for name, trials in self.studies() if "/search" in name), [])

    def count(self):
        return sum(map(is_counted, self.trials()))

    def are_open(self, names):
        return all((self.folder / name / "run" / "settings.json").exists() for name in names)

    def check(self):
        """See that exactly N trials are finished, and nothing was made twice."""
        studies = dict(self.studies())
        for name, trials in studies.items():
            assert all(trial.state.is_finished() for trial in trials), name
            if ".csv" in name:
                keys = [t.user_attrs["key"] for t in trials if t.state == TrialState.COMPLETE]
                assert len(set(map(tuple, keys))) == len(keys), name
        counted = [trial for trial in self.trials() if has_place(trial)]
        assert len(counted) == N == len({trial.user_attrs["candidate"] for trial in counted})
        candidates = {trial.user_attrs["candidate"] for trial in counted}
        scored = studies["run/scores.csv"]
        assert {trial.user_attrs["key"][2] for trial in scored} >= candidates

    def no_password(self):
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert any(path.name == "options.json" for path in files)
        secrets = (PASSWORD.encode(), b"s3cret")
        return not [path for path in files if any(each in path.read_bytes() for each in secrets)]


@pytest.fixture
def shared(database, tmp_path):
    return Shared(tmp_path, database.new_url())


def essence(path):
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "checksum")} for row in rows_of(path)
    ]


def test_two_that_begin_together_from_nothing_write_the_same_report(database, tmp_path, capsys):
    shared = Shared(tmp_path, database.new_url(), SPACE)
    nodes = [shared.start(name, command="run") for name in "ab"]
    outputs = [node.finish() for node in nodes]
    shared.check()
    one, two = (tmp_path / name / "run" for name in "ab")
    for name in ("candidates.csv", "audit.csv", "report.md", "lengths.json", "importances.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    for name in ("scores.csv", "truth.csv", "free.csv"):
        assert sorted(map(str, rows_of(one / name))) == sorted(map(str, rows_of(two / name)))
    first, second = (Audit.from_json((each / "audit.json").read_text()) for each in (one, two))
    assert first == second
    exports = [sorted(path.name for path in each.glob("export/*")) for each in (one, two)]
    assert exports[0] == exports[1] and len(exports[0]) == 1
    assert sum("Spearman" in output for output in outputs) == 2
    assert shared.no_password()

    later = shared.start("c", command="run")  # all is there: it trains nothing
    assert later.finish().count("exported:") == 1
    assert (tmp_path / "c" / "run" / "report.md").read_bytes() == (one / "report.md").read_bytes()
    shared.check()

    main(["report", "--out", str(one), "--storage", shared.url])
    told = (one / "report.md").read_bytes()
    (one / "report.md").unlink()
    main(["report", "--out", str(one)])  # of what the folder holds
    assert (one / "report.md").read_bytes() == told
    with pytest.raises(SystemExit):
        main(["export", "--out", str(one)])
    assert "was made with storage run (now not given)" in capsys.readouterr().err

    other = shared.start("d", "--seed", "1")
    line = other.finish(status=2).splitlines()[-1]
    assert "the run run in --storage was made with seed 0 (now 1)" in line
    assert not (tmp_path / "d").exists()


def test_one_process_and_a_seed_are_the_run_in_a_folder(database, tmp_path):
    shared = Shared(tmp_path, database.new_url(), SPACE)
    for sampler in ("tpe", "nsga2"):
        more = ("--sampler", sampler, "--trials", "12")
        args = [shared.args(f"{sampler}{where}", *more) for where in ("", " alone")]
        main(["search", *args[0][1:], "--storage", database.new_url()])
        main(["search", *args[1][1:]])
        found = [
            essence(tmp_path / f"{sampler}{where}" / "run" / "candidates.csv")
            for where in ("", " alone")
        ]
        assert found[0] == found[1] and len(found[0]) == 12


@pytest.mark.parametrize("signal", [SIGKILL, SIGINT])
def test_what_a_killed_process_had_under_way_another_tries(shared, signal):
    dying = shared.start("a")
    wait_until(lambda: 2 <= shared.count() < N - 2, dying)
    dying.process.send_signal(signal)
    dying.finish(status=-signal if signal == SIGKILL else 130)
    if signal == SIGINT:
        assert all(trial.state.is_finished() for trial in shared.trials())
    shared.start("b").finish()
    shared.check()
    lost = [trial for trial in shared.trials() if is_lost(trial)]
    retried = [t for t in shared.trials() if t.system_attrs.get("retry_history")]
    assert len(retried) <= len(lost)
    assert shared.no_password()


def test_connections_that_are_cut_cost_nothing(shared, database):
    """And two that are started alike on one machine have folders of their own."""
    nodes = [shared.start("a") for _ in range(2)]

    def cut():
        with database.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname LIKE 'run%' AND pid <> pg_backend_pid()"
            )

    for count in (2, 4, 6):
        wait_until(lambda count=count: shared.count() >= count, *nodes)
        cut()
    for node in nodes:
        node.finish()
    shared.check()
    one, two = (shared.folder / "a" / name / "candidates.csv" for name in ("run", "run-2"))
    assert one.read_bytes() == two.read_bytes()


def test_a_database_that_comes_back_is_waited_for(shared, database):
    nodes = [shared.start(name) for name in "ab"]
    wait_until(lambda: shared.count() >= 2 and shared.are_open("ab"), *nodes)
    database.stop()
    try:
        wait_until(lambda: False, seconds=5)
        assert all(node.process.poll() is None for node in nodes)
    finally:
        database.start()
    outputs = [node.finish() for node in nodes]
    assert any("does not answer; waiting for it." in output for output in outputs)
    shared.check()
    assert shared.no_password()


def test_one_that_stays_away_ends_the_command_which_then_goes_on(shared, database):
    node = shared.start("a", patience=2)
    wait_until(lambda: shared.count() >= 2, node)
    database.stop()
    try:
        line = node.finish(status=2).splitlines()[-1]
    finally:
        database.start()
    assert line.startswith("error: the database at 127.0.0.1:") and "has not answered" in line
    shared.start("a").finish()
    shared.check()


def test_a_connection_that_is_cut_within_a_transaction_is_asked_again(database):
    cut = StorageInternalError("an exception is raised during the commit")
    cut.__cause__ = PendingRollbackError("the transaction is not rolled back")
    ask = Mock(side_effect=[cut, "found"])
    with closing(Server(Address(database.new_url()), after_death)) as server:
        assert server.patiently(ask) == "found"
