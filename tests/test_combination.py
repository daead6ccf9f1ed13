"""The combined model: never judged on what it was fitted on."""

import numpy as np
import pytest
from scipy.stats import rankdata

from atom_nas.audit.combination import _matrix, make_model, predict_unseen
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
    features = {"known": known, "failed": np.full(30, np.nan)}
    predicted = predict_unseen(_matrix(features), known, seed=0)
    assert spearman(predicted, known).value > 0.9


def test_the_model_takes_more_candidates_than_a_library_samples():
    truth = np.random.default_rng(0).normal(size=10_001)
    assert make_model(10_001).fit(truth[:, None], truth).predict(truth[:5, None]).shape == (5,)


def test_the_model_predicts_new_candidates():
    generator = np.random.default_rng(4)
    features = generator.normal(size=(100, 2))
    model = make_model(100).fit(features, features.sum(1))
    new = generator.normal(size=(50, 2))
    assert spearman(model.predict(new), new.sum(1)).value > 0.9
