"""What an audit proposes to run next, on made figures and from made scores."""

from dataclasses import replace

import numpy as np
import pytest
from made_scores import estimator, judge, make_truth
from test_advice import FIGURES, versus

from atom_nas.audit import ranking
from atom_nas.audit.proposal import propose
from atom_nas.audit.ranking import Estimate
from atom_nas.audit.record import Combined, Rival
from atom_nas.scoring.estimator import Estimator


def figures(name, kind, cost=0.0, rho=0.7, low=0.5):
    spearman = Estimate(value=rho, low=low, high=0.9)
    return replace(FIGURES, name=name, kind=kind, cost=cost, spearman=spearman)


def rival(name, kind, verdict, cost=0.0, low=0.5, corrected=0.001):
    return Rival(
        figures=figures(name, kind, cost, low=low),
        comparison=versus(verdict),
        is_fair=cost <= 11,
        p_worse_corrected=corrected,
    )


def joint(*, ranks=None, model=None):
    rhos = {"combined_ranks": ranks, "combined_model": model}
    found = [figures(name, "model", rho=rho) for name, rho in rhos.items() if rho is not None]
    return [Combined(figures=each, base=each, uplift=versus("undecided")) for each in found]


PROXY = figures("atom", "distilled", 10.0)
RANDOM = rival("random", "random", "undecided", 5.0)
FREE = rival("free", "rank_average", "worse")


def proposed(rivals, *, rho=0.8, n=30, objective="accuracy"):
    return said(propose(PROXY, rivals, joint(model=rho), n=n, objective=objective))


def said(proposal):
    return [proposal.sentence] if proposal else []


def test_a_cheaper_set_and_a_better_free_score_are_proposed_together():
    assert proposed([RANDOM, FREE]) == [
        "next: the same command with --proxy random --objective combined (random cannot be told "
        "apart from atom and costs less; free ranks better than atom and costs no more: a model "
        "joins both)."
    ]
    alone = replace(FREE, p_worse_corrected=0.06)
    (sentence,) = proposed([alone])
    assert "with --objective combined (free ranks better than atom, taken alone, and" in sentence


@pytest.mark.parametrize(
    ("verdict", "cost", "low", "is_proposed"),
    [
        ("worse", 10.0, 0.5, True),  # it ranks better and costs the same
        ("worse", 12.0, 0.5, False),  # it is dearer
        ("undecided", 9.0, 0.5, True),
        ("undecided", 10.0 / 1.1, 0.5, False),  # within the tolerance they cost the same
        ("undecided", 5.0, 0.0, False),  # no better than chance
        ("better", 0.0, 0.5, False),  # the proxy ranks better
    ],
)
@pytest.mark.parametrize("kind", ["random", "coreset", "distilled"])
def test_another_set_is_proposed_where_it_is_the_better_buy(verdict, cost, low, is_proposed, kind):
    assert bool(proposed([rival("other", kind, verdict, cost, low)])) is is_proposed


def test_of_several_the_one_ahead_by_most_else_the_cheapest():
    far = replace(versus("worse"), difference=Estimate(value=-0.4, low=-0.5, high=-0.3))
    ahead = replace(rival("b", "coreset", "worse"), comparison=far)
    assert "--proxy b " in proposed([rival("a", "random", "worse"), ahead, RANDOM])[0]
    level = [rival(name, "random", "undecided", cost) for name, cost in (("c", 3.0), ("d", 2.0))]
    assert "--proxy d " in proposed(level)[0]


def test_what_cannot_be_run_or_is_no_gain_is_not_proposed():
    assert proposed([rival("full_annealed", "full_data", "worse", 10.0)]) == []
    assert proposed([FREE], rho=0.69) == []  # the model ranks worse than the proxy
    assert propose(PROXY, [FREE], [], n=30, objective="accuracy") is None
    for objective in ("combined", "combined_ranks"):
        assert proposed([FREE], objective=objective) == []  # the search has it already
    assert proposed([RANDOM, FREE], n=29) == []


@pytest.mark.parametrize(
    ("rhos", "objective"),
    [
        ({"ranks": 0.8, "model": 0.81}, "combined"),
        ({"ranks": 0.8, "model": 0.8}, "combined_ranks"),  # it needs no audited candidates
        ({"ranks": 0.7}, "combined_ranks"),  # no better than the proxy, and no worse
        ({"ranks": 0.69, "model": 0.69}, None),
    ],
)
def test_of_both_joint_objectives_the_better_else_the_cheaper(rhos, objective):
    found = propose(PROXY, [FREE], joint(**rhos), n=30, objective="accuracy")
    assert (found and found.objective) == objective
    assert not found or f"with --objective {objective} (" in found.sentence


@pytest.mark.parametrize(("name", "joined"), [("synflow", "combined_ranks"), ("macs", "combined")])
def test_the_mean_rank_is_proposed_for_scores_that_are_in_it(name, joined):
    free = rival(name, "zero_cost", "worse")
    found = propose(PROXY, [free], joint(ranks=0.9, model=0.8), n=30, objective="accuracy")
    assert found is not None and found.objective == joined
    only = propose(PROXY, [free], joint(ranks=0.9), n=30, objective="accuracy")
    assert (only is not None) is (joined == "combined_ranks")


@pytest.mark.parametrize("objective", ["accuracy", ""])
def test_an_audit_proposes_last_and_for_a_search_alone(monkeypatch, objective):
    monkeypatch.setattr(ranking, "NUM_RESAMPLES", 999)
    truth = make_truth()
    noise = np.random.default_rng(1).uniform(size=40)
    random = Estimator(name="random_ipc5", kind="random", scores=truth)
    found = judge(estimator("noise", noise), [random], truth, objective=objective)
    line = "next: the same command with --proxy random_ipc5 (random_ipc5 ranks better than noise"
    assert found.decision == "no"
    assert found.sentences[-1].startswith(line) is bool(objective)


def test_an_audit_that_says_yes_or_cannot_tell_proposes_nothing(monkeypatch):
    monkeypatch.setattr(ranking, "NUM_RESAMPLES", 999)
    truth = make_truth()
    worse = Estimator(name="random_ipc5", kind="random", scores=make_truth(seed=1))
    level = Estimator(name="random_ipc5", kind="random", scores=truth)
    for proxy, rival in (
        (estimator("oracle", truth), worse),
        (estimator("tied", np.where(np.arange(40) < 30, 0.5, truth)), level),
    ):
        found = judge(proxy, [rival], truth, objective="accuracy")
        assert not any(said.startswith("next:") for said in found.sentences)
