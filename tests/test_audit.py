"""The audit's verdicts on made cases, and the shape of its figures."""

import json

import numpy as np
import pytest

from atom_nas.audit import Estimator, audit

FIGURES = {"n", "spearman", "kendall", "top", "regret_points", "seconds"}


def make_truth(n=40, seed=0):
    return np.random.default_rng(seed).uniform(0.3, 0.9, n)


def estimator(name, scores, seconds=1.0):
    return Estimator(
        name=name, scores=np.asarray(scores), setup_seconds=10.0, seconds_per_candidate=seconds
    )


def noise(n=40, seed=1):
    return estimator("noise", np.random.default_rng(seed).uniform(size=n))


def judge(proxy, rivals, truth):
    return audit(proxy, rivals, truth, full_seconds=100.0, seed=0)


def test_the_truth_itself_ranks_better_than_noise():
    truth = make_truth()
    figures = judge(estimator("oracle", truth), [noise()], truth)
    assert figures["verdict"] == {"noise": "better"}
    assert figures["spearman"]["value"] == figures["kendall"]["value"] == 1
    assert figures["top"] == {"k": 4, "overlap": 1.0}
    assert figures["regret_points"] == 0
    assert figures["n"] == 40
    assert any("oracle ranks better than noise" in s for s in figures["sentences"])
    assert not any("use noise instead" in s for s in figures["sentences"])


def test_noise_ranks_worse_than_the_truth_and_the_words_say_what_to_use():
    truth = make_truth()
    figures = judge(noise(), [estimator("oracle", truth)], truth)
    assert figures["verdict"] == {"oracle": "worse"}
    assert any(
        "noise ranks worse than oracle: use oracle instead" in s for s in figures["sentences"]
    )
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
    assert figures.keys() == {"proxy", "baselines", "verdict", "sentences", *FIGURES}
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


def test_the_first_sentence_names_the_correlation_and_the_number():
    truth = make_truth()
    figures = judge(estimator("oracle", truth), [], truth)
    assert figures["sentences"] == [
        "oracle ranks 40 candidates with Spearman 1.00 [1.00, 1.00] against full-data training."
    ]


def test_the_same_seed_gives_the_same_intervals():
    truth = make_truth()
    assert judge(noise(), [noise(seed=2)], truth) == judge(noise(), [noise(seed=2)], truth)
