"""The audit of scores: its verdicts on made cases, and what it must not depend on."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from made_scores import estimator, judge, make_truth, noise

from atom_nas.audit import ranking
from atom_nas.audit.figures import audit_scores, regions
from atom_nas.audit.ranking import Estimate, rank_correlation
from atom_nas.audit.truth import Truth
from atom_nas.errors import UserError
from atom_nas.scoring.estimator import SHARED_OVER, Estimator


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(ranking, "NUM_RESAMPLES", 999)


def verdicts(audit):
    return {rival.figures.name: rival.comparison.verdict for rival in audit.rivals}


def test_the_truth_itself_ranks_better_than_noise():
    truth = make_truth()
    found = judge(estimator("oracle", truth), [noise()], truth)
    assert verdicts(found) == {"noise": "better"}
    assert found.proxy.spearman.value == found.proxy.kendall.value == 1
    assert (found.proxy.top_k, found.proxy.overlap, found.proxy.precision) == (4, 1.0, 1.0)
    assert (found.proxy.regret_points, found.proxy.rank_of_best, found.n) == (0, 1, 40)
    assert any("oracle ranks better than noise" in s for s in found.sentences)
    assert found.decision == "yes"


def test_noise_ranks_worse_than_the_truth_and_the_words_say_what_to_use():
    truth = make_truth()
    found = judge(noise(), [estimator("oracle", truth)], truth)
    assert verdicts(found) == {"oracle": "worse"}
    assert found.sentences[0] == ("Do not use noise here: oracle ranks better and costs no more.")
    assert any("noise ranks worse than oracle" in s for s in found.sentences)
    assert found.decision == "no"
    assert found.proxy.regret_points > 0


@pytest.mark.parametrize(("n", "is_enough"), [(29, False), (30, True)])
def test_thirty_candidates_are_enough(n, is_enough):
    truth = make_truth(n)
    found = judge(estimator("oracle", truth), [noise(n)], truth)
    assert verdicts(found) == {"noise": "better" if is_enough else "undecided"}
    assert found.decision == ("yes" if is_enough else "undecided")
    assert ("Under 30 candidates a correlation says little." in found.sentences) != is_enough
    few = f"Too few candidates to decide ({n}; the rule wants 30)."
    assert (found.sentences[0] == few) != is_enough


def test_a_dearer_rival_refuses_nothing_and_costs_are_multiply_adds():
    """Seconds and the number of candidates change nothing; a tenth more is no dearer."""
    truth = make_truth()
    better = estimator("oracle", truth)
    for macs, seconds, decision in (
        (1e9, 0.0, "no"),
        (1.1e9, 999.0, "no"),
        (1.2e9, 0.0, "undecided"),
    ):
        proxy = noise(name="proxy", macs_per_candidate=0.5e9, setup_macs=0.5e9 * SHARED_OVER)
        proxy = replace(proxy, scores=truth + 0.1 * proxy.scores, seconds_per_candidate=seconds)
        rival = replace(better, macs_per_candidate=macs)
        found = judge(proxy, [rival, replace(proxy, name="twin")], truth)
        assert found.decision == decision
        assert found.rivals[0].is_fair == (decision == "no")
    assert found.rivals[0].p_worse_corrected is None
    assert found.rivals[1].p_worse_corrected == 1


def test_one_of_many_equals_that_wins_by_chance_does_not_refuse():
    """By its own interval the best of fifteen twins with noise is ahead; corrected it is not."""
    generator = np.random.default_rng(4)
    truth = make_truth()
    scores = truth + generator.normal(0, 0.1, (16, 40))
    rivals = [estimator(f"r{i}", row) for i, row in enumerate(scores[1:])]
    found = judge(estimator("proxy", scores[0]), rivals, truth)
    worse = [rival for rival in found.rivals if rival.comparison.verdict == "worse"]
    assert worse and all(rival.p_worse_corrected > 0.05 for rival in worse)
    assert found.decision == "undecided"


def test_the_test_split_changes_only_what_is_said_of_it():
    truth = make_truth()
    known = Truth(validation=truth, test=truth[::-1])
    proxy = noise(variants={"loss": truth}, repeats=np.stack([truth, make_truth(seed=9)]))
    rivals, both = [noise(seed=2, name="r")], (noise(seed=3, name="both"), noise(seed=4, name="b"))

    def audit_by(known):
        return audit_scores(proxy, rivals, known, combined=[both])

    def without_test(audit):
        found = json.loads(audit.to_json())
        del found["test"]
        rest = [each["figures"] for each in (*found["rivals"], *found["combined"])]
        for figures in (found["proxy"], found["combined"][0]["base"], *rest):
            del figures["spearman_test"]
        return json.dumps(found)

    first, other = audit_by(known), audit_by(replace(known, test=truth))
    assert first.proxy.spearman_test == pytest.approx(rank_correlation(proxy.scores, truth[::-1]))
    assert first.proxy.spearman_test != other.proxy.spearman_test
    assert without_test(first) == without_test(other)
    assert without_test(first) == without_test(audit_by(replace(known, test=None)))


def test_a_failed_candidate_is_last_by_every_score():
    nan = float("nan")
    found = Estimator(
        name="mine",
        kind="model",
        scores=[3, nan, -1e308],
        repeats=[[nan, 5, 4], [1, 2, nan]],
        variants={"loss": [nan, nan, 0]},
    )
    assert found.ranked.argsort().tolist() == [1, 2, 0]
    assert found.ranked_repeats.argmin(1).tolist() == [0, 2]
    assert found.ranked_variants["loss"].argmax() == 2
    assert all(np.isfinite(each).all() for each in (found.ranked, found.ranked_variants["loss"]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"scores": [[1, 2]]},
        {"scores": [1, float("inf")]},
        {"variants": {"loss": [1]}},
        {"repeats": [[1, 2, 3]]},
        {"seconds_per_candidate": float("nan")},
        {"setup_macs": -1.0},
    ],
)
def test_an_estimator_of_other_shapes_or_costs_is_refused(wrong):
    with pytest.raises(UserError, match="mine"):
        Estimator(**{"name": "mine", "kind": "size", "scores": [1, 2], **wrong})


def test_what_does_not_fit_the_truth_is_refused():
    truth = make_truth(3)
    with pytest.raises(UserError, match="noise scores 4 of 3 candidates"):
        judge(estimator("p", truth), [noise(4)], truth)
    with pytest.raises(UserError, match="two estimators are called noise"):
        judge(noise(3), [noise(3)], truth)
    with pytest.raises(UserError, match="got 2 names of candidates and 3 truths"):
        judge(noise(3), [], truth, candidates=["a", "b"])


def test_scores_that_are_mostly_one_value_decide_nothing_and_say_so_first():
    truth = make_truth()
    tied = np.where(np.arange(40) < 21, 0.1, truth)
    for proxy, said in (
        (estimator("p", tied), "score the same on p"),
        (noise(name="p", variants={"accuracy": tied}), "have the same accuracy on p"),
    ):
        found = judge(proxy, [estimator("oracle", truth)], truth)
        assert found.decision == "undecided"
        assert found.sentences[0].startswith(f"21 of 40 candidates {said}")
        assert "--proxy-steps" in found.sentences[0]
    found = judge(estimator("p", truth), [], tied)
    assert found.decision == "undecided"
    assert "21 of 40 candidates have the same full-data accuracy" in found.sentences[0]
    half = np.where(np.arange(40) < 20, 0.1, truth)
    assert not judge(estimator("p", half), [], truth).sentences[0].startswith("20 of 40")
    assert found.caution == found.sentences[0]
    assert judge(estimator("p", truth), [noise()], truth).caution == ""


def test_nets_that_learn_all_are_not_said_to_learn_nothing():
    truth = make_truth()
    learnt = np.where(np.arange(40) < 25, 1.0, 0.9)
    found = judge(estimator("p", truth, variants={"accuracy": learnt}), [noise()], truth)
    assert (found.caution, found.decision) == ("", "yes")
    said = judge(estimator("p", truth), [noise()], learnt).caution
    assert "25 of 40" in said and "more validation images, or harder ones" in said


def test_a_measure_is_suggested_neither_under_a_caution_nor_against_a_joint_search(monkeypatch):
    monkeypatch.setattr(ranking, "NUM_RESAMPLES", 999)
    truth = make_truth()
    proxy = noise(name="p", variants={"loss": truth}, measure="accuracy")
    for more, is_said in (
        ({"objective": "accuracy"}, True),
        ({"objective": "combined"}, False),
        ({"caution": "the order means little."}, False),
    ):
        found = judge(proxy, [noise(seed=2)], truth, **more)
        assert any("--objective loss" in each for each in found.sentences) is is_said


def test_the_plan_counts_every_training_of_a_candidate():
    truth = Truth(validation=[(a, a, a) for a in make_truth()], seconds=100.0, macs=1e6)
    proxy = noise(macs_per_candidate=1e3, seconds_per_candidate=1.0)
    rival = noise(seed=2, name="other", macs_per_candidate=10.0, seconds_per_candidate=2.0)
    trained = audit_scores(proxy, [rival], truth, is_truth_known=False).plan
    known = audit_scores(proxy, [rival], truth).plan
    more = known.more_candidates
    assert more == trained.more_candidates > 0
    assert (known.macs, known.seconds) == (1010 * more, 3 * more)
    assert (trained.macs, trained.seconds) == (3_001_010 * more, 303 * more)


def test_a_test_accuracy_that_is_missing_is_not_zero():
    values = make_truth()
    test = np.where(np.arange(40) == 3, np.nan, values)
    found = audit_scores(noise(), [], Truth(validation=values, test=test))
    assert found.test is not None and found.truth[3] is not None
    assert [i for i, each in enumerate(found.test) if each is None] == [3]


def test_candidates_that_mostly_failed_are_not_called_alike():
    truth, lost = make_truth(), np.where(np.arange(40) < 21, np.nan, make_truth())
    found = judge(estimator("p", lost), [noise()], truth)
    assert found.sentences[0].startswith("21 of 40 candidates failed on p, so there is little")
    found = judge(estimator("p", truth), [noise()], lost)
    assert found.sentences[0].startswith("21 of 40 candidates failed on the full data")
    assert found.decision == "undecided" and found.caution
    known = np.where(np.arange(40) < 20, np.nan, truth)
    assert not judge(estimator("p", known), [noise()], truth).caution


def test_a_rival_that_failed_is_said_to_and_beaten_by_nobody():
    truth = make_truth()
    some = noise(name="some")
    some.scores[:3] = np.nan
    none = estimator("none", np.full(40, np.nan))
    found = judge(estimator("p", truth), [some, none], truth)
    assert set(verdicts(found)) == {"some"}
    assert "Counted as the worst where a score failed: some on 3." in found.sentences
    assert "Left out, as no candidate could be scored by it: none." in found.sentences
    assert judge(estimator("p", truth), [none], truth).decision == "undecided"
    assert not any("Left out" in each for each in judge(none, [some], truth).sentences)


def test_a_proxy_that_ranks_nothing_says_so_in_numbers():
    truth = make_truth()
    found = judge(estimator("constant", np.zeros(40)), [estimator("oracle", truth)], truth)
    assert found.proxy.spearman == Estimate(value=0, low=-1, high=1)
    assert verdicts(found) == {"oracle": "worse"}


def test_the_top_is_judged_apart():
    truth = make_truth(50)
    best = truth >= np.sort(truth)[-10]
    found = judge(estimator("flat", np.where(best, 2 - truth, truth)), [], truth)
    assert found.proxy.spearman_top.value == -1
    assert found.proxy.spearman.value > 0.8
    assert found.proxy.rank_of_best == 10


def test_seeds_are_compared_where_there_are_two():
    truth = make_truth(40)
    repeats = truth + np.random.default_rng(5).normal(0, 0.15, (2, 40))
    found = judge(estimator("p", repeats.mean(0), repeats=repeats), [], truth).seeds
    assert found.count == 2
    assert 0 < found.between < found.one < 1
    assert judge(estimator("p", repeats[0], repeats=repeats[:1]), [], truth).seeds is None


def test_fractions_go_from_the_top_to_all():
    truth = make_truth(100)
    both = [estimator("oracle", truth), noise(100)]
    rows = regions(both, Truth(validation=truth))
    assert [row.n for row in rows] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert all(row.spearman["oracle"] == 1 and row.ceiling.value is None for row in rows)
    assert rows[-1].spearman["noise"] == rank_correlation(noise(100).scores, truth)
    few = regions([estimator("oracle", truth[:12])], Truth(validation=truth[:12]))
    assert few[0].fraction == 0.4


def test_plain_numbers_make_an_audit_without_torch():
    code = (
        "import sys; from atom_nas.audit.figures import audit_scores; "
        "from atom_nas.audit.truth import Truth; from atom_nas.scoring.estimator import Estimator; "
        "mine = Estimator(name='mine', kind='model', scores=[1, 2, 3]); "
        "audit = audit_scores(mine, [], Truth(validation=[0.7, 0.8, 0.9])); "
        "assert audit.proxy.spearman.value == 1; audit.plot(); "
        "assert not {'torch', 'optuna', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
