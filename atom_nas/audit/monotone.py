"""Curves that rise with a size: fitted, and read the other way round."""

from collections.abc import Sequence

import numpy as np

from atom_nas.scoring.estimator import Array

ROUNDING = 1e-12
"""Heights no further apart are equal."""


def rising(values: Array, weights: Sequence[float]) -> Array:
    """Return the weighted isotonic regression of each column of (sizes, columns).

    By its max-min formula (Robertson, Wright and Dykstra, "Order Restricted Statistical Inference",
    1988, section 1.4): at k the largest, over starts i <= k, of the smallest, over ends j >= k,
    weighted mean from i to j.
    """
    heavy = np.asarray(weights, dtype=float)[:, None]
    fitted = np.full_like(values, -np.inf)
    for start in range(len(values)):
        means = np.cumsum((values * heavy)[start:], axis=0) / np.cumsum(heavy[start:], axis=0)
        smallest = np.minimum.accumulate(means[::-1], axis=0)[::-1]
        fitted[start:] = np.maximum(fitted[start:], smallest)
    return fitted


def reached(curves: Array, heights: Array, sizes: Sequence[int]) -> Array:
    """Return the least size, shape (columns,), at which each rising curve is at its height.

    `curves` has shape (sizes, columns), `heights` (columns,), and `sizes`, 2 or more,
    rise. Linear in the logarithm of the size; the smallest or largest where the height lies beyond.
    """
    logs, columns = np.log(sizes), np.arange(len(heights))
    after = (curves < heights - ROUNDING).sum(0)
    right = np.clip(after, 1, len(sizes) - 1)
    low, high = curves[right - 1, columns], curves[right, columns]
    rise = np.where(high > low, high - low, 1.0)
    share = np.clip((heights - low) / rise, 0, 1)
    inside = np.exp(logs[right - 1] + share * (logs[right] - logs[right - 1]))
    inside = np.clip(inside, sizes[0], sizes[-1])
    found: Array = np.where(after == 0, sizes[0], np.where(after == len(sizes), sizes[-1], inside))
    return found
