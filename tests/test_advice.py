"""The rule of docs/audit.md on made figures, and what noise is expected to cost."""

import math

import numpy as np
import pytest

from atom_nas.audit.ranking import Comparison, Estimate, candidates_needed, spearman
from atom_nas.audit.verdict import decide, explain_noise, plan, suggest_measure, with_seeds

VERDICTS = {"better": (0.2, 0.1, 0.3), "worse": (-0.2, -0.3, -0.1), "undecided": (0.0, -0.1, 0.1)}


def versus(verdict, n=100):
    value, low, high = VERDICTS[verdict]
    return Comparison(difference=Estimate(value=value, low=low, high=high), n=n)


def figures(low=0.5, n=100, **more):
    return {"n": n, "spearman": {"value": 0.7, "low": low, "high": 0.8}, **more}


def use(verdicts, costs, low=0.5, n=100):
    comparisons = {name: versus(verdict, n) for name, verdict in verdicts.items()}
    return decide("proxy", figures(low, n), comparisons, costs, own_cost=10.0)


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
    assert use(verdicts, costs, low, n)["use"] == expected


def test_the_sentence_names_the_rival_that_ranks_best_and_those_left_open():
    worse = {
        "a": versus("worse"),
        "b": Comparison(difference=Estimate(value=-0.4, low=-0.5, high=-0.3), n=100),
    }
    said = decide("proxy", figures(), worse, {"a": 0.0, "b": 0.0}, 10.0)["sentence"]
    assert "Do not use proxy here: b ranks better" in said
    said = use({"a": "undecided", "b": "undecided"}, {"a": 3.0, "b": 2.0})["sentence"]
    assert said.endswith("better than a or b; of these b costs the least.")
    said = use({"a": "undecided"}, {"a": 3.0})["sentence"]
    assert said.endswith("better than a, which costs less.")


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


def noise_of(one_seed, between_seeds):
    found = {"seeds": 2, "one_seed": one_seed, "between_seeds": between_seeds}
    return figures(reliability=found)


def test_what_would_help_most_follows_from_the_noise():
    (said,) = explain_noise(noise_of(0.72, 0.56), 0.99)
    assert said.endswith("more seeds would help most.")
    (said,) = explain_noise(noise_of(0.6, 0.95), 0.99)
    assert said.endswith("a better set would help most.")
    assert explain_noise(figures(reliability=None), 0.99) == []


def test_a_measure_is_suggested_only_where_it_ranks_better():
    far = Comparison(difference=Estimate(value=0.4, low=0.3, high=0.5), n=100)
    others = {"loss": versus("worse"), "training_loss": versus("better"), "final": far}
    (said,) = suggest_measure("accuracy", others)
    assert said == (
        "By final the same trainings rank better than by accuracy (+0.40 [+0.30, +0.50]), "
        "at no cost: --objective final."
    )
    assert suggest_measure("accuracy", {"loss": versus("undecided")}) == []
    assert suggest_measure("accuracy", {"loss": versus("better", n=29)}) == []


def test_the_plan_reaches_the_width():
    seconds = {"proxy_per_candidate": 2.0, "full_per_candidate": 100.0}
    planned = plan(figures(seconds=seconds), 0.2, is_truth_known=False)
    total = candidates_needed(0.7, 0.2)
    assert planned == {"width": 0.2, "more_candidates": total - 100, "seconds": (total - 100) * 102}
    assert (
        plan(figures(n=10_000, seconds=seconds), 0.2, is_truth_known=False)["more_candidates"] == 0
    )
    known = plan(figures(seconds=seconds), 0.2, is_truth_known=True)
    assert known["seconds"] == (total - 100) * 2
    generator = np.random.default_rng(1)
    truth = generator.normal(size=total)
    interval = spearman(truth + generator.normal(scale=0.95, size=total), truth)
    assert interval.high - interval.low == pytest.approx(0.2, abs=0.06)
