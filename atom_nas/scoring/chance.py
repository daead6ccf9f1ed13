"""Has a net learnt anything? Its accuracy against that of guessing."""

import numpy as np
from scipy.stats import binomtest
from torch import Tensor

UNBALANCED = 1.2
"""A class that has more than so many times its even share of the labels."""

SURE = 0.01
"""An accuracy that guessing reaches less often than this is above chance."""


def chance(labels: Tensor) -> float:
    """Return the accuracy of always answering the commonest of `labels` (N,)."""
    return float(labels.bincount().max()) / len(labels)


def is_at_chance(accuracy: float, labels: Tensor) -> bool:
    """Say whether guessing reaches `accuracy` on `labels` (N,) in 1% of cases or more.

    Exact binomial test of the right answers against `chance`, one-sided.
    """
    hits = round(accuracy * len(labels))
    guessing = chance(labels)
    return bool(binomtest(hits, len(labels), guessing, alternative="greater").pvalue >= SURE)


def is_unbalanced(labels: Tensor) -> bool:
    """Say whether a net that has learnt from balanced images may be right no more often than
    the commonest of `labels` (N,) is there."""
    return chance(labels) * len(labels.unique()) > UNBALANCED


def are_at_chance(accuracies: list[float], labels: Tensor) -> bool:
    """Say whether more than half of the nets are at chance."""
    return bool(np.mean([is_at_chance(accuracy, labels) for accuracy in accuracies]) > 0.5)
