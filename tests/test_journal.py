"""The journal of a search: going on after any end, another objective, damage."""

import json

import pytest
from made_search import FAST, Recorder, ignore, make_search, make_space, score
from optuna.storages.journal import JournalFileBackend

from atom_nas.errors import UserError

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return make_space(tmp_path_factory.mktemp("space"))


@pytest.mark.parametrize("sampler", FAST)
@pytest.mark.parametrize("stop", [0, 9])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path, space, sampler, stop):
    whole = make_search(tmp_path / "a", space, sampler=sampler).run(12, ignore)
    evaluate = Recorder(stop=stop)
    search = make_search(tmp_path / "b", space, evaluate, sampler=sampler)
    with pytest.raises(KeyboardInterrupt):
        search.run(12, ignore)
    assert search.run(12, ignore) == whole
    assert len(set(evaluate.calls)) == 12


class Killed(BaseException):
    """Neither Optuna nor the search catches it."""


def leave_as_killed(folder, space, *, sampled, sampler="tpe"):
    """Leave what kill -9 leaves: a trial RUNNING, a torn line in the journal, a stale lock."""
    journal = folder / "study.journal"

    def die(architecture, seed):
        content.append(journal.read_bytes())
        raise Killed

    content = []
    search = make_search(folder, space, die, sampler=sampler)
    with pytest.raises(Killed):
        search.run(20, ignore)
    lines = content[0].splitlines(keepends=True)
    if not sampled:
        codes = [json.loads(line)["op_code"] for line in lines]
        create_trial = 4
        lines = lines[: len(codes) - codes[::-1].index(create_trial)]
    journal.write_bytes(b"".join(lines) + b'{"op_code": 6, "wor')
    (folder / "study.journal.lock").write_text("")


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("done", [4, 10])
@pytest.mark.parametrize("sampler", FAST)
def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path, space, sampler, done, sampled):
    whole = make_search(tmp_path / "a", space, sampler=sampler).run(12, ignore)
    evaluate = Recorder()
    search = make_search(tmp_path / "b", space, evaluate, sampler=sampler)
    search.run(done, ignore)
    leave_as_killed(tmp_path / "b", space, sampled=sampled, sampler=sampler)
    assert search.run(12, ignore) == whole
    assert len(evaluate.calls) == len(set(evaluate.calls)) == 12


def test_a_search_killed_again_and_again_goes_on(tmp_path, space):
    whole = make_search(tmp_path / "a", space).run(12, ignore)
    search = make_search(tmp_path / "b", space)
    for done in (3, 3, 3, 6, 10):
        search.run(done, ignore)
        leave_as_killed(tmp_path / "b", space, sampled=True)
    assert search.run(12, ignore) == whole


@pytest.mark.parametrize("is_after", [False, True])
def test_an_interrupt_at_any_line_of_the_journal_changes_nothing(
    tmp_path, space, is_after, monkeypatch
):
    changes = {"num_uniform": 2}
    whole = make_search(tmp_path / "whole", space, **changes).run(4, ignore)
    num_lines = len((tmp_path / "whole" / "study.journal").read_bytes().splitlines())
    plain = JournalFileBackend.append_logs
    assert num_lines > 15
    for line in range(1, num_lines + 1):
        error = (KeyboardInterrupt, Killed)[line % 2]
        left = line

        def interrupted(self, logs, error=error):
            nonlocal left
            left -= 1
            if left == 0 and not is_after:
                raise error
            plain(self, logs)
            if left == 0:
                raise error

        search = make_search(tmp_path / f"{line}", space, **changes)
        with monkeypatch.context() as patch:
            patch.setattr(JournalFileBackend, "append_logs", interrupted)
            with pytest.raises(error):
                search.run(4, ignore)
        assert search.run(4, ignore) == whole


def test_another_objective_is_told_again_to_the_same_trials(tmp_path, space):
    first = make_search(tmp_path, space, num_uniform=8).run(8, ignore)

    def negated(architecture, seed):
        evaluated.append(architecture)
        objective, accuracy, seconds = score(architecture, seed)
        return -objective, accuracy, seconds

    evaluated = []
    search = make_search(tmp_path, space, negated, goes_by="negated")
    again = search.run(8, ignore)
    assert [(c.name, c.seed, -c.objective) for c in again] == [
        (c.name, c.seed, c.objective) for c in first
    ]
    assert len(evaluated) == 8
    longer = search.run(12, ignore)
    assert longer[:8] == again and len(evaluated) == 12
    assert make_search(tmp_path, space, num_uniform=8).run(8, ignore)[:8] == first


def test_what_fails_by_another_objective_is_a_failed_candidate(tmp_path, space):
    make_search(tmp_path, space).run(3, ignore)
    evaluate = Recorder(stop=1, error=RuntimeError("no second draw"))
    candidates = make_search(tmp_path, space, evaluate, goes_by="two draws").run(3, ignore)
    assert [c.reason for c in candidates] == ["", "RuntimeError: no second draw", ""]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_journal_is_seen(tmp_path, space, share):
    make_search(tmp_path, space).run(5, ignore)
    journal = tmp_path / "study.journal"
    content = bytearray(journal.read_bytes())
    content[int(share * len(content))] ^= 1
    journal.write_bytes(content)
    with pytest.raises(UserError, match=r"study.journal is damaged .*delete it") as caught:
        make_search(tmp_path, space).run(5, ignore)
    assert "\n" not in str(caught.value)
