"""Where a candidate would stand among a fixed reference: ranks of one candidate at a time.

A rank average needs all candidates at once, and a search is told one after the other. Here the
ranks are those among a reference whose scores are known, so that what a candidate scores depends on
no candidate but these, and never changes. The definition is in docs/audit.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import rankdata

from atom_nas.audit.against import AVERAGED
from atom_nas.scoring.estimator import Array, Estimator


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranks:
    """The ranks of one score among the n candidates of a reference."""

    values: Array
    """Shape (m,), rising: the distinct known scores of the reference, m from 0 to n."""
    shares: Array
    """Shape (m,): the rank of each (from 1, ties their mean; failed ones first) over n + 1."""
    lowest: float
    """The share that lies below all known scores: that of the failed ones."""
    width: float
    """Mean distance of the known scores from their median; 1 where they are all the same."""

    @classmethod
    def among(cls, reference: Array) -> Self:
        """Return the ranks among the scores (n,) of a reference, NaN where they failed."""
        known = np.sort(reference[np.isfinite(reference)])
        failed, total = len(reference) - len(known), len(reference) + 1
        values, first = np.unique(known, return_index=True)
        shares = (failed + rankdata(known)[first]) / total
        width = float(np.abs(known - np.median(known)).mean()) if known.size else 0.0
        return cls(values=values, shares=shares, lowest=failed / total, width=width or 1.0)

    def of(self, scores: Array) -> Array:
        """Return the ranks as shares from 0 to 1, shape (n,) as `scores`; 0 where these are NaN.

        They rise with the score: linear between two of the reference; below and above it half of
        what is left to the lowest share and to 1 is gone at a distance of `width`, three quarters
        at three times that. Where the whole reference failed, every known score has 1.
        """
        if not self.values.size:
            return np.where(np.isnan(scores), 0.0, 1.0)
        low, high = self.values[[0, -1]]
        inside = np.interp(scores, self.values, self.shares)
        below = 1 + np.maximum(low - scores, 0) / self.width
        above = 1 + np.maximum(scores - high, 0) / self.width
        beyond = np.where(
            scores < low,
            self.lowest + (self.shares[0] - self.lowest) / below,
            1 - (1 - self.shares[-1]) / above,
        )
        shares = np.where((scores < low) | (scores > high), beyond, inside)
        return np.where(np.isnan(scores), 0.0, shares)


class RankAverage:
    """`combined_ranks` among a reference: the mean rank by the proxy and by `free_average`.

    On the reference itself, where nothing failed, it is that estimator over n + 1.
    """

    def __init__(self, proxy: Estimator, free: Sequence[Estimator]) -> None:
        """Take the reference's scores by the proxy and the free scores."""
        self._proxy = Ranks.among(proxy.scores)
        self._parts = {each.name: Ranks.among(each.scores) for each in _averaged(free)}
        self._average = Ranks.among(self._mean(free))

    def __call__(self, proxy: Estimator, free: Sequence[Estimator]) -> Array:
        """Return the shares (n,), higher is better, of candidates by the same scores of theirs.

        By a score that failed a candidate is below all others.
        """
        own, average = self._proxy.of(proxy.scores), self._average.of(self._mean(free))
        return (own + average) / 2

    def _mean(self, free: Sequence[Estimator]) -> Array:
        shares = [self._parts[each.name].of(each.scores) for each in _averaged(free)]
        mean: Array = np.mean(shares, axis=0)
        return mean


def _averaged(free: Sequence[Estimator]) -> list[Estimator]:
    return [each for each in free if each.name in AVERAGED]
