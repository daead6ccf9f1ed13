"""What many processes share in a database: who is first, who is dead, what is written once."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from made_cluster import PASSWORD
from made_search import Recorder, ignore, make_search, make_space
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import OperationalError

from atom_nas.cluster import server as timing
from atom_nas.cluster.address import Address
from atom_nas.cluster.server import Server
from atom_nas.cluster.shared_run import SharedRun
from atom_nas.cluster.shared_study import MAX_RETRIES, SharedStudy, after_death
from atom_nas.errors import OutOfReach, UserError
from atom_nas.search.study import read_candidates
from atom_nas.storage.files import read_csv

pytestmark = pytest.mark.usefixtures("quiet")

COLUMNS, KEY = ("name", "value"), ("name",)


@pytest.fixture(scope="module")
def url(database):
    return database.new_url()


@pytest.fixture
def fast_hearts(monkeypatch):
    monkeypatch.setattr(timing, "HEARTBEAT", 1)
    monkeypatch.setattr(timing, "GRACE", 2)


@contextmanager
def opened(url):
    server = Server(Address(url), after_death)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def pair(url, request):
    """Two processes' views of one run."""
    with opened(url) as one, opened(url) as two:
        yield SharedRun(one, request.node.name), SharedRun(two, request.node.name)


def table_of(run, path="t.csv", **more):
    return run.table(Path(path), COLUMNS, key=KEY, **more)


def row(name, value="1"):
    return {"name": name, "value": value}


def test_a_key_is_claimed_by_one_and_its_row_seen_by_all(pair):
    one, two = map(table_of, pair)
    assert one.claim(("a",)) and one.claim(("a",))
    assert not two.claim(("a",)) and two.free([("a",), ("b",)]) == [("b",)]
    assert one.free([("a",)]) == [("a",)]
    one.append(row("a", "x, y\nz"))
    two.wait()
    assert two.find(("a",)) == {"name": "a", "value": "x, y z"} == one.rows[0]
    assert not two.claim(("a",)) and not one.claim(("a",))


def test_the_copy_has_the_rows_of_all(pair, tmp_path):
    paths = [tmp_path / name for name in ("1/t.csv", "2/t.csv")]
    one, two = (table_of(run, path) for run, path in zip(pair, paths, strict=True))
    paths[1].parent.mkdir()
    one.append(row("a"))
    two.copy()
    assert read_csv(paths[1]) == [row("a")] and not paths[0].exists()


def test_what_is_released_is_free(pair):
    one, two = map(table_of, pair)
    assert one.claim(("a",)) and not two.claim(("a",))
    one.release([("a",), ("b",)])
    assert two.free([("a",)]) == [("a",)] and two.claim(("a",))


def test_of_many_that_claim_at_once_one_has_it(url):
    keys = [(str(i),) for i in range(6)]

    def claims(number):
        with opened(url) as server:
            table = table_of(SharedRun(server, "rush"))
            found = [key for key in keys[number % 6 :] + keys[: number % 6] if table.claim(key)]
            for (name,) in found:
                table.append(row(name, str(number)))
            return found

    with ThreadPoolExecutor(6) as pool:
        found = [key for each in pool.map(claims, range(6)) for key in each]
    assert sorted(found) == keys


def test_the_claim_of_the_dead_is_free_and_a_row_that_comes_late_is_not_kept(url, fast_hearts):
    with opened(url) as dead, opened(url) as alive:
        first, second = (table_of(SharedRun(each, "dead")) for each in (dead, alive))
        assert first.claim(("a",)) and second.claim(("b",))
        dead.let_go(next(iter(dead._alive)))  # it is named no more
        start = time.monotonic()
        while not second.free([("a",)]):
            assert time.monotonic() - start < 30
            second.wait()
        assert second.claim(("a",))
        first.append(row("a", "late"))
        second.append(row("a", "in time"))
        first.wait()
        assert first.rows == [row("a", "in time")] == [first.find(("a",))]
        assert first.free([("b",)]) == []  # it is alive


def test_a_row_may_be_made_again_where_that_is_allowed(pair):
    one, two = (table_of(each, is_renewable=True) for each in pair)
    one.append(row("a", "1"))
    two.append(row("a", "2"))
    one.wait()
    assert one.find(("a",)) == two.find(("a",)) == row("a", "2")


def test_what_is_attached_is_found_by_its_digest(pair, monkeypatch):
    monkeypatch.setattr("atom_nas.cluster.files.CHUNK", 1000)
    one, two = map(table_of, pair)
    content = bytes(range(256)) * 20
    one.append(row("a"), content)
    assert two.attached(hashlib.sha256(content).hexdigest()) == content
    assert two.attached("0" * 64) is None


def test_what_is_made_once_is_made_by_one_and_copied(pair, tmp_path):
    made = []

    def make(value):
        made.append(value)
        return value

    one, two = pair
    assert one.once(tmp_path / "1" / "v.json", "x", lambda: make(None)) is None
    for run, name in ((one, "1"), (two, "2"), (one, "1")):
        (tmp_path / name).mkdir(exist_ok=True)
        path = tmp_path / name / "v.json"
        assert run.once(path, "x", lambda name=name: make([name, 0.1])) == ["1", 0.1]
        assert '"x"' in path.read_text()
    assert made == [None, ["1", 0.1]]

    def write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "f").exists():
            made.append(folder)
            (folder / "f").write_bytes(b"\0of " + folder.parts[-3].encode())
        return (folder / "f").read_bytes()

    folders = [tmp_path / each / "proxies" / "p" for each in "12"]
    found = [
        run.fill(folder, lambda f=folder: write(f))
        for run, folder in zip(pair, folders, strict=True)
    ]
    assert found == [b"\0of 1"] * 2 and made[2:] == folders[:1]
    (folders[1] / "f").write_bytes(b"damaged")
    assert two.fill(folders[1], lambda: write(folders[1])) == b"\0of 1"


def test_a_run_is_held_to_the_settings_it_was_begun_with(pair):
    one, two = pair
    one.hold_to({"seed": 1, "space": "a"})
    two.hold_to({"seed": 1, "space": "a"})
    with pytest.raises(UserError, match=r"seed 1 \(now 2\); repeat those settings"):
        two.hold_to({"seed": 2, "space": "a"})


def running(**attrs):
    distribution = optuna.distributions.IntDistribution(1, 9)
    return create_trial(
        state=TrialState.RUNNING,
        params={"x": 1},
        distributions={"x": distribution},
        user_attrs=attrs,
    )


def test_a_trial_of_a_search_whose_process_died_waits_for_another_and_fails_in_the_end(
    url, fast_hearts
):
    with opened(url) as one, opened(url) as two:
        study, other = (SharedStudy(each, "deaths") for each in (one, two))
        study.enter(running(candidate="c"))
        for _ in range(MAX_RETRIES + 1):
            one._alive.clear()
            start = time.monotonic()
            while not (end := other.read()[-1]).state.is_finished():
                if end.state == TrialState.WAITING:
                    assert study.take(end) and not other.take(end)
                    one._alive.clear()
                assert time.monotonic() - start < 60
                other.wait()
        trials = other.read()
    assert [trial.state for trial in trials] == [TrialState.FAIL] * (MAX_RETRIES + 2)
    assert all(trial.user_attrs["candidate"] == "c" for trial in trials)
    assert ["reason" in trial.user_attrs for trial in trials] == [False] * 3 + [True]


def test_searches_at_once_try_exactly_so_many_and_begin_as_one_alone(url, tmp_path):
    space = make_space(tmp_path)

    def search(number):
        with opened(url) as server:
            evaluate, trials = Recorder(), SharedRun(server, "searches")
            found = make_search(tmp_path / number, space, evaluate, trials=trials).run(16, ignore)
            return found, evaluate.calls

    with ThreadPoolExecutor(4) as pool:
        (one, calls), *others = pool.map(search, "abcd")
    assert all(found == one for found, _ in others)
    assert len({candidate.name for candidate in one}) == len(one) == 16
    calls += [call for _, more in others for call in more]
    assert len(set(calls)) == len(calls) == 16
    alone = make_search(tmp_path / "alone", space).run(16, ignore)
    starts = [{each.name for each in found if each.is_uniform} for found in (one, alone)]
    assert starts[0] == starts[1] and len(starts[0]) == 6


def test_each_reads_its_own_search_though_another_began_one_by_another_objective(pair, tmp_path):
    space, (one, two) = make_space(tmp_path), pair
    first = make_search(tmp_path, space, trials=one, goes_by="first")
    assert read_candidates(two, space) == read_candidates(one, space) == []
    found = first.run(3, ignore)
    assert read_candidates(two, space) == found
    other = make_search(tmp_path, space, trials=two, goes_by="other").run(2, ignore)
    assert (read_candidates(one, space), read_candidates(two, space)) == (found, other)


@pytest.mark.parametrize("is_written", [True, False])
def test_an_answer_that_is_lost_leaves_one_trial(url, monkeypatch, is_written):
    with opened(url) as server:
        study = SharedStudy(server, f"lost answers {is_written}")
        plain, cuts = server.storage.create_new_trial, [1]

        def cut(*args):
            if cuts:
                cuts.pop()
                if is_written:
                    plain(*args)
                raise OperationalError("INSERT", {}, Exception("server closed the connection"))
            return plain(*args)

        monkeypatch.setattr(server.storage, "create_new_trial", cut)
        trial_id = study.enter(running())
        study.finish(trial_id, {"a": 1}, TrialState.COMPLETE, [1.0])
        study.finish(trial_id, {"a": 2}, TrialState.COMPLETE, [2.0])  # written before
        (found,) = study.read()
    assert (found.value, found.user_attrs["a"]) == (1.0, 1)


def test_a_database_that_does_not_come_back_ends_the_work_in_one_line(url, monkeypatch):
    monkeypatch.setattr(timing, "PATIENCE", 0.2)

    def ask():
        raise OperationalError("SELECT", {}, Exception(f"gone\nfor {PASSWORD}"))

    with opened(url) as server, pytest.raises(OutOfReach) as caught:
        server.patiently(ask)
    line = str(caught.value)
    assert "has not answered for 0 s (Exception: gone for ***)" in line and "\n" not in line
    assert "run the same command again" in line
