"""What the trials of a study come to, alone and with others."""

import pytest
from optuna.trial import TrialState, create_trial

from atom_nas.search.trials import Standing, has_place, is_counted, is_lost

RUNNING, COMPLETE, FAIL = TrialState.RUNNING, TrialState.COMPLETE, TrialState.FAIL


def trial(number, state, candidate=None, **attrs):
    named = {} if candidate is None else {"candidate": candidate}
    value = 1.0 if state == COMPLETE else None
    made = create_trial(state=state, value=value, user_attrs={**named, **attrs})
    made.number = number
    return made


TRIALS = [
    trial(0, COMPLETE, "a", draw=0),
    trial(1, FAIL, "b", draw=1, reason="too deep"),
    trial(2, FAIL, "c", draw=2),  # its process died
    trial(3, FAIL, "a", draw=3, uncounted="repeats trial 0"),
    trial(4, RUNNING, "d", draw=4),
    trial(5, RUNNING, "d", draw=4),  # another drew it at the same moment
    trial(6, COMPLETE, "e", draw=5),
    trial(7, TrialState.WAITING, "c", draw=2),
]


def test_what_each_counts_for():
    assert [is_lost(each) for each in TRIALS] == [each.number == 2 for each in TRIALS]
    assert [each.number for each in TRIALS if is_counted(each)] == [0, 1, 6]
    assert [each.number for each in TRIALS if has_place(each)] == [0, 1, 4, 5, 6, 7]


@pytest.mark.parametrize("step", [1, 3, 8])
def test_they_stand_the_same_however_they_come(step):
    standing = Standing()
    for end in range(step, len(TRIALS) + step, step):
        running = [trial(each.number, RUNNING, **each.user_attrs) for each in TRIALS[end - 1 : end]]
        standing.take_in([*TRIALS[: end - 1], *running])  # the last was under way before
        standing.take_in(TRIALS[:end])
    assert [each.number for each in standing.counted] == [0, 1, 6]
    assert (standing.places, standing.next_draw, standing.idle) == (5, 6, 0)
    assert standing.waiting is TRIALS[7]
    assert (standing.twin("a"), standing.twin("d"), standing.twin("f")) == (*TRIALS[0:5:4], None)


def test_a_draw_that_was_lost_is_the_next_whatever_others_drew_since():
    standing = Standing()
    standing.take_in(TRIALS[:7])
    assert standing.next_draw == 2
    standing.take_in([*TRIALS[:7], trial(7, RUNNING, "c", draw=2)])
    assert standing.next_draw == 6
    standing.take_in([*TRIALS[:4], trial(4, FAIL, "d", draw=4), trial(5, FAIL, "d", draw=4)])
    assert standing.next_draw == 2


def test_the_first_so_many_count_and_of_a_candidate_the_first():
    standing = Standing()
    standing.take_in(TRIALS)
    first = [each.number for each in TRIALS[4:] if standing.is_first(each, 5)]
    assert first == [4, 6, 7]
    assert not standing.is_first(TRIALS[7], 4)


def test_idle_draws_are_counted_from_the_last_that_has_a_place():
    standing = Standing()
    idle = [trial(8 + i, FAIL, "a", draw=6 + i, uncounted="repeats trial 0") for i in range(3)]
    standing.take_in([*TRIALS[:4], *idle])
    assert standing.idle == 4
    standing.take_in([*TRIALS[:4], *idle, trial(11, FAIL, "x", draw=9), trial(12, RUNNING, "y")])
    assert standing.idle == 0
