"""The worth of a set in random images: found where it is known, at the ends, with ties, in cost."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made_scores import estimator
from scipy.optimize import isotonic_regression

from atom_nas.audit.figures import audit_scores
from atom_nas.audit.monotone import reached, rising
from atom_nas.audit.ranking import rank_correlation
from atom_nas.audit.record import Audit
from atom_nas.audit.truth import Truth
from atom_nas.audit.worth import SIZES, measure_worth, sizes_up_to
from atom_nas.errors import UserError

pytestmark = pytest.mark.usefixtures("few_resamples")


def trained(name, repeats, **more):
    return estimator(name, np.mean(repeats, axis=0), repeats=repeats, **more)


def made(seed, n=60, draws=2, worth=30.0, sizes=SIZES):
    """A truth, a proxy and random sets: a set of k images scores quality + 3 / sqrt(k) noise."""
    generator = np.random.default_rng(seed)
    quality = generator.normal(size=n)

    def scores(size):
        return quality + 3 / np.sqrt(size) * generator.normal(size=(draws, n))

    sets = {size: trained(f"random_ipc{size}", scores(size)) for size in sizes}
    return trained("atom_ipc10", scores(worth)), sets, quality


def many(num, **more):
    return [measure_worth(*made(seed, **more), seed=seed) for seed in range(num)]


def test_a_set_with_the_noise_of_30_random_images_is_worth_about_30(monkeypatch):
    """Geometric mean within 15%; in 88 to 100 of 100 the interval holds 30 (95 +- 3 SE of 2.2)."""
    monkeypatch.setattr("atom_nas.audit.ranking.NUM_RESAMPLES", 199)
    found = many(100)
    mean = np.exp(np.mean([np.log(each.images.value) for each in found]))
    assert mean == pytest.approx(30, rel=0.15)
    assert 88 <= sum(each.images.low <= 30 <= each.images.high for each in found) <= 100
    assert np.median([each.images.high / each.images.low for each in found]) < 6


def test_more_draws_narrow_the_interval_and_do_not_raise_the_curve():
    few, more = many(20, draws=1), many(20, draws=6)
    widths = [
        np.mean([np.log(each.images.high / each.images.low) for each in found])
        for found in (few, more)
    ]
    assert widths[1] < 0.8 * widths[0]
    heights = [np.mean([each.curve[2].spearman.value for each in found]) for found in (few, more)]
    assert heights[1] == pytest.approx(heights[0], abs=0.03)  # their mean score has 0.2 more


def test_spearman_is_the_mean_over_draws_not_that_of_their_mean():
    proxy, sets, truth = made(0, draws=4)
    found = measure_worth(proxy, sets, truth)
    for spearman, each in (
        (found.spearman, proxy),
        *((row.spearman, sets[row.images]) for row in found.curve),
    ):
        own = np.mean([rank_correlation(row, truth) for row in each.repeats])
        assert spearman.value == pytest.approx(own)
        assert spearman.value < rank_correlation(each.scores, truth)


@pytest.mark.parametrize(
    ("scores", "end", "words"),
    [(-1.0, 2.0, "at most 2"), (1.0, 200.0, "at least 200"), (0.0, 2.0, "at most 2")],
)
def test_beyond_the_sizes_the_end_is_a_bound(scores, end, words):
    """Worse than the smallest, better than the largest, and all tied, which is no order at all."""
    _, sets, truth = made(1)
    found = measure_worth(estimator("p", scores * truth), sets, truth)
    assert found.images.value == end
    assert found.sentence.startswith(f"p is worth {words} [{words}, {words}] random images a class")


def test_an_end_of_the_interval_is_a_bound_alone():
    proxy, sets, truth = made(3, n=20, worth=150)
    found = measure_worth(proxy, sets, truth)
    assert found.images.value < found.images.high == 200
    assert f"{found.images.low:.0f}, at least 200] random" in found.sentence


def test_a_set_of_random_images_is_worth_itself():
    _, sets, truth = made(2)
    found = measure_worth(sets[50], {**sets, 100: sets[200]}, truth)
    assert found.images.value == pytest.approx(50)


def test_a_curve_that_falls_is_made_flat_and_its_start_counts():
    truth = np.arange(8.0)
    swapped = truth[[1, 0, *range(2, 8)]]
    worst = estimator("worst", -truth)
    sets = {2: worst, 5: estimator("a", truth), 10: estimator("b", swapped)}
    found = measure_worth(estimator("p", truth), sets, truth)
    assert [row.spearman.value for row in found.curve] == [-1, 1, pytest.approx(41 / 42)]
    assert [row.monotone for row in found.curve] == pytest.approx([-1, 83 / 84, 83 / 84])
    assert found.images.value == 10
    assert measure_worth(sets[10], sets, truth).images.value == pytest.approx(5, rel=0.02)


def test_the_line_is_the_isotonic_regression_by_draws():
    generator = np.random.default_rng(0)
    values, draws = generator.normal(size=(7, 50)), generator.integers(1, 5, 7)
    for column, fitted in zip(values.T, rising(values, draws).T, strict=True):
        assert fitted == pytest.approx(isotonic_regression(column, weights=draws).x)


def test_between_two_sizes_the_line_is_straight_in_the_logarithm():
    curve = np.array([[0.2], [0.6], [0.6], [0.8]]).repeat(5, axis=1)
    heights = np.array([0.1, 0.4, 0.6, 0.7, 0.9])
    found = reached(curve, heights, (2, 8, 32, 128))
    assert found == pytest.approx([2, 4, 8, 64, 128])


def test_failed_candidates_rank_last_in_each_draw():
    proxy, sets, truth = made(4)
    worst = np.argsort(truth)[:5]

    def failed(each, fill):
        repeats = np.array(each.repeats)
        repeats[:, worst] = fill
        return trained(each.name, repeats)

    nothing, lowest = (
        measure_worth(failed(proxy, fill), {k: failed(s, fill) for k, s in sets.items()}, truth)
        for fill in (np.nan, -99.0)
    )
    assert nothing == lowest
    assert nothing.spearman.value > measure_worth(proxy, sets, truth).spearman.value


def test_ties_have_average_ranks():
    proxy, sets, truth = made(5)
    rounded = trained("p", np.round(proxy.repeats))
    found = measure_worth(rounded, sets, np.round(truth))
    own = [rank_correlation(row, np.round(truth)) for row in rounded.repeats]
    assert found.spearman.value == pytest.approx(np.mean(own))
    assert found.images.low <= found.images.value <= found.images.high


def test_the_order_of_the_candidates_changes_the_resamples_alone():
    proxy, sets, truth = made(6)
    order = np.random.default_rng(0).permutation(len(truth))

    def moved(each):
        return trained(each.name, each.repeats[:, order])

    first = measure_worth(proxy, sets, truth)
    other = measure_worth(moved(proxy), {k: moved(s) for k, s in sets.items()}, truth[order])
    assert other.images.value == first.images.value
    for mine, others in zip(first.curve, other.curve, strict=True):
        assert (mine.spearman.value, mine.monotone) == (others.spearman.value, others.monotone)
    assert other.images.low == pytest.approx(first.images.low, rel=0.25)
    assert other.images.low != first.images.low
    shuffled = {size: sets[size] for size in reversed(SIZES)}
    assert measure_worth(proxy, shuffled, truth) == first


def test_the_cost_is_that_of_a_draw_with_its_share_of_the_distillation():
    proxy, sets, truth = made(7)
    proxy = replace(proxy, macs_per_candidate=200.0, setup_macs=8e4)  # of two draws
    sets = {size: replace(each, macs_per_candidate=2.0 * size) for size, each in sets.items()}
    found = measure_worth(proxy, sets, truth)
    assert [(each.candidates, each.ratio) for each in found.costs] == [
        (sharing, pytest.approx((100 + 4e4 / sharing) / found.images.value))
        for sharing in (40, 720, 15625)
    ]
    words = r"costs 30 times as .* 40 candidates share .* \(4.29 times where 720, .* 15,625 do\)\.$"
    assert re.search(words, found.sentence)
    alone = replace(proxy, repeats=proxy.repeats[:1], macs_per_candidate=100.0, setup_macs=4e4)
    one = measure_worth(alone, sets, truth)
    assert one.costs[0].ratio == pytest.approx((100 + 1e3) / one.images.value)
    free = measure_worth(replace(alone, setup_macs=0.0), sets, truth)
    assert re.search(r"costs [\d.]+ times as much as on these\.$", free.sentence)


def test_without_costs_none_are_said():
    found = measure_worth(*made(8))
    assert found.costs == ()
    assert found.sentence.endswith("(n = 60, 2 draws).")


def test_the_sentence_says_how_many_draws_there_were_of_each():
    proxy, sets, truth = made(9, draws=3)
    fewer = trained("p", proxy.repeats[:2])
    assert (
        "(n = 60, draws: 2 of it, 3 of random images)" in measure_worth(fewer, sets, truth).sentence
    )
    sets[5] = trained("random_ipc5", sets[5].repeats[:1])
    assert (
        "(n = 60, draws: 2 of it, 1 to 3 of random images)"
        in measure_worth(fewer, sets, truth).sentence
    )


@pytest.mark.parametrize("n", [1, 2])
def test_of_two_candidates_nothing_is_known(n):
    found = measure_worth(*made(0, n=n))
    assert (found.images.low, found.images.high) == (2, 200)
    assert (found.spearman.low, found.spearman.high) == (-1, 1)


def test_sizes_end_where_a_class_has_no_more():
    assert sizes_up_to(100) == (2, 5, 10, 20, 50, 100)
    assert sizes_up_to(10**6) == SIZES
    assert sizes_up_to(100, draws=2) == (2, 5, 10, 20, 50)  # two of all images are one
    with pytest.raises(UserError, match=r"2, 5 and more .* and one has 4"):
        sizes_up_to(4)


@pytest.mark.parametrize("sizes", [(), (5,), (0, 5)])
def test_one_size_is_no_curve(sizes):
    proxy, _, truth = made(0)
    with pytest.raises(UserError, match="give two sizes or more"):
        measure_worth(proxy, dict.fromkeys(sizes, proxy), truth)


def test_the_audit_keeps_the_worth_and_decides_as_without_it():
    proxy, sets, truth = made(10)
    truth = Truth(validation=tuple(0.5 + 0.05 * truth))
    rivals = [sets[10]]
    plain, audit = (audit_scores(proxy, rivals, truth, sets=given) for given in (None, sets))
    assert plain.worth is None
    assert audit.worth == measure_worth(proxy, sets, truth.mean)
    assert audit.sentences == (*plain.sentences, audit.worth.sentence)
    assert replace(audit, worth=None, sentences=plain.sentences) == plain  # Holm's count, too
    assert Audit.from_json(audit.to_json()) == audit
    without = plain.to_json().replace(',\n  "worth": null', "")
    assert '"worth"' not in without and Audit.from_json(without) == plain
    with pytest.raises(UserError, match="random_ipc5 scores 3 of 60"):
        audit_scores(
            proxy, rivals, truth, sets={**sets, 5: estimator("random_ipc5", [1.0, 2.0, 3.0])}
        )
