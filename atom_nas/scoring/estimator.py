"""One way of judging candidates: its scores of each, and what they cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atom_nas.errors import UserError

Array = NDArray[np.float64]

Kind = Literal[
    "distilled",
    "random",
    "coreset",
    "full_data",
    "size",
    "zero_cost",
    "rank_average",
    "model",
]
"""Training on a distilled set, on random images, on chosen real ones, or on all for a while; a
count (parameters, multiply-adds); a score of the untrained net; other estimators together, by their
mean rank or by a fitted model."""

SHARED_OVER = 100
"""Candidates that share what is spent once: a fixed number, so that neither a noisy machine nor the
size of an audit changes which rivals are dearer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimator:
    """Scores of the audited candidates by one way of judging them, and what it cost.

    Any sequences of numbers become arrays. Raises UserError where they are of other lengths or
    infinite, or where a cost is no number.
    """

    name: str
    kind: Kind
    scores: Array
    """Shape (n,), higher is better; NaN where the candidate failed under this estimator."""
    setup_macs: float = 0.0
    """Multiply-adds spent once, whatever the number of candidates (a distillation)."""
    macs_per_candidate: float = 0.0
    """Multiply-adds, the mean."""
    setup_seconds: float = 0.0
    seconds_per_candidate: float = 0.0
    """Measured, and only shown: what decides is counted in multiply-adds."""
    repeats: Array | None = None
    """Shape (r, n): the score of each seed, where `scores` is their mean."""
    measure: str = ""
    """What of the trainings is the score, a key of `MEASURES` in objective.py; else empty."""
    variants: Mapping[str, Array] = field(default_factory=dict)
    """The other measures (n,) of the same trainings, by name."""

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores, dtype=float)
        variants = {key: np.asarray(each, dtype=float) for key, each in self.variants.items()}
        repeats = None if self.repeats is None else np.asarray(self.repeats, dtype=float)
        rows = [scores, *variants.values(), *([] if repeats is None else repeats)]
        if any(row.ndim != 1 or len(row) != scores.size or np.isinf(row).any() for row in rows):
            raise UserError(
                f"the scores of {self.name} have shapes {[row.shape for row in rows]} or are "
                "infinite; give one finite number a candidate, NaN where it failed."
            )
        costs = (self.setup_macs, self.macs_per_candidate)
        times = (self.setup_seconds, self.seconds_per_candidate)
        if not all(math.isfinite(each) and each >= 0 for each in (*costs, *times)):
            raise UserError(f"{self.name} costs {costs} MACs, {times} s; use 0 where not known.")
        for name, value in (("scores", scores), ("variants", variants), ("repeats", repeats)):
            object.__setattr__(self, name, value)

    @property
    def ranked(self) -> Array:
        """Shape (n,): `scores`, those that failed just below all others."""
        return with_failed_last(self.scores)

    @property
    def ranked_variants(self) -> dict[str, Array]:
        """`variants`, those that failed just below all others of each."""
        return {name: with_failed_last(scores) for name, scores in self.variants.items()}

    @property
    def ranked_repeats(self) -> Array | None:
        """`repeats`, those that failed just below all others of each seed."""
        return None if self.repeats is None else np.array([*map(with_failed_last, self.repeats)])

    @property
    def cost(self) -> float:
        """Multiply-adds to score a candidate, its share of what is spent once included."""
        return self.macs_per_candidate + self.setup_macs / SHARED_OVER

    @property
    def seconds(self) -> float:
        """Seconds for the same, as measured."""
        return self.seconds_per_candidate + self.setup_seconds / SHARED_OVER


def with_failed_last(scores: Array) -> Array:
    """Return `scores`, in place of those that are NaN one just below all others."""
    known = scores[np.isfinite(scores)]
    lowest = known.min() if known.size else 0.0
    return np.where(np.isfinite(scores), scores, np.nextafter(lowest, -np.inf))


def mean_of_known(values: ArrayLike) -> float:
    """Return the mean of those `values` that are finite, 0 where there are none."""
    found = np.asarray(values, dtype=float)
    known = found[np.isfinite(found)]
    return float(known.mean()) if known.size else 0.0
