"""What of a training is the score of its candidate, and what a search goes by."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # options are read by the names below, without torch
    from atom_nas.training.fit import Outcome

MEASURES: Mapping[str, Callable[["Outcome"], float]] = {
    "accuracy": lambda outcome: outcome.accuracy,
    "accuracy_times_likelihood": lambda outcome: outcome.accuracy * math.exp(-outcome.curve[-1]),
    "loss": lambda outcome: -outcome.loss,
    "training_loss": lambda outcome: -float(np.mean(outcome.curve)),
    "final_training_loss": lambda outcome: -outcome.curve[-1],
}
"""What a training says of its candidate, higher is better: accuracy and loss on the validation
split; the training loss in its mean over all steps (the area under its curve; Ru et al., NeurIPS
2021) and over the last thirtieth of them; and the accuracy times the likelihood of a training label
at the end (the geometric mean)."""

DEFAULT_MEASURE = "accuracy_times_likelihood"
"""Chosen by the measurements in docs/audit.md."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a search maximises."""

    name: str
    measure: str
    """The key of `MEASURES` by which the proxy scores candidates."""
    needs_audit: bool = False
    """Whether it is a model fitted on audited candidates, which then come before the search."""
    needs_reference: bool = False
    """Whether it is a rank among the candidates that the search draws uniformly first."""


OBJECTIVES: Mapping[str, Objective] = {
    **{name: Objective(name=name, measure=name) for name in MEASURES},
    "combined": Objective(name="combined", measure=DEFAULT_MEASURE, needs_audit=True),
    "combined_ranks": Objective(
        name="combined_ranks", measure=DEFAULT_MEASURE, needs_reference=True
    ),
}
