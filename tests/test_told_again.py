"""A study told again by another objective says what an unbroken one would have said."""

import pytest
from made_search import Recorder, ignore, make_search, make_space, score

from atom_nas.search.journal import open_study


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return make_space(tmp_path_factory.mktemp("space"), widths=(2, 3, 5), depth=1)


def test_what_failed_by_one_objective_is_tried_by_the_next(tmp_path, space):
    """Its repeats too: they have no end of their own."""
    whole = make_search(tmp_path / "whole", space, sampler="random").run(6, ignore)
    failing = Recorder(stop=1, error=RuntimeError("too few steps"))
    first = make_search(tmp_path / "told", space, failing, sampler="random").run(6, ignore)
    assert [candidate.objective is None for candidate in first] == [i == 1 for i in range(6)]
    search = make_search(tmp_path / "told", space, sampler="random", goes_by="longer")
    assert search.run(6, ignore) == whole
    values = [
        [trial.value for trial in open_study(tmp_path / name / "study.journal").get_trials()]
        for name in ("whole", "told")
    ]
    assert values[0] == values[1] and len(values[0]) > 6


def test_what_fails_now_keeps_nothing_of_before(tmp_path, space):
    make_search(tmp_path, space).run(3, ignore)
    nan = make_search(tmp_path, space, lambda *_: (float("nan"), 0.5, 1.0), goes_by="nan")
    for candidate in nan.run(3, ignore):
        found = (candidate.objective, candidate.accuracy, candidate.seconds)
        assert found == (None, None, None) and candidate.reason == "the objective is nan"


def test_a_kill_before_the_journal_is_sealed_again_is_no_damage(tmp_path, space, monkeypatch):
    make_search(tmp_path, space).run(3, ignore)

    def killed(path):
        raise KeyboardInterrupt

    told = make_search(tmp_path, space, lambda *_: (1.0, *score(*_)[1:]), goes_by="one")
    with monkeypatch.context() as patch:
        patch.setattr("atom_nas.search.journal.seal", killed)
        with pytest.raises(KeyboardInterrupt):
            told.run(3, ignore)
    assert [candidate.objective for candidate in told.run(3, ignore)] == [1.0] * 3
