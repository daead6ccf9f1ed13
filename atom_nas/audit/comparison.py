"""Does one score rank candidates better than another? A bootstrap paired over the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atom_nas.audit import ranking
from atom_nas.audit.ranking import MAX_BOOTSTRAP, MIN_CANDIDATES, Estimate
from atom_nas.scoring.estimator import Array

Verdict = Literal["better", "worse", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Spearman of the scores minus Spearman of a rival, over the same n candidates."""

    difference: Estimate
    p_better: float
    """One-sided: how often so high a difference is seen where the scores rank no better."""
    p_worse: float
    """One-sided: how often so low a difference is seen where they rank no worse."""
    n: int

    @property
    def verdict(self) -> Verdict:
        """Decided when the interval leaves zero out and n is at least `MIN_CANDIDATES`."""
        if self.n < MIN_CANDIDATES or self.difference.low <= 0 <= self.difference.high:
            return "undecided"
        return "better" if self.difference.low > 0 else "worse"


def compare(scores: ArrayLike, rival: ArrayLike, truth: ArrayLike, *, seed: int = 0) -> Comparison:
    """Compare two scores (n,) by the truth (n,); see `compare_all`."""
    return compare_all(scores, [rival], truth, seed=seed)[0]


def compare_all(
    scores: ArrayLike, rivals: Sequence[ArrayLike], truth: ArrayLike, *, seed: int = 0
) -> list[Comparison]:
    """Compare the scores (n,) with each rival (n,) by the truth (n,), on the same resamples.

    The interval has the percentiles of the bootstrap as its ends; a p-value is the share of the
    resampled differences on the other side of zero or at it, the found one among them (Davison and
    Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2.3).
    """
    y, *arrays = ranking.checked(truth, scores, *rivals)
    found = [ranking.rank_correlation(array, y) for array in arrays]
    resampled = resample(arrays, y, seed)
    comparisons = []
    for value, differences in zip(found[1:], resampled[0] - resampled[1:], strict=True):
        low, high = np.percentile(differences, (2.5, 97.5)) if len(y) > 2 else (-2.0, 2.0)
        below, above = np.sum(differences <= 0), np.sum(differences >= 0)
        comparisons.append(
            Comparison(
                difference=ranking.around(found[0] - value, float(low), float(high)),
                p_better=float(1 + below) / (1 + len(differences)),
                p_worse=float(1 + above) / (1 + len(differences)),
                n=len(y),
            )
        )
    return comparisons


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values corrected for their number (Holm, Scand. J. Statistics 1979).

    Rejecting those at or below a level finds anything false, at whatever number of true
    hypotheses, in no more than that share of cases: the family-wise error rate.
    """
    corrected, largest = {}, 0.0
    for number, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - number) * p_values[name]))
        corrected[name] = largest
    return corrected


def resample(arrays: Sequence[Array], truth: Array, seed: int) -> Array:
    """Return Spearman of each array (n,) in each resample, (arrays, resamples)."""
    n = len(truth)
    if n < 3:
        return np.zeros((len(arrays), 1))
    generator = np.random.default_rng(seed)
    total = ranking.NUM_RESAMPLES if n <= MAX_BOOTSTRAP else ranking.NUM_RESAMPLES // 5
    batch = max(1, 10**6 // n)
    sizes = (min(batch, total - start) for start in range(0, total, batch))
    drawn = (generator.integers(0, n, (size, n)) for size in sizes)
    return np.concatenate([_correlations(arrays, truth, _count(each)) for each in drawn], axis=1)


def _count(drawn: NDArray[np.int64]) -> Array:
    """Return how often each of the n candidates stands in each row of (resamples, n)."""
    num_rows, n = drawn.shape
    cells = drawn + n * np.arange(num_rows)[:, None]
    counts = np.bincount(cells.ravel(), minlength=n * num_rows).reshape(num_rows, n)
    return counts.astype(np.float64)


def _correlations(arrays: Sequence[Array], truth: Array, counts: Array) -> Array:
    """Return Spearman of each array (n,) with the truth in each resample, (arrays, resamples)."""
    by_truth = _ranks(truth, counts)
    weighted = counts * by_truth
    square = (weighted * by_truth).sum(-1)
    rows = []
    for array in arrays:
        ranks = _ranks(array, counts)
        product = (weighted * ranks).sum(-1)
        rows.append(ranking.ratio(product, (counts * ranks * ranks).sum(-1), square))
    return np.array(rows)


def _ranks(values: Array, counts: Array) -> Array:
    """Return the average rank that each candidate has in each resample, less the middle one.

    Without sorting again: a candidate comes after all those drawn that are below it.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    firsts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    drawn = np.add.reduceat(counts[:, order], firsts, axis=1)
    of_each = np.cumsum(drawn, axis=1) - (drawn - 1) / 2
    ranks = np.empty_like(counts)
    ranks[:, order] = np.repeat(of_each, np.diff(np.r_[firsts, len(values)]), axis=1)
    ranks -= (counts.shape[1] + 1) / 2
    return ranks
