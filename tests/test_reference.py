"""Ranks among a fixed reference: known answers, ties, beyond the ends, failures."""

import numpy as np
import pytest
from made_scores import estimator

from atom_nas.audit.combination import combine
from atom_nas.audit.free_scores import AVERAGED, average
from atom_nas.audit.ranking import rank_correlation
from atom_nas.audit.reference import RankAverage, Ranks
from atom_nas.scoring.estimator import Estimator

RANKS = Ranks.among(np.array([4.0, 1.0, 2.0, 2.0]))
"""The median is 2, the mean distance from it 3/4."""


@pytest.mark.parametrize(
    ("score", "fifths"),
    [
        (1.0, 1.0),
        (2.0, 2.5),  # the mean of ranks 2 and 3
        (4.0, 4.0),
        (1.5, 1.75),  # halfway between two
        (3.0, 3.25),
        (4.75, 4.5),  # one width above: half of what is left
        (6.25, 4.75),
        (0.25, 0.5),
        (-1.25, 0.25),
        (np.nan, 0.0),
    ],
)
def test_known_answers(score, fifths):
    assert RANKS.of(np.array([score])).item() == pytest.approx(fifths / 5)


def test_a_higher_score_has_a_higher_rank_within_and_beyond_the_reference():
    scores = np.concatenate([-np.geomspace(1e9, 0.01, 40), np.linspace(0, 5), np.geomspace(6, 1e9)])
    shares = RANKS.of(scores)
    assert (np.diff(shares) > 0).all() and shares[0] > 0 and shares[-1] < 1


def test_what_failed_is_below_all_others_in_the_reference_and_out_of_it():
    ranks = Ranks.among(np.array([np.nan, 3.0, np.nan, 5.0]))
    found = ranks.of(np.array([np.nan, -1e9, 3.0, 5.0])) * 5
    np.testing.assert_allclose(found, [0, 2, 3, 4], atol=1e-6)
    assert found[0] < 2 < found[1]


def test_a_reference_of_equals_or_of_failures_is_no_error():
    np.testing.assert_allclose(Ranks.among(np.ones(3)).of(np.arange(3.0)) * 4, [1, 2, 3])
    assert [*Ranks.among(np.full(3, np.nan)).of(np.array([7.0, np.nan]))] == [1, 0]


def scored(seed, n):
    """The scores of n candidates by a proxy and by all free scores."""
    generator = np.random.default_rng(seed)
    names = (*AVERAGED, "macs")
    free = [estimator(name, np.exp(4 * generator.normal(size=n))) for name in names]
    free.append(average([each for each in free if each.name in AVERAGED]))
    return Estimator(name="atom", kind="distilled", scores=generator.normal(size=n)), free


def one(proxy, free, index):
    parts = [estimator(each.name, each.scores[[index]]) for each in (proxy, *free)]
    return parts[0], parts[1:]


def test_on_the_reference_itself_it_is_the_rank_average_of_the_audit():
    proxy, free = scored(0, 24)
    (ranks, _), *_ = combine(proxy, free, np.arange(24.0), seed=0)
    np.testing.assert_allclose(RankAverage(proxy, free)(proxy, free), ranks.scores / 25)


def test_a_candidate_scores_alone_what_it_scores_among_others():
    judge, (proxy, free) = RankAverage(*scored(0, 12)), scored(1, 9)
    together = judge(proxy, free)
    assert [judge(*one(proxy, free, i)).item() for i in range(9)] == [*together]


def test_a_failed_free_score_counts_as_the_worst_and_others_still_count():
    judge, (proxy, free) = RankAverage(*scored(0, 12)), scored(1, 1)
    lowest, failed = (
        [estimator(each.name, [value] if each.name == "synflow" else each.scores) for each in free]
        for value in (1e-9, np.nan)
    )
    scores = [judge(proxy, each).item() for each in (free, lowest, failed)]
    assert scores[0] > scores[1] >= scores[2] > 0


def test_a_random_reference_ranks_nearly_as_all_candidates_do():
    everyone, free = scored(3, 400)
    (ranks, _), *_ = combine(everyone, free, np.arange(400.0), seed=0)
    part = [estimator(each.name, each.scores[:30]) for each in free]
    judge = RankAverage(estimator("atom", everyone.scores[:30]), part)
    assert rank_correlation(judge(everyone, free), ranks.scores) > 0.9
