"""Correlations with their intervals, and what else is said of a ranking."""

import math

import numpy as np
import pytest
from made_scores import limits, pair, with_ties
from scipy import stats

from atom_nas.audit import comparison, ranking
from atom_nas.audit.ranking import Estimate
from atom_nas.errors import UserError

CORRELATIONS = {
    "spearman": (ranking.spearman, stats.spearmanr),
    "kendall": (ranking.kendall, stats.kendalltau),
}


@pytest.fixture(params=CORRELATIONS)
def correlation(request):
    """Ours and scipy's."""
    return CORRELATIONS[request.param]


@pytest.mark.parametrize("sample", [pair(1, 40, 0.6), pair(2, 40, -0.9), with_ties(3, 40)])
def test_correlation_and_interval_are_scipys(correlation, sample, few_resamples):
    ours, theirs = correlation
    estimate = ours(*sample, seed=5)
    assert estimate.value == pytest.approx(theirs(*sample).statistic)
    reference = stats.bootstrap(
        sample,
        lambda scores, truth: theirs(scores, truth).statistic,
        paired=True,
        vectorized=False,
        n_resamples=299,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert limits(estimate) == pytest.approx((reference.low, reference.high))


def test_kendall_of_a_hand_made_case_with_ties():
    # pairs: 4 concordant, 1 discordant, 1 tied in the scores only
    value = ranking.kendall([1, 2, 2, 3], [1, 2, 4, 3]).value
    assert value == pytest.approx((4 - 1) / math.sqrt(5 * 6))


def test_spearman_of_a_hand_made_case():
    assert ranking.spearman([1, 2, 3, 4], [1, 3, 2, 4]).value == pytest.approx(1 - 6 * 2 / 60)


@pytest.mark.parametrize(
    ("n", "expected"), [(20, (0.50, 0.93)), (50, (0.65, 0.89)), (100, (0.70, 0.87))]
)
def test_fisher_interval_at_spearman_08(n, expected, monkeypatch):
    monkeypatch.setattr(ranking, "MAX_BOOTSTRAP", 0)
    sample = min(
        (pair(seed, n, 0.8) for seed in range(300)),
        key=lambda sample: abs(stats.spearmanr(*sample).statistic - 0.8),
    )
    assert limits(ranking.spearman(*sample)) == pytest.approx(expected, abs=0.03)


def test_fisher_interval_of_kendall(monkeypatch):
    monkeypatch.setattr(ranking, "MAX_BOOTSTRAP", 0)
    estimate = ranking.kendall(*pair(0, 50, 0.8))
    half = 1.96 * math.sqrt(0.437 / 46)
    expected = [math.tanh(math.atanh(estimate.value) + side * half) for side in (-1, 1)]
    assert limits(estimate) == pytest.approx(expected)


@pytest.mark.parametrize("n", range(7))
def test_agreement_of_a_few_candidates_proves_little(correlation, n):
    ours, _ = correlation
    estimate = ours(np.arange(n), np.arange(n))
    assert estimate.value == pytest.approx(1 if n > 1 else 0)
    assert estimate.high == pytest.approx(1)
    assert estimate.low == -1 if n < 3 else -1 <= estimate.low < 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_perfect_correlation_has_a_narrow_finite_interval(correlation, sign):
    ours, _ = correlation
    truth = np.random.default_rng(0).normal(size=40)
    estimate = ours(sign * truth**3, truth)
    assert estimate.value == pytest.approx(sign)
    assert -1 <= estimate.low < estimate.high <= 1
    assert min(abs(estimate.low), abs(estimate.high)) > 0.9


def test_a_constant_ranks_nothing(correlation):
    ours, _ = correlation
    nothing = Estimate(value=0.0, low=-1.0, high=1.0)
    assert ours(np.ones(40), np.arange(40)) == nothing
    assert ours(np.arange(40), np.ones(40)) == nothing


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_intervals_of_tiny_tied_samples_hold_the_value(correlation, n, few_resamples):
    ours, _ = correlation
    generator = np.random.default_rng(n)
    for _ in range(40):
        estimate = ours(generator.integers(3, size=n), generator.integers(4, size=n))
        assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_interval_depends_on_the_seed_only(correlation):
    ours, _ = correlation
    sample = pair(4, 30, 0.5)
    assert ours(*sample, seed=1) == ours(*sample, seed=1)
    assert limits(ours(*sample, seed=1)) != limits(ours(*sample, seed=2))


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_intervals_cover_the_known_correlation(correlation, rho, few_resamples):
    ours, theirs = correlation
    known = 6 / math.pi * math.asin(rho / 2)
    if theirs is stats.kendalltau:
        known = 2 / math.pi * math.asin(rho)
    estimates = [ours(*pair(seed, 40, rho), seed=seed) for seed in range(200)]
    covered = np.mean([estimate.low <= known <= estimate.high for estimate in estimates])
    assert 0.90 <= covered <= 0.99


def test_thousands_of_candidates_need_no_bootstrap(correlation, monkeypatch):
    ours, theirs = correlation
    monkeypatch.setattr(ranking, "_bootstrap", None)
    sample = pair(0, 5000, 0.7)
    estimate = ours(*sample)
    assert estimate.value == pytest.approx(theirs(*sample).statistic)
    assert 0.01 < estimate.high - estimate.low < 0.05


def test_top_overlap_of_a_hand_made_case():
    truth = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert ranking.top_overlap([1, 2, 5, 3, 4], truth, 2) == 0.5
    assert ranking.top_overlap([1, 2, 5, 3, 4], truth, 3) == 1.0
    assert ranking.top_overlap([5, 4, 3, 2, 1], truth, 2) == 0.0


def test_top_overlap_expects_a_random_order_of_tied_scores():
    truth = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert ranking.top_overlap([0, 0, 0, 0, 0], truth, 2) == pytest.approx(2 / 5)
    assert ranking.top_overlap([0, 0, 1, 1, 9], truth, 2) == pytest.approx((1 + 1 / 2) / 2)


def test_top_overlap_takes_any_of_the_tied_truths():
    truth = [0.1, 0.4, 0.4, 0.5]
    assert ranking.top_overlap([0, 2, 1, 3], truth, 2) == 1.0
    assert ranking.top_overlap([0, 1, 2, 3], truth, 2) == 1.0
    assert ranking.top_overlap(truth, truth, 2) == 1.0


def test_precision_at_a_fraction_takes_that_many():
    truth = np.arange(30.0)
    scores = truth.copy()
    scores[[29, 0]] = scores[[0, 29]]
    assert ranking.precision_at(scores, truth) == pytest.approx(2 / 3)
    assert ranking.precision_at(scores, truth, 0.01) == 0.0
    assert ranking.precision_at(scores, truth, 1.0) == 1.0


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.2, [3]), (0.4, [0, 2, 3]), (0.6, [0, 2, 3]), (0.1, [3])]
)
def test_top_fraction_rounds_up_and_keeps_ties(fraction, expected):
    mask = ranking.top_fraction([0.8, 0.1, 0.8, 0.9, 0.5], fraction)
    assert mask.dtype == bool
    assert np.flatnonzero(mask).tolist() == expected


def test_top_fraction_of_whole_percents_is_exact():
    sizes = [ranking.top_fraction(np.arange(100), percent / 100).sum() for percent in range(1, 101)]
    assert sizes == list(range(1, 101))


@pytest.mark.parametrize(
    ("scores", "points"),
    [([1, 2, 3], 0.0), ([3, 2, 1], 20.0), ([2, 2, 1], 12.5), ([0, 0, 0], 25 / 3)],
)
def test_regret_is_in_points_and_averages_ties(scores, points):
    assert ranking.regret(scores, [0.70, 0.85, 0.90]) == pytest.approx(points)


@pytest.mark.parametrize(
    ("scores", "truth", "rank"),
    [
        ([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.9], 1),
        ([4, 3, 2, 1], [0.1, 0.2, 0.3, 0.9], 4),
        ([2, 3, 1, 2], [0.1, 0.2, 0.3, 0.9], 3),
        ([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.9], 4),
        ([4, 3, 2, 1], [0.1, 0.2, 0.9, 0.9], 3),
        ([0, 0, 0, 0], [0.1, 0.2, 0.9, 0.9], 3),
    ],
)
def test_rank_of_best_is_pessimistic_about_ties(scores, truth, rank):
    assert ranking.rank_of_best(scores, truth) == rank


def test_reliability_is_the_mean_over_pairs_of_seeds():
    matrix = np.random.default_rng(0).normal(size=(3, 20)) + np.linspace(0, 3, 20)
    full = stats.spearmanr(matrix, axis=1).statistic
    expected = (full[0, 1] + full[0, 2] + full[1, 2]) / 3
    assert ranking.reliability(matrix) == pytest.approx(expected)


@pytest.mark.parametrize("matrix", [np.ones((1, 5)), np.arange(5), []])
def test_reliability_needs_two_seeds(matrix):
    with pytest.raises(UserError, match="2 or more"):
        ranking.reliability(matrix)


@pytest.mark.parametrize("rho", [-1.0, -0.5, 0.0, 0.8, 0.99, 1.0])
@pytest.mark.parametrize("width", [0.05, 0.2, 0.5, 1.0])
def test_candidates_needed_is_the_first_that_is_narrow_enough(rho, width):
    n = ranking.candidates_needed(rho, width)

    def width_at(count):
        low, high = ranking._spearman_fisher(rho, count)
        return high - low

    assert width_at(n) < width
    assert all(width_at(count) >= width for count in range(4, n))


def test_candidates_needed_at_spearman_08():
    assert ranking.candidates_needed(0.8, 0.24) == pytest.approx(50, abs=5)
    assert ranking.candidates_needed(0.8, 0.17) == pytest.approx(100, abs=10)


@pytest.mark.parametrize(("rho", "width"), [(1.1, 0.2), (math.nan, 0.2), (0.8, 0), (0.8, 3)])
def test_candidates_needed_refuses_what_cannot_be(rho, width):
    with pytest.raises(UserError, match="rho"):
        ranking.candidates_needed(rho, width)


TWO_ARRAYS = [
    ranking.spearman,
    ranking.kendall,
    ranking.regret,
    ranking.rank_of_best,
    ranking.precision_at,
    ranking.rank_average,
    lambda scores, truth: ranking.top_overlap(scores, truth, 1),
    lambda scores, truth: comparison.compare(scores, scores, truth),
    lambda scores, truth: comparison.compare(truth, scores, truth),
    lambda scores, truth: ranking.reliability([truth, scores]),
]


@pytest.mark.parametrize("function", TWO_ARRAYS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(function, bad):
    with pytest.raises(UserError, match=r"not finite, at \[2\]"):
        function([1, 2, bad], [1, 2, 3])


@pytest.mark.parametrize("function", TWO_ARRAYS[:-1])
@pytest.mark.parametrize("scores", [[1, 2], 3.0, [[1, 2, 3]]])
def test_arrays_of_other_shapes_are_refused(function, scores):
    with pytest.raises(UserError, match="1-D arrays of one length"):
        function(scores, [1, 2, 3])


@pytest.mark.parametrize("k", [-1, 0, 4])
def test_top_k_must_be_among_the_candidates(k):
    with pytest.raises(UserError, match=f"top of {k} among 3"):
        ranking.top_overlap([1, 2, 3], [1, 2, 3], k)


@pytest.mark.parametrize("fraction", [-0.1, 0.0, 1.5, math.nan])
def test_fractions_are_above_0_and_up_to_1(fraction):
    with pytest.raises(UserError, match="fraction"):
        ranking.top_fraction([1, 2, 3], fraction)
    with pytest.raises(UserError, match="fraction"):
        ranking.precision_at([1, 2, 3], [1, 2, 3], fraction)
