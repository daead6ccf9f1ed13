"""Estimators put together: a rank average, and a model fitted on audited candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import rankdata
from sklearn.compose import TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer

from atom_nas.audit.ranking import rank_average
from atom_nas.scoring.estimator import Array, Estimator

NUM_FOLDS, NUM_DEALS = 10, 5

MIN_FITTED = 10
"""Under so many audited candidates no model is fitted."""

Joined = Callable[[Estimator, Sequence[Estimator]], Array]
"""From the scores of n candidates by the proxy and by all free scores to one of each, (n,)."""


def combine(
    proxy: Estimator, free: Sequence[Estimator], truth: Array, *, seed: int
) -> list[tuple[Estimator, Estimator]]:
    """Return the combined estimators, each with what it is made of but for the proxy.

    `combined_ranks` is the rank average of the proxy and `free_average`; `combined_model` predicts
    the `truth` (n,) of each candidate from all scores, fitted on others.
    """
    average = next(each for each in free if each.kind == "rank_average")
    both = replace(
        proxy,
        setup_macs=proxy.setup_macs + average.setup_macs,
        macs_per_candidate=proxy.macs_per_candidate + average.macs_per_candidate,
        seconds_per_candidate=proxy.seconds_per_candidate + average.seconds_per_candidate,
        repeats=None,
        variants={},
        measure="",
    )
    ranks = rank_average(proxy.ranked, average.ranked)
    pairs = [(replace(both, name="combined_ranks", kind="rank_average", scores=ranks), average)]
    if len(truth) >= MIN_FITTED:
        with_proxy, without = (
            predict_unseen(_matrix(features), truth, seed=seed)
            for features in (_features(free, proxy), _features(free))
        )
        model = replace(both, name="combined_model", kind="model", scores=with_proxy)
        base = replace(average, name="free_model", kind="model", scores=without)
        pairs.append((model, base))
    return pairs


def fit_predictor(proxy: Estimator, free: Sequence[Estimator], truth: Array) -> Joined:
    """Return what predicts the ranks (shares, 1 for the best) of new candidates.

    It takes their scores by the proxy and the free scores; the model is fitted on all of the
    candidates here, whose `truth` (n,) is known.
    """
    model = make_model(len(truth)).fit(_matrix(_features(free, proxy)), truth)

    def predict(own: Estimator, others: Sequence[Estimator]) -> Array:
        predicted: Array = model.predict(_matrix(_features(others, own)))
        return predicted

    return predict


def _features(free: Sequence[Estimator], proxy: Estimator | None = None) -> dict[str, Array]:
    """Return the scores (n,) that a model combines, by name; ranks among others are none."""
    features = {each.name: each.scores for each in free if each.kind != "rank_average"}
    return features if proxy is None else {**features, "proxy": proxy.scores, **proxy.variants}


def _matrix(features: Mapping[str, Array]) -> Array:
    """Return the features as (n, d), NaN where one failed; one that failed on all tells nothing."""
    known = [np.isfinite(each).any() for each in features.values()]
    columns = [
        each if some else np.zeros_like(each)
        for each, some in zip(features.values(), known, strict=True)
    ]
    return np.stack(columns, axis=1)


def make_model(num_candidates: int) -> TransformedTargetRegressor:
    """Return a ridge regression from the ranks of scores to the rank of the truth, unfitted.

    Ranks are shares, taken among the `num_candidates` that it is fitted on, and so is what it
    predicts; a score that failed (NaN) has one below all others. The penalty is the one of 13
    between 1e-3 and 1e3 that leaves the least leave-one-out error.
    """
    ranks = QuantileTransformer(n_quantiles=num_candidates, subsample=None)
    last = SimpleImputer(strategy="constant", fill_value=-1 / num_candidates)
    steps: Pipeline = make_pipeline(ranks, last, RidgeCV(alphas=np.logspace(-3, 3, 13)))
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
