"""Picks of the optimiser are asked four at a time: what they go by, repeat, and leave behind."""

import pytest
from made_search import Recorder, ignore, make_search, make_space
from optuna.study import StudyDirection
from optuna.trial import TrialState

from atom_nas.scoring.space import candidate_name
from atom_nas.search.study import read_candidates
from atom_nas.search.trials import Standing

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return make_space(tmp_path_factory.mktemp("space"))


class TurnsAt(Recorder):
    """An evaluation whose objective has another sign from the call with a number on."""

    def __init__(self, first, sign):
        super().__init__()
        self.first, self.sign = first, sign

    def __call__(self, architecture, seed):
        sign = self.sign if len(self.calls) >= self.first else 1
        objective, accuracy, seconds = super().__call__(architecture, seed)
        return sign * objective, accuracy, seconds


def test_four_are_prepared_at_once_and_told_in_order(tmp_path, space):
    prepared, evaluate = [], Recorder()

    def prepare(sample):
        assert not set(sample) & set(evaluate.calls)
        prepared.append(sample)

    search = make_search(tmp_path, space, evaluate, num_uniform=3, prepare=prepare)
    candidates = search.run(13, ignore)
    assert len(candidates) == len(evaluate.calls) == 13
    assert [len(sample) for sample in prepared] == [4, 4, 2]
    assert [candidate.trial for candidate in candidates] == sorted(c.trial for c in candidates)
    assert evaluate.calls[3:] == [each for sample in prepared for each in sample]


def test_picks_go_by_no_value_of_those_asked_with_them(tmp_path, space):
    names = []
    for sign in (1, -1):
        search = make_search(tmp_path / str(sign), space, TurnsAt(6, sign))
        names.append([candidate.name for candidate in search.run(18, ignore)])
    assert names[0][:10] == names[1][:10]
    assert names[0][10:] != names[1][10:]


def test_a_pick_that_repeats_has_the_end_that_is_known_and_is_not_tried(tmp_path):
    space = make_space(tmp_path, widths=(2, 5), depth=2)
    evaluate = Recorder()
    search = make_search(tmp_path, space, evaluate, sampler="random", num_uniform=1)
    search.run(8, ignore)
    told = search.trials.find()
    first = {}
    for trial in told:
        first.setdefault(trial.user_attrs["candidate"], trial)
    repeats = [trial for trial in told if first[trial.user_attrs["candidate"]] is not trial]
    for trial in repeats:
        like = first[trial.user_attrs["candidate"]]
        assert trial.user_attrs["uncounted"] == f"repeats trial {like.number}"
        was_told = trial.datetime_start >= like.datetime_complete
        assert trial.value == (like.value if was_told else None)
    ends = {trial.state for trial in repeats}
    assert ends == {TrialState.COMPLETE, TrialState.FAIL}  # drawn after its like, and with it
    names = [candidate_name(architecture) for architecture, _ in evaluate.calls]
    assert len(names) == len(set(names)) == 8


@pytest.mark.parametrize("stop", [6, 8, 9])
def test_what_is_interrupted_leaves_nothing_of_the_four(tmp_path, space, stop):
    whole = make_search(tmp_path / "whole", space).run(14, ignore)
    search = make_search(tmp_path / "cut", space, Recorder(stop=stop))
    with pytest.raises(KeyboardInterrupt):
        search.run(14, ignore)
    assert read_candidates(search.trials, space) == whole[:6]
    assert search.run(14, ignore) == whole


def test_one_of_the_four_that_fails_leaves_the_others_untouched(tmp_path, space):
    whole = make_search(tmp_path / "whole", space).run(10, ignore)
    failing = Recorder(stop=7, error=RuntimeError("not finite"))
    found = make_search(tmp_path / "one", space, failing).run(10, ignore)
    assert found[7].reason == "RuntimeError: not finite" and found[7].objective is None
    assert found[:7] + found[8:] == whole[:7] + whole[8:]


def test_who_gave_a_pick_up_to_another_process_picks_otherwise_from_then_on(tmp_path, space):
    search = make_search(tmp_path, space, sampler="random")
    study = search.trials.open("search", (StudyDirection.MAXIMIZE,), lambda trials: iter(()))

    def drawn(given_up, is_start=False):
        standing = Standing()
        standing.given_up = given_up
        return search._drawing().draw(study, (), standing, is_start)[0].params

    assert drawn(None) == drawn(None) and drawn(7) == drawn(7)
    assert len({str(drawn(given_up)) for given_up in (None, 7, 8)}) == 3
    assert drawn(None, is_start=True) == drawn(7, is_start=True)
