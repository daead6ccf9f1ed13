"""Estimators put together: a rank average, and a model fitted on audited candidates."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer

Array = NDArray[np.float64]

NUM_FOLDS, NUM_DEALS = 10, 5


def make_model(num_candidates: int) -> TransformedTargetRegressor:
    """Return a ridge regression from the ranks of scores to the rank of the truth, unfitted.

    Ranks are shares, taken among the `num_candidates` that it is fitted on, and so is what it
    predicts; the penalty is the one of 13 between 1e-3 and 1e3 that leaves the least leave-one-out
    error.
    """
    ranks = QuantileTransformer(n_quantiles=num_candidates)
    steps: Pipeline = make_pipeline(ranks, RidgeCV(alphas=np.logspace(-3, 3, 13)))
    return TransformedTargetRegressor(
        regressor=steps, func=_shares, inverse_func=_as_it_is, check_inverse=False
    )


def _shares(truth: Array) -> Array:
    ranks: Array = rankdata(truth, axis=0) / len(truth)
    return ranks


def _as_it_is(predicted: Array) -> Array:
    return predicted


def predict_unseen(features: Array, truth: Array, *, seed: int) -> Array:
    """Return for each candidate (n,) what models fitted on others predict in the mean, n >= 2.

    `features` are scores (n, d). The candidates are dealt into 10 folds, 5 times by `seed`; a model
    never sees the fold that it predicts, neither its truth nor its scores.
    """
    num_folds = min(NUM_FOLDS, len(truth))
    fitted_on = len(truth) - -(-len(truth) // num_folds)
    model, deals = make_model(fitted_on), np.random.RandomState(seed)
    predicted: Array = np.mean(
        [
            cross_val_predict(
                model, features, truth, cv=KFold(num_folds, shuffle=True, random_state=deals)
            )
            for _ in range(NUM_DEALS)
        ],
        axis=0,
    )
    return predicted
