"""The audit's verdicts on made cases, and the shape of its figures."""

import json

import numpy as np
import pytest

from atom_nas.audit.figures import Truth, audit, by_fraction
from atom_nas.audit.ranking import rank_correlation
from atom_nas.scoring.estimator import Estimator

FIGURES = {
    *("n", "spearman", "kendall", "top", "top_fraction", "regret_points", "precision_at_10"),
    *("rank_of_best", "reliability", "seconds"),
}


def make_truth(n=40, seed=0):
    return np.random.default_rng(seed).uniform(0.3, 0.9, n)


def estimator(name, scores, seconds=1.0):
    return Estimator(
        name=name, scores=np.asarray(scores), setup_seconds=10.0, seconds_per_candidate=seconds
    )


def noise(n=40, seed=1):
    return estimator("noise", np.random.default_rng(seed).uniform(size=n))


def judge(proxy, rivals, truth):
    accuracies = tuple((accuracy,) for accuracy in truth)
    return audit(proxy, rivals, Truth(accuracies=accuracies, seconds=100.0), seed=0)


def test_the_truth_itself_ranks_better_than_noise():
    truth = make_truth()
    figures = judge(estimator("oracle", truth), [noise()], truth)
    assert figures["verdict"] == {"noise": "better"}
    assert figures["spearman"]["value"] == figures["kendall"]["value"] == 1
    assert figures["top"] == {"k": 4, "overlap": 1.0}
    assert figures["regret_points"] == 0
    assert figures["n"] == 40
    assert any("oracle ranks better than noise" in s for s in figures["sentences"])
    assert figures["decision"] == "yes"


def test_noise_ranks_worse_than_the_truth_and_the_words_say_what_to_use():
    truth = make_truth()
    figures = judge(noise(), [estimator("oracle", truth)], truth)
    assert figures["verdict"] == {"oracle": "worse"}
    assert figures["sentences"][0] == (
        "Do not use noise here: oracle ranks better and costs less or the same."
    )
    assert any("noise ranks worse than oracle" in s for s in figures["sentences"])
    assert figures["decision"] == "no"
    assert abs(figures["spearman"]["value"]) < 0.5
    assert figures["regret_points"] > 0


def test_few_candidates_decide_nothing_and_the_words_say_so():
    truth = make_truth(29)
    figures = judge(estimator("oracle", truth), [noise(29)], truth)
    assert figures["verdict"] == {"noise": "undecided"}
    assert figures["sentences"][-1] == "Under 30 candidates a correlation says little."
    assert any(
        "Undecided whether oracle ranks better than noise" in s for s in figures["sentences"]
    )


def test_thirty_candidates_are_enough_and_draw_no_warning():
    truth = make_truth(30)
    figures = judge(estimator("oracle", truth), [noise(30)], truth)
    assert figures["verdict"] == {"noise": "better"}
    assert not any("says little" in s for s in figures["sentences"])


def test_equals_are_undecided():
    truth = make_truth()
    figures = judge(noise(), [estimator("twin", noise().scores)], truth)
    assert figures["verdict"] == {"twin": "undecided"}


def test_each_rival_has_a_verdict_and_figures():
    truth = make_truth()
    blurred = estimator("blurred", truth + np.random.default_rng(3).normal(0, 0.1, 40))
    figures = judge(blurred, [noise(), estimator("oracle", truth)], truth)
    assert figures["verdict"] == {"noise": "better", "oracle": "worse"}
    assert figures["baselines"].keys() == {"noise", "oracle"}
    assert figures["baselines"]["oracle"]["spearman"]["value"] == 1
    for rival in ("noise", "oracle"):
        sign = {"noise": 1, "oracle": -1}[rival]
        difference = figures["baselines"][rival]["difference"]
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert sign * difference["value"] > 0


def test_figures_have_the_keys_that_other_programs_read():
    truth = make_truth()
    figures = judge(estimator("oracle", truth, seconds=2.0), [noise()], truth)
    assert figures.keys() == {
        *(
            "proxy",
            "measure",
            "baselines",
            "verdict",
            "decision",
            "sentences",
            "ceiling",
            "variants",
        ),
        *FIGURES,
    }
    for of in (figures, figures["baselines"]["noise"]):
        assert of.keys() - {"difference"} >= FIGURES
        for name in ("spearman", "kendall"):
            assert of[name].keys() == {"value", "low", "high"}
            assert -1 <= of[name]["low"] <= of[name]["value"] <= of[name]["high"] <= 1
        assert of["top"].keys() == {"k", "overlap"}
        assert of["seconds"].keys() == {"distill", "proxy_per_candidate", "full_per_candidate"}
    assert figures["seconds"] == {
        "distill": 10.0,
        "proxy_per_candidate": 2.0,
        "full_per_candidate": 100.0,
    }


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_figures_are_strict_json(n):
    truth = make_truth(n)
    figures = judge(estimator("oracle", truth), [noise(n)], truth)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_a_proxy_that_ranks_nothing_says_so_in_numbers():
    truth = make_truth()
    figures = judge(estimator("constant", np.zeros(40)), [estimator("oracle", truth)], truth)
    assert figures["spearman"] == {"value": 0, "low": -1, "high": 1}
    assert figures["verdict"] == {"oracle": "worse"}


def test_the_sentences_name_the_correlation_and_the_number():
    truth = make_truth()
    figures = judge(estimator("oracle", truth), [], truth)
    assert figures["sentences"] == [
        "Use oracle: it ranks better than every rival that costs no more.",
        "oracle ranks 40 candidates with Spearman 1.00 [1.00, 1.00] against full-data training.",
    ]


def test_the_same_seed_gives_the_same_intervals():
    truth = make_truth()
    assert judge(noise(), [noise(seed=2)], truth) == judge(noise(), [noise(seed=2)], truth)


def test_the_top_is_judged_apart():
    truth = make_truth(50)
    best = truth >= np.sort(truth)[-10]
    reversed_at_the_top = estimator("flat", np.where(best, 2 - truth, truth))
    figures = judge(reversed_at_the_top, [], truth)
    assert figures["top_fraction"]["n"] == 10
    assert figures["top_fraction"]["spearman"]["value"] == -1
    assert figures["spearman"]["value"] > 0.8
    assert figures["rank_of_best"] == 10


def test_the_ceiling_is_the_correlation_between_trainings():
    truth = make_truth(50)
    again = np.where(truth >= np.sort(truth)[-10], 2 - truth, truth)
    known = Truth(accuracies=tuple(zip(truth, again, strict=True)), seconds=1.0)
    assert known.ceiling() == pytest.approx(
        np.corrcoef(truth.argsort().argsort(), again.argsort().argsort())[0, 1]
    )
    some = Truth(accuracies=(*known.accuracies[:4], *((a,) for a in truth[4:])), seconds=1.0)
    assert some.ceiling() is not None
    assert known.ceiling(0.2) == -1
    assert Truth(accuracies=tuple((a,) for a in truth), seconds=1.0).ceiling() is None


def test_a_failed_training_counts_as_zero():
    known = Truth(accuracies=((0.5, np.nan), (np.nan,), (0.4,)), seconds=1.0)
    assert known.mean.tolist() == [0.25, 0.0, 0.4]


def test_reliability_is_measured_where_there_are_seeds():
    truth = make_truth(40)
    noises = np.random.default_rng(5).normal(0, 0.2, (2, 40))
    repeats = truth + noises
    several = Estimator(name="p", scores=repeats.mean(0), repeats=repeats)
    found = judge(several, [], truth)["reliability"]
    assert found["seeds"] == 2
    assert 0 < found["between_seeds"] < found["one_seed"] < 1
    single = Estimator(name="p", scores=repeats[0], repeats=repeats[:1])
    assert judge(single, [], truth)["reliability"] is None


def test_a_proxy_equal_to_the_truth_is_not_called_useful_without_enough_candidates():
    truth = make_truth(20)
    figures = judge(estimator("oracle", truth), [noise(20)], truth)
    assert figures["decision"] == "undecided"
    assert figures["sentences"][0] == "Too few candidates to decide (20; the rule wants 30)."


def test_noise_is_called_useless_however_cheap_its_rivals():
    """Over 20 seeds: never used, and refused nearly always."""
    decisions = [
        judge(noise(60, seed), [], make_truth(60, 100 + seed))["decision"] for seed in range(20)
    ]
    assert decisions.count("no") >= 18


def test_fractions_go_from_the_top_to_all():
    truth = make_truth(100)
    known = Truth(accuracies=tuple((a, a) for a in truth), seconds=1.0)
    rows = by_fraction([estimator("oracle", truth), noise(100)], known)
    assert [row["n"] for row in rows] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert all(row["ceiling"] == row["spearman"]["oracle"] == 1 for row in rows)
    assert rows[-1]["spearman"]["noise"] == rank_correlation(noise(100).scores, truth)
    few = Truth(accuracies=known.accuracies[:12], seconds=1.0)
    assert by_fraction([estimator("oracle", truth[:12])], few)[0]["fraction"] == 0.4
