"""The rule of docs/audit.md on made figures, and what noise is expected to cost."""

import math
from dataclasses import replace

import numpy as np
import pytest

from atom_nas.audit.comparison import Comparison
from atom_nas.audit.figures import audit_scores
from atom_nas.audit.ranking import Estimate, candidates_needed, spearman
from atom_nas.audit.record import Plan, Rival, Seeds
from atom_nas.audit.truth import Ceiling, Truth
from atom_nas.audit.verdict import (
    decide,
    plan,
    say_what_noise_costs,
    suggest_measure,
    with_seeds,
)
from atom_nas.scoring.estimator import Estimator

VERDICTS = {"better": (0.2, 0.1, 0.3), "worse": (-0.2, -0.3, -0.1), "undecided": (0.0, -0.1, 0.1)}


def versus(verdict, n=100):
    value, low, high = VERDICTS[verdict]
    p_better, p_worse = {"better": (0.001, 1), "worse": (1, 0.001)}.get(verdict, (0.5, 0.5))
    difference = Estimate(value=value, low=low, high=high)
    return Comparison(difference=difference, p_better=p_better, p_worse=p_worse, n=n)


FIGURES = audit_scores(
    Estimator(name="proxy", kind="distilled", scores=[1, 2]), [], Truth(validation=[0.1, 0.2])
).proxy


def rival(name, comparison, cost=0.0, corrected=None):
    """A rival of a proxy that costs 10; its p-value is `corrected`, or as it was."""
    is_fair = cost <= 10
    p = comparison.p_worse if corrected is None else corrected
    return Rival(
        figures=replace(FIGURES, name=name, cost=cost),
        comparison=comparison,
        is_fair=is_fair,
        p_worse_corrected=p if is_fair else None,
    )


def decided(rivals, low=0.5, n=100, tied=""):
    proxy = replace(FIGURES, spearman=Estimate(value=0.7, low=low, high=0.8))
    return decide(proxy, rivals, n=n, tied=tied)


@pytest.mark.parametrize(
    ("verdicts", "costs", "low", "n", "expected"),
    [
        ({"free": "better"}, {"free": 0.0}, 0.5, 100, "yes"),
        ({"free": "worse"}, {"free": 0.0}, 0.5, 100, "no"),
        ({"free": "undecided"}, {"free": 0.0}, 0.5, 100, "undecided"),
        ({"free": "better", "dear": "worse"}, {"free": 0.0, "dear": 99.0}, 0.5, 100, "yes"),
        ({"free": "better", "same": "worse"}, {"free": 0.0, "same": 10.0}, 0.5, 100, "no"),
        ({"free": "better"}, {"free": 0.0}, -0.01, 100, "no"),
        ({"free": "better"}, {"free": 0.0}, 0.5, 29, "undecided"),
    ],
)
def test_the_rule(verdicts, costs, low, n, expected):
    rivals = [rival(name, versus(verdict, n), costs[name]) for name, verdict in verdicts.items()]
    assert decided(rivals, low, n)[0] == expected
    assert decided(rivals, low, n, tied="all the same") == ("undecided", "all the same")


def test_a_rival_refuses_by_its_corrected_p_value_and_its_own_interval():
    assert decided([rival("a", versus("worse"), corrected=0.05)])[0] == "no"
    assert decided([rival("a", versus("worse"), corrected=0.06)])[0] == "undecided"
    assert decided([rival("a", versus("undecided"), corrected=0.04)])[0] == "undecided"


def test_the_sentence_names_the_rival_that_ranks_best_and_those_left_open():
    far = replace(versus("worse"), difference=Estimate(value=-0.4, low=-0.5, high=-0.3))
    _, said = decided([rival("a", versus("worse")), rival("b", far)])
    assert "Do not use proxy here: b ranks better and costs no more." in said
    both = [rival("a", versus("undecided"), 3.0), rival("b", versus("undecided"), 2.0)]
    assert decided(both)[1].endswith("better than a or b; of these b costs the least.")
    assert decided(both[:1])[1].endswith("better than a, which costs no more.")
    level = [rival("a", versus("undecided"), 3.0), rival("b", versus("undecided"), 3.0)]
    assert decided(level)[1].endswith("better than a or b.")
    third = [*level, rival("c", versus("undecided"), 4.0)]
    assert decided(third)[1].endswith("a, b or c; of these a and b cost the least.")


def test_a_proxy_that_no_rival_is_as_cheap_as_has_beaten_nothing():
    for rivals in ([], [rival("dear", versus("better"), cost=99.0)]):
        decision, said = decided(rivals)
        assert decision == "undecided" and "no rival here costs as little" in said
    assert decided([], low=-0.1)[0] == "no"


@pytest.mark.parametrize("seeds", [2, 4, math.inf])
def test_seeds_buy_off_noise_as_simulated(seeds):
    """Normal truth, scores = truth + bias + noise: the formula against 20,000 candidates."""
    generator = np.random.default_rng(0)
    truth = generator.normal(size=20_000)
    bias = generator.normal(scale=0.5, size=20_000)
    count = 400 if math.isinf(seeds) else seeds
    noise = generator.normal(size=(count, 20_000))
    scores = truth + bias + noise
    one = np.corrcoef(scores[0], truth)[0, 1]
    between = np.corrcoef(scores[0], scores[1])[0, 1]
    mean = np.corrcoef(scores.mean(0), truth)[0, 1]
    assert with_seeds(one, between, seeds) == pytest.approx(mean, abs=0.01)


def test_what_would_help_most_follows_from_the_noise():
    ceiling = Ceiling(value=0.99, agreement=0.98, trainings=1.0, reason="")
    (said,) = say_what_noise_costs(Seeds(count=2, between=0.56, one=0.72), ceiling)
    assert said.endswith("more seeds would help most.")
    (said,) = say_what_noise_costs(Seeds(count=2, between=0.95, one=0.6), ceiling)
    assert said.endswith("a better set would help most.")
    assert say_what_noise_costs(None, ceiling) == []


@pytest.mark.parametrize(
    ("between", "one", "end"),
    [
        (-0.06, 0.09, ": seeds do not agree, so the score is noise; a better set would help most."),
        (0.5, -0.5, ": more seeds would not help; a better set would."),
    ],
)
def test_nothing_is_foretold_where_seeds_do_not_agree_or_go_against_the_truth(between, one, end):
    ceiling = Ceiling(value=0.99, agreement=0.98, trainings=1.0, reason="")
    (said,) = say_what_noise_costs(Seeds(count=2, between=between, one=one), ceiling)
    assert said.endswith(end) and "expect" not in said


def test_a_measure_is_suggested_only_where_it_ranks_better():
    far = replace(versus("better"), difference=Estimate(value=0.4, low=0.3, high=0.5))
    others = {"loss": versus("worse"), "training_loss": versus("better"), "final": far}
    (said,) = suggest_measure("accuracy", others)
    assert said == (
        "By final the same trainings rank better than by accuracy (+0.40 [+0.30, +0.50]), "
        "at no cost: --objective final."
    )
    assert suggest_measure("accuracy", {"loss": versus("undecided")}) == []
    assert suggest_measure("accuracy", {"loss": versus("better", n=29)}) == []


def test_the_plan_reaches_the_width():
    total = candidates_needed(0.7, 0.2)
    more = total - 100
    wide = Estimate(value=0.7, low=0.55, high=0.8)
    found = plan(wide, 100, 0.2, macs=3.0, seconds=2.0)
    assert found == Plan(width=0.2, more_candidates=more, macs=3 * more, seconds=2 * more)
    assert plan(wide, 10_000, 0.2, macs=3.0, seconds=2.0).more_candidates == 10  # still too wide
    assert plan(replace(wide, low=0.61), 100, 0.2, macs=3.0, seconds=2.0).more_candidates == 0
    generator = np.random.default_rng(1)
    truth = generator.normal(size=total)
    interval = spearman(truth + generator.normal(scale=0.95, size=total), truth)
    assert interval.high - interval.low == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize("is_truth_known", [True, False])
def test_a_planned_candidate_is_trained_on_the_full_data_where_its_truth_is_not_known(
    is_truth_known,
):
    proxy = Estimator(
        name="p", kind="random", scores=[1, 2, 3], macs_per_candidate=2, seconds_per_candidate=3
    )
    truth = Truth(validation=[0.1, 0.2, 0.3], seconds=100, macs=1000)
    found = audit_scores(proxy, [], truth, is_truth_known=is_truth_known, width=0.3).plan
    full = (0, 0) if is_truth_known else (1000, 100)
    each = (2 + full[0], 3 + full[1])
    assert (found.macs, found.seconds) == tuple(found.more_candidates * cost for cost in each)
    assert found.width == 0.3
