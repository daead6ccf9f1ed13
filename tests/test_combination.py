"""The combined model: never judged on what it was fitted on."""

from dataclasses import replace

import numpy as np
import pytest
from made_scores import estimator, make_truth, noise
from scipy.stats import rankdata

from atom_nas.audit.combination import combine, fit_predictor, make_model, predict_unseen
from atom_nas.audit.ranking import spearman


def test_features_that_say_nothing_give_no_correlation():
    """A model that saw its own candidates would fit 20 noise features to 40 truths."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(10):
        truth = generator.normal(size=40)
        noise = generator.normal(size=(40, 20))
        found.append(spearman(predict_unseen(noise, truth, seed=0), truth).value)
    assert np.mean(found) < 0.15


def test_each_prediction_ignores_its_own_truth():
    generator = np.random.default_rng(1)
    truth = generator.normal(size=30)
    features = np.stack([truth + generator.normal(size=30), generator.normal(size=30)], axis=1)
    predicted = predict_unseen(features, truth, seed=3)
    changed = truth.copy()
    changed[7] += 100
    assert predict_unseen(features, changed, seed=3)[7] == predicted[7]


def test_two_halves_of_the_truth_are_put_together():
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=(2, 200))
    truth = a + b
    features = np.stack([np.exp(a), b**3], axis=1)
    together = spearman(predict_unseen(features, truth, seed=0), truth).value
    assert together > 0.9 > spearman(a, truth).value


@pytest.mark.parametrize("n", [3, 10, 11])
def test_few_and_equal_candidates_are_no_error(n):
    predicted = predict_unseen(np.stack([np.arange(n), np.zeros(n)], axis=1), np.ones(n), seed=0)
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize("n", [13, 18, 19, 25])
@pytest.mark.parametrize("failed", [1, 3])
def test_a_failed_score_moves_the_rank_of_no_other(n, failed):
    scores = np.random.default_rng(n).uniform(size=(n, 1))
    scores[:failed] = np.nan
    ranks, last, _ = make_model(n).fit(scores, np.arange(n)).regressor_
    shares = last.transform(ranks.transform(scores))[:, 0]
    assert (shares[:failed] < 0).all() and len({*shares[:failed]}) == 1
    assert rankdata(shares[failed:]).tolist() == rankdata(scores[failed:, 0]).tolist()
    assert len({*shares[failed:]}) == n - failed


def test_a_score_that_failed_on_all_tells_a_model_nothing():
    known = np.random.default_rng(0).uniform(size=30)
    failed = estimator("failed", np.full(30, np.nan))
    predict = fit_predictor(estimator("proxy", known), [failed], known)
    predicted = predict(estimator("proxy", known), [failed])
    assert spearman(predicted, known).value > 0.9


def test_what_is_predicted_of_a_candidate_depends_on_no_other():
    """Alone, a score that failed must not be taken for one that failed on all: 0 may be the top."""
    truth = make_truth()
    free = -1 - np.random.default_rng(1).uniform(size=40)
    predict = fit_predictor(estimator("proxy", truth), [estimator("free", free)], truth)
    scores, frees = np.array([0.35, 0.6]), np.array([np.nan, -1.5])
    together = predict(estimator("proxy", scores), [estimator("free", frees)])
    for i in range(2):
        alone = predict(
            estimator("proxy", scores[i : i + 1]), [estimator("free", frees[i : i + 1])]
        )
        assert alone == pytest.approx(together[i : i + 1])


def test_what_is_put_together_costs_what_its_parts_cost():
    truth = make_truth()
    free = [noise(seed=i, name=f"free{i}", macs_per_candidate=10.0**i) for i in range(3)]
    average = replace(free[0], name="free_average", kind="rank_average", macs_per_candidate=11.0)
    proxy = estimator("p", truth, macs_per_candidate=1e6, setup_macs=1e9, setup_seconds=5.0)
    ranks, model = combine(proxy, [*free, average], truth, seed=0)
    assert [each.macs_per_candidate for each in ranks] == [1e6 + 11, 11]
    assert [each.macs_per_candidate for each in model] == [1e6 + 111, 111]
    assert [(both.setup_macs, both.setup_seconds) for both, _ in (ranks, model)] == [(1e9, 5.0)] * 2


def test_the_model_takes_more_candidates_than_a_library_samples():
    truth = np.random.default_rng(0).normal(size=10_001)
    assert make_model(10_001).fit(truth[:, None], truth).predict(truth[:5, None]).shape == (5,)


def test_the_model_predicts_new_candidates():
    generator = np.random.default_rng(4)
    features = generator.normal(size=(100, 2))
    model = make_model(100).fit(features, features.sum(1))
    new = generator.normal(size=(50, 2))
    assert spearman(model.predict(new), new.sum(1)).value > 0.9
