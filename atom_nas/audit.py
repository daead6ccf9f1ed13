"""The audit: does the proxy rank candidates as full-data training does, and better than rivals?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atom_nas.ranking import (
    MIN_CANDIDATES,
    compare,
    kendall,
    regret,
    spearman,
    top_overlap,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Scores of the audited candidates by one way of judging them, and what it cost."""

    name: str
    scores: Array
    """Shape (n,), higher is better."""
    setup_seconds: float
    """Spent once, whatever the number of candidates (a distillation)."""
    seconds_per_candidate: float


def audit(
    proxy: Estimator,
    baselines: Sequence[Estimator],
    truth: Array,
    *,
    full_seconds: float,
    seed: int,
) -> dict[str, Any]:
    """Return the figures of `audit.json`, less the names of data set and space.

    `truth` holds the test accuracies (n,) of the same candidates; a training that failed counts as
    0, there and in the scores. `full_seconds` is the mean of a full-data training.
    """
    rivals = {}
    for baseline in baselines:
        comparison = compare(proxy.scores, baseline.scores, truth, seed=seed)
        rivals[baseline.name] = {
            **_figures(baseline, truth, full_seconds, seed),
            "difference": asdict(comparison.difference),
            "verdict": comparison.verdict,
        }
    verdicts = {name: figures.pop("verdict") for name, figures in rivals.items()}
    figures = _figures(proxy, truth, full_seconds, seed)
    return {
        "proxy": proxy.name,
        **figures,
        "baselines": rivals,
        "verdict": verdicts,
        "sentences": _sentences(proxy.name, figures, rivals, verdicts),
    }


def _figures(estimator: Estimator, truth: Array, full_seconds: float, seed: int) -> dict[str, Any]:
    k = max(1, round(0.1 * len(truth)))
    return {
        "n": len(truth),
        "spearman": asdict(spearman(estimator.scores, truth, seed=seed)),
        "kendall": asdict(kendall(estimator.scores, truth, seed=seed)),
        "top": {"k": k, "overlap": top_overlap(estimator.scores, truth, k)},
        "regret_points": regret(estimator.scores, truth),
        "seconds": {
            "distill": estimator.setup_seconds,
            "proxy_per_candidate": estimator.seconds_per_candidate,
            "full_per_candidate": full_seconds,
        },
    }


def _sentences(
    name: str, figures: dict[str, Any], rivals: dict[str, Any], verdicts: dict[str, str]
) -> list[str]:
    """Say in words what the figures say."""
    rho, n = figures["spearman"], figures["n"]
    sentences = [
        f"{name} ranks {n} candidates with Spearman {_interval(rho)} against full-data training."
    ]
    for rival, verdict in verdicts.items():
        difference = _interval(rivals[rival]["difference"], sign="+")
        words = {
            "better": f"{name} ranks better than {rival}",
            "worse": f"{name} ranks worse than {rival}: use {rival} instead",
            "undecided": f"Undecided whether {name} ranks better than {rival}",
        }[verdict]
        sentences.append(f"{words} (difference in Spearman {difference}).")
    if n < MIN_CANDIDATES:
        sentences.append(f"Under {MIN_CANDIDATES} candidates a correlation says little.")
    return sentences


def _interval(estimate: dict[str, float], sign: str = "") -> str:
    value, low, high = (f"{estimate[key]:{sign}.2f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
