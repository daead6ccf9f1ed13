"""One way of judging candidates: its scores of each, and what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Scores of the audited candidates by one way of judging them, and what it cost."""

    name: str
    scores: Array
    """Shape (n,), higher is better."""
    setup_seconds: float = 0.0
    """Spent once, whatever the number of candidates (a distillation)."""
    seconds_per_candidate: float = 0.0
    repeats: Array | None = None
    """Shape (r, n): the score of each seed, where `scores` is their mean."""
    measure: str = ""
    """What of the trainings is the score, a key of `MEASURES` in scorer.py; else empty."""
    variants: Mapping[str, Array] = field(default_factory=dict)
    """The other measures (n,) of the same trainings, by name."""

    def cost(self, num_candidates: int) -> float:
        """Return the seconds to score so many candidates."""
        return self.setup_seconds + num_candidates * self.seconds_per_candidate
