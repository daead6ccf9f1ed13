"""Which candidates a set takes for better than they are: by the values of one of their choices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from atom_nas.audit.ranking import rank_correlation
from atom_nas.scoring.estimator import Array, Estimator

RESAMPLES = 9_999
FEWEST = 5
"""Under so many candidates of a value no correlation among them is given."""


def to_markdown(
    choice: str,
    architectures: Sequence[Any],
    views: Mapping[str, Mapping[tuple[str, int], Estimator]],
    truth: Array,
) -> str:
    """Return a table a measure: how far each value of the `choice` is ranked above its truth.

    `views` are the same trainings by each measure: what a set and a number of steps say.
    """
    values = np.array([str(getattr(each, choice)) for each in architectures])
    kinds = sorted(set(values))
    counts = [f"{kind} (n = {(values == kind).sum()})" for kind in kinds]
    parts = [
        f"# By {choice}\n\nMean rank of the candidates of a value by the set minus that by the "
        "truth, in shares of all candidates [95% interval, bootstrap over these]; behind it "
        "Spearman among them."
    ]
    for measure, found in views.items():
        lines = [
            f"\n## {choice}, {measure}\n",
            f"| set | steps | {' | '.join(counts)} |",
            "|---" * (2 + len(kinds)) + "|",
        ]
        for (name, steps), each in found.items():
            cells = [_cell(each.ranked, truth, values == kind) for kind in kinds]
            lines.append(f"| {name} | {steps} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n".join(parts) + "\n"


def _cell(scores: Array, truth: Array, own: Array) -> str:
    """Return the shift of the candidates that are `own`, and the correlation among them."""
    gaps = ((rankdata(scores) - rankdata(truth)) / len(truth))[own]
    drawn = np.random.default_rng(0).integers(0, len(gaps), (RESAMPLES, len(gaps)))
    low, high = np.percentile(gaps[drawn].mean(1), (2.5, 97.5))
    rho = f"; {rank_correlation(scores[own], truth[own]):.2f}" if len(gaps) >= FEWEST else ""
    return f"{gaps.mean():+.2f} [{low:+.2f}, {high:+.2f}]{rho}"
