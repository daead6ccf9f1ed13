"""Two scores compared: the difference, its interval, p-values, Holm, and the verdict."""

import numpy as np
import pytest
from made_scores import limits, pair, with_ties
from scipy import stats

from atom_nas.audit import comparison, ranking
from atom_nas.audit.comparison import Comparison, compare_all, holm
from atom_nas.audit.ranking import Estimate


def test_rank_average_shares_ties_and_ignores_scale():
    average = ranking.rank_average([10, 20, 20, 40], [0.4, 0.3, 0.2, 0.1])
    assert average.tolist() == [2.5, 2.75, 2.25, 2.5]


def test_rank_average_of_noisy_scores_beats_each():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=100)
    first, second = truth + generator.normal(size=(2, 100))
    combined = ranking.rank_average(first, second)
    assert comparison.compare(combined, first, truth).verdict == "better"
    assert comparison.compare(combined, second, truth).verdict == "better"


def test_difference_is_that_of_the_two_correlations():
    truth, good, noise = np.random.default_rng(0).normal(size=(3, 50))
    good += truth
    found = comparison.compare(good, noise, truth)
    expected = stats.spearmanr(good, truth).statistic - stats.spearmanr(noise, truth).statistic
    assert found.difference.value == pytest.approx(expected)
    assert found.n == 50
    assert found == comparison.compare(good, noise, truth)
    assert found != comparison.compare(good, noise, truth, seed=1)


def test_interval_and_p_values_are_those_of_scipys_paired_bootstrap(few_resamples):
    scores, truth = with_ties(3, 40)
    rival = np.round(np.random.default_rng(4).normal(size=40) + truth)

    def difference(*drawn):
        ours, theirs, y = drawn
        return stats.spearmanr(ours, y).statistic - stats.spearmanr(theirs, y).statistic

    reference = stats.bootstrap(
        (scores, rival, truth),
        difference,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=299,
        rng=np.random.default_rng(5),
    )
    other, found = compare_all(scores, [truth, rival], truth, seed=5)
    assert limits(found.difference) == pytest.approx(tuple(reference.confidence_interval))
    drawn = reference.bootstrap_distribution
    assert found.p_better == pytest.approx((1 + np.sum(drawn <= 1e-12)) / 300)
    assert found.p_worse == pytest.approx((1 + np.sum(drawn >= -1e-12)) / 300)
    assert other == comparison.compare(scores, truth, truth, seed=5)
    assert other.p_worse == 1 / 300


def test_holm_of_a_hand_made_case():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_noise_is_never_better_than_a_good_score(few_resamples):
    verdicts = []
    for seed in range(50):
        good, truth = pair(seed, 40, 0.9)
        noise = np.random.default_rng(1000 + seed).normal(size=40)
        assert comparison.compare(noise, good, truth, seed=seed).verdict != "better"
        verdicts.append(comparison.compare(good, noise, truth, seed=seed).verdict)
    assert verdicts.count("better") > 45


def test_equally_good_scores_are_seldom_told_apart(few_resamples):
    decided = 0
    for seed in range(200):
        truth, *noises = np.random.default_rng(seed).normal(size=(3, 40))
        scores, rival = (truth + noise for noise in noises)
        decided += comparison.compare(scores, rival, truth, seed=seed).verdict != "undecided"
    assert decided <= 20


def test_a_paired_bootstrap_sees_what_overlapping_intervals_hide():
    generator = np.random.default_rng(0)
    truth, noise, more = generator.normal(size=(3, 100))
    scores = truth + noise
    rival = scores + 0.5 * more
    assert ranking.spearman(rival, truth).high > ranking.spearman(scores, truth).low
    assert comparison.compare(scores, rival, truth).verdict == "better"
    assert comparison.compare(rival, scores, truth).verdict == "worse"


def test_a_pair_of_one_order_is_undecided():
    scores, truth = pair(0, 50, 0.9)
    found = comparison.compare(scores, np.exp(scores), truth)
    assert found.difference == Estimate(value=0.0, low=0.0, high=0.0)
    assert found.verdict == "undecided"
    assert found.p_better == found.p_worse == 1


def test_a_constant_score_is_worse_than_a_good_one():
    scores, truth = pair(0, 50, 0.9)
    assert comparison.compare(np.zeros(50), scores, truth).verdict == "worse"


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, ranking.MIN_CANDIDATES - 1])
def test_truth_itself_is_undecided_under_30_candidates(n):
    truth = np.arange(n)
    assert comparison.compare(truth, -truth, truth).verdict == "undecided"


def test_truth_itself_is_better_than_noise_with_30_candidates():
    truth, noise = np.random.default_rng(0).normal(size=(2, ranking.MIN_CANDIDATES))
    assert comparison.compare(truth, noise, truth).verdict == "better"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.1, 0.1, "undecided"), (0, 1, "undecided")],
)
def test_verdict_follows_the_interval(low, high, verdict):
    difference = Estimate(value=(low + high) / 2, low=low, high=high)
    p_values = {"p_better": 0.5, "p_worse": 0.5}
    assert Comparison(difference=difference, **p_values, n=30).verdict == verdict
    assert Comparison(difference=difference, **p_values, n=29).verdict == "undecided"
