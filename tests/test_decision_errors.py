"""The whole decision on made audits: how often it errs where proxy and rivals are equally good."""

import importlib
from pathlib import Path

import pytest

from atom_nas.audit import ranking

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NUM_AUDITS = 200


@pytest.mark.parametrize(("n", "num_rivals"), [(30, 15), (100, 10), (30, 1)])
def test_yes_and_no_each_err_in_at_most_a_twentieth(monkeypatch, n, num_rivals):
    """Were a no said as soon as one rival's own interval says so, it would err more often."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(ranking, "NUM_RESAMPLES", 399)
    errors = importlib.import_module("decision_errors")
    found = list(errors.simulate(errors.Case(n=n, num_rivals=num_rivals), NUM_AUDITS))
    decisions = [decision for decision, _ in found]
    assert decisions.count("yes") <= 0.05 * NUM_AUDITS
    assert decisions.count("no") <= 0.05 * NUM_AUDITS
    uncorrected = sum(is_worse for _, is_worse in found)
    assert num_rivals == 1 or uncorrected > 0.05 * NUM_AUDITS


def test_a_rival_that_is_much_better_refuses_and_a_proxy_that_is_much_better_is_used(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(ranking, "NUM_RESAMPLES", 399)
    errors = importlib.import_module("decision_errors")
    for gain, decision in (("rival_gain", "no"), ("proxy_gain", "yes")):
        case = errors.Case(n=100, num_rivals=10, **{gain: 0.2})
        found = [decision for decision, _ in errors.simulate(case, 20)]
        assert found.count(decision) >= 18
