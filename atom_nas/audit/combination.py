"""Estimators put together: a rank average, and a model fitted on audited candidates."""

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
from scipy.stats import rankdata
from sklearn.compose import TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer

from atom_nas.audit.ranking import rank_average
from atom_nas.scoring.estimator import Array, Estimator, Kind

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
    single = [each for each in free if each.kind != "rank_average"]
    ranks = rank_average(proxy.ranked, average.ranked)
    pairs = [(_join("combined_ranks", "rank_average", ranks, [proxy, average]), average)]
    if len(truth) >= MIN_FITTED:
        with_proxy, without = (
            predict_unseen(_matrix(features, _told(features)), truth, seed=seed)
            for features in (_features(free, proxy), _features(free))
        )
        model = _join("combined_model", "model", with_proxy, [proxy, *single])
        pairs.append((model, _join("free_model", "model", without, single)))
    return pairs


def _join(name: str, kind: Kind, scores: Array, parts: Sequence[Estimator]) -> Estimator:
    """Return an estimator that costs what its parts cost together."""
    return Estimator(
        name=name,
        kind=kind,
        scores=scores,
        setup_macs=sum(each.setup_macs for each in parts),
        setup_seconds=sum(each.setup_seconds for each in parts),
        macs_per_candidate=sum(each.macs_per_candidate for each in parts),
        seconds_per_candidate=sum(each.seconds_per_candidate for each in parts),
    )


def fit_predictor(proxy: Estimator, free: Sequence[Estimator], truth: Array) -> Joined:
    """Return what predicts the ranks (shares, 1 for the best) of new candidates.

    It takes their scores by the proxy and the free scores; the model is fitted on all of the
    candidates here, whose `truth` (n,) is known. What it says of a candidate depends on no other.
    """
    features = _features(free, proxy)
    told = _told(features)
    model = make_model(len(truth)).fit(_matrix(features, told), truth)

    def predict(own: Estimator, others: Sequence[Estimator]) -> Array:
        predicted: Array = model.predict(_matrix(_features(others, own), told))
        return predicted

    return predict


def _features(free: Sequence[Estimator], proxy: Estimator | None = None) -> dict[str, Array]:
    """Return the scores (n,) that a model combines, by name; ranks among others are none."""
    features = {each.name: each.scores for each in free if each.kind != "rank_average"}
    return features if proxy is None else {**features, "proxy": proxy.scores, **proxy.variants}


def _told(features: Mapping[str, Array]) -> set[str]:
    """Return the features that are known of a candidate at least; the others tell nothing."""
    return {name for name, each in features.items() if np.isfinite(each).any()}


def _matrix(features: Mapping[str, Array], told: Container[str]) -> Array:
    """Return the features as (n, d), NaN where one failed; what is not `told` is one and the same.

    Features are fitted and predicted with the same `told`: that of those who are fitted on.
    """
    columns = [each if name in told else np.zeros_like(each) for name, each in features.items()]
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
