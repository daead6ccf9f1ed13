"""How well scores rank candidates: correlations with 95% intervals, and picks.

Arrays are 1-D, of one length, over the same candidates: scores (higher is better) and truth
(accuracy as a fraction). Anything else, or a value that is not finite, is a `UserError`. A constant
array ranks nothing: its correlation is 0 and its interval is [-1, 1].
"""

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from atom_nas.errors import UserError
from atom_nas.scoring.estimator import Array

Index = NDArray[np.intp]
Limits = tuple[float, float]
Statistic = Callable[[Index], Array]
Fisher = Callable[[float, int], Limits]

MIN_CANDIDATES = 30
"""Under so many candidates a correlation says little: no verdict."""

NUM_RESAMPLES = 9999
"""Of a bootstrap."""

MAX_BOOTSTRAP = 1000
"""Above this many candidates the Fisher z interval is used: the jackknife of BCa is quadratic."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95% interval, low <= value <= high."""

    value: float
    low: float
    high: float


def spearman(scores: ArrayLike, truth: ArrayLike, *, seed: int = 0) -> Estimate:
    """Estimate Spearman's rho (average ranks for ties).

    The interval is the BCa bootstrap over candidates; where that is undefined, or above
    `MAX_BOOTSTRAP` candidates, Fisher z with variance (1 + rho^2 / 2) / (n - 3) (Bonett and
    Wright, Psychometrika 2000). Under 3 candidates, or for a constant, it is [-1, 1].
    """
    x, y = checked(scores, truth)
    value = float(_rank_correlation(x, y))
    return _estimate(value, x, y, lambda i: _rank_correlation(x[i], y[i]), _spearman_fisher, seed)


def rank_correlation(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return the value of `spearman`, without an interval and at once."""
    return float(_rank_correlation(*checked(scores, truth)))


def kendall(scores: ArrayLike, truth: ArrayLike, *, seed: int = 0) -> Estimate:
    """Estimate Kendall's tau-b, its interval as in `spearman` with variance 0.437 / (n - 4)."""
    x, y = checked(scores, truth)
    value = 0.0 if _ranks_nothing(x, y) else float(stats.kendalltau(x, y).statistic)
    return _estimate(value, x, y, lambda i: _tau_b(i, x, y), _kendall_fisher, seed)


def top_overlap(scores: ArrayLike, truth: ArrayLike, k: int) -> float:
    """Return the share of the score's top k whose truth is at least that of the truth's k-th.

    Ties at the score's k-th place are the expectation over their random order.
    """
    x, y = checked(scores, truth)
    above, tied = x > _kth_best(x, k), x == _kth_best(x, k)
    chosen = above + tied * ((k - above.sum()) / tied.sum())
    return float(chosen[y >= _kth_best(y, k)].sum() / k)


def precision_at(scores: ArrayLike, truth: ArrayLike, fraction: float = 0.1) -> float:
    """Return `top_overlap` for k = the fraction of the candidates, rounded up."""
    return top_overlap(scores, truth, _count(fraction, np.size(truth)))


def top_fraction(truth: ArrayLike, fraction: float) -> NDArray[np.bool_]:
    """Return the mask (n,) of the best fraction by truth, rounded up; ties at its end included."""
    (y,) = checked(truth)
    return y >= _kth_best(y, _count(fraction, len(y)))


def regret(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return 100 (max truth - truth of the highest score), in points; tied picks are averaged."""
    x, y = checked(scores, truth)
    return float(100 * (_kth_best(y, 1) - y[x == x.max()].mean()))


def rank_of_best(scores: ArrayLike, truth: ArrayLike) -> int:
    """Return how many candidates, taken by falling score, surely hold one of the best truth.

    It is the 1-based rank of the truth's best; candidates tied with it in score come before it.
    """
    x, y = checked(scores, truth)
    best = y == _kth_best(y, 1)
    return 1 + int(np.count_nonzero(x[~best] >= x[best].max()))


def rank_average(*scores: ArrayLike) -> Array:
    """Return the mean rank (n,) of each candidate over several scores, higher is better."""
    mean: Array = np.mean([stats.rankdata(each) for each in checked(*scores)], axis=0)
    return mean


def reliability(score_matrix: ArrayLike) -> float:
    """Return the mean pairwise Spearman between the rows of (num_seeds, n), 2 rows or more."""
    rows = checked(*np.atleast_2d(np.asarray(score_matrix, dtype=float)))
    if len(rows) < 2:
        raise UserError("got the scores of 1 seed; reliability needs 2 or more: add a seed.")
    return float(np.mean([_rank_correlation(a, b) for a, b in combinations(rows, 2)]))


def candidates_needed(rho: float, width: float) -> int:
    """Return the least n at which the Fisher z interval of Spearman at rho is below width."""
    if not (-1 <= rho <= 1 and 0.001 <= width <= 2):
        raise UserError(f"got rho {rho} and width {width}; use -1 to 1 and 0.001 to 2.")
    counts = range(4, 10**9)
    return counts[bisect_right(counts, -width, key=lambda n: -np.ptp(_spearman_fisher(rho, n)))]


def _count(fraction: float, n: int) -> int:
    if not 0 < fraction <= 1:
        raise UserError(f"got the fraction {fraction}; use one above 0 and up to 1.")
    return math.ceil(round(fraction * n, 9))


def _kth_best(values: Array, k: int) -> float:
    if not 1 <= k <= len(values):
        raise UserError(f"got a top of {k} among {len(values)} candidates; use from 1 to all.")
    return float(np.sort(values)[-k])


def checked(*arrays: ArrayLike) -> tuple[Array, ...]:
    """Return the arrays as floats; UserError unless they are 1-D, of one length and finite."""
    found = tuple(np.asarray(array, dtype=float) for array in arrays)
    if any(array.shape != (found[0].size,) for array in found):
        raise UserError(f"got shapes {[a.shape for a in found]}; give 1-D arrays of one length.")
    bad = np.flatnonzero(~np.isfinite(np.stack(found)).all(axis=0)).tolist()
    if bad:
        raise UserError(f"got {len(bad)} that are not finite, at {bad[:5]}; leave such ones out.")
    return found


def _ranks_nothing(*arrays: Array) -> bool:
    return any(array.size == 0 or np.ptp(array) == 0 for array in arrays)


def _rank_correlation(x: Array, y: Array) -> Array:
    """Spearman over the last axis, 0 where either side is constant."""
    middle = (x.shape[-1] + 1) / 2
    a, b = stats.rankdata(x, axis=-1) - middle, stats.rankdata(y, axis=-1) - middle
    return ratio((a * b).sum(-1), (a * a).sum(-1), (b * b).sum(-1))


def _tau_b(drawn: Index, x: Array, y: Array) -> Array:
    """Tau-b of each row of drawn candidates, from how often each pair of them was drawn."""
    n, num_rows = len(x), drawn.size // drawn.shape[-1]
    flat = drawn.reshape(num_rows, -1) + n * np.arange(num_rows)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n * num_rows).reshape(num_rows, n).astype(float)
    signs_x, signs_y = (np.sign(np.subtract.outer(array, array)) for array in (x, y))
    pairs = (signs_x * signs_y, np.abs(signs_x), np.abs(signs_y))
    product, square_x, square_y = (((counts @ pair) * counts).sum(-1) for pair in pairs)
    return ratio(product, square_x, square_y).reshape(drawn.shape[:-1])


def ratio(product: Array, square_x: Array, square_y: Array) -> Array:
    """Return the correlation, 0 where a side has no spread."""
    scale = np.sqrt(square_x * square_y)
    return np.clip(product / np.where(scale > 0, scale, 1), -1, 1)


def _estimate(
    value: float, x: Array, y: Array, resampled: Statistic, fisher: Fisher, seed: int
) -> Estimate:
    """By the bootstrap, or by Fisher z where that is too dear, NaN or without width."""
    n = len(x)
    if n < 3 or _ranks_nothing(x, y):
        return around(value, -1.0, 1.0)
    low, high = _bootstrap(resampled, n, seed) if n <= MAX_BOOTSTRAP else (0.0, 0.0)
    if not low < high:
        low, high = fisher(value, n)
    return around(value, low, high)


def around(value: float, low: float, high: float) -> Estimate:
    """Return the estimate, its interval widened where that leaves out the value."""
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _bootstrap(resampled: Statistic, n: int, seed: int) -> Limits:
    """BCa limits of a statistic of drawn candidates (..., n), which keeps its arrays paired."""
    degenerate = warnings.catch_warnings(action="ignore", category=stats.DegenerateDataWarning)
    with degenerate, np.errstate(all="ignore"):
        interval = stats.bootstrap(
            (np.arange(n),),
            lambda drawn, axis: resampled(drawn),
            vectorized=True,
            method="BCa",
            n_resamples=NUM_RESAMPLES,
            batch=max(1, 10**6 // n),
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(interval.low), float(interval.high)


def _spearman_fisher(rho: float, n: int) -> Limits:
    variance = (1 + rho**2 / 2) / (n - 3) if n > 3 else math.inf
    return _fisher(rho, variance, 12 / (n * (n**2 - 1)))


def _kendall_fisher(tau: float, n: int) -> Limits:
    return _fisher(tau, 0.437 / (n - 4) if n > 4 else math.inf, 4 / (n * (n - 1)))


def _fisher(value: float, variance: float, swap: float) -> Limits:
    """Limits by Fisher z; a perfect value counts as one swap of neighbours short of it."""
    most, half = 1 - max(swap, 1e-12), 1.96 * math.sqrt(variance)
    centre = math.atanh(min(max(value, -most), most))
    return math.tanh(centre - half), math.tanh(centre + half)
