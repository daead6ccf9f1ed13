"""The audit: does the proxy rank candidates as full-data training does, and better than rivals?

The rule by which it says yes or no is written in docs/audit.md.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atom_nas.audit.ranking import (
    compare,
    kendall,
    precision_at,
    rank_correlation,
    rank_of_best,
    regret,
    reliability,
    spearman,
    top_fraction,
    top_overlap,
)
from atom_nas.audit.verdict import decide, describe, explain_noise, suggest_measure
from atom_nas.scoring.estimator import Array, Estimator

TOP = 0.2
"""The best fraction by truth, inside which estimators are judged too."""

FRACTIONS, MIN_TOP = tuple(i / 10 for i in range(1, 11)), 5


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Test accuracies of the audited candidates; a training that failed counts as 0."""

    accuracies: tuple[tuple[float, ...], ...]
    """For each of the n candidates those of its trainings, one or more."""
    seconds: float
    """Of a full-data training, the mean."""

    @property
    def mean(self) -> Array:
        """Shape (n,): the mean over trainings."""
        return np.array([np.mean(np.nan_to_num(each, nan=0.0)) for each in self.accuracies])

    @property
    def has_failed(self) -> NDArray[np.bool_]:
        """Shape (n,): whether all trainings of the candidate failed."""
        return np.array([bool(np.isnan(each).all()) for each in self.accuracies])

    def ceiling(self, fraction: float = 1.0) -> float | None:
        """Return the rank correlation between trainings in the best `fraction` by the mean.

        It is taken over the candidates with two trainings or more, the first two of each; None
        where there are fewer than 3.
        """
        chosen = top_fraction(self.mean, fraction)
        pairs = [
            each[:2]
            for each, is_in in zip(self.accuracies, chosen, strict=True)
            if is_in and len(each) > 1
        ]
        return reliability(np.nan_to_num(np.array(pairs).T, nan=0.0)) if len(pairs) > 2 else None


def audit(
    proxy: Estimator, rivals: Sequence[Estimator], truth: Truth, *, seed: int
) -> dict[str, Any]:
    """Return the figures of `audit.json`, less the names of data set and space."""
    n = len(truth.accuracies)
    figures = figures_of(proxy, truth, seed)
    comparisons = {
        rival.name: compare(proxy.scores, rival.scores, truth.mean, seed=seed) for rival in rivals
    }
    baselines = {
        rival.name: {
            **figures_of(rival, truth, seed),
            "difference": asdict(comparisons[rival.name].difference),
        }
        for rival in rivals
    }
    costs = {rival.name: rival.cost(n) for rival in rivals}
    decision = decide(proxy.name, figures, comparisons, costs, proxy.cost(n))
    variants = {
        name: compare(scores, proxy.scores, truth.mean, seed=seed)
        for name, scores in proxy.variants.items()
    }
    advice = [
        *explain_noise(figures, truth.ceiling()),
        *suggest_measure(proxy.measure, variants),
    ]
    return {
        "proxy": proxy.name,
        "measure": proxy.measure,
        **figures,
        "ceiling": {"all": truth.ceiling(), "top": truth.ceiling(TOP)},
        "variants": {
            name: asdict(spearman(scores, truth.mean, seed=seed))
            for name, scores in proxy.variants.items()
        },
        "baselines": baselines,
        "verdict": {name: comparison.verdict for name, comparison in comparisons.items()},
        "decision": decision["use"],
        "sentences": [decision["sentence"], *describe(proxy.name, figures, comparisons), *advice],
    }


def figures_of(estimator: Estimator, truth: Truth, seed: int) -> dict[str, Any]:
    """Return what is measured of one estimator alone."""
    scores, mean = estimator.scores, truth.mean
    n = len(mean)
    k = max(1, round(0.1 * n))
    top = top_fraction(mean, TOP)
    return {
        "n": n,
        "spearman": asdict(spearman(scores, mean, seed=seed)),
        "kendall": asdict(kendall(scores, mean, seed=seed)),
        "top": {"k": k, "overlap": top_overlap(scores, mean, k)},
        "top_fraction": {
            "fraction": TOP,
            "n": int(top.sum()),
            "spearman": asdict(spearman(scores[top], mean[top], seed=seed)),
            "kendall": asdict(kendall(scores[top], mean[top], seed=seed)),
        },
        "regret_points": regret(scores, mean),
        "precision_at_10": precision_at(scores, mean, 0.1),
        "rank_of_best": rank_of_best(scores, mean),
        "reliability": _reliability(estimator.repeats, mean),
        "seconds": {
            "distill": estimator.setup_seconds,
            "proxy_per_candidate": estimator.seconds_per_candidate,
            "full_per_candidate": truth.seconds,
        },
    }


def _reliability(repeats: Array | None, mean: Array) -> dict[str, Any] | None:
    """Return how far the seeds agree; None where there are fewer than two."""
    if repeats is None or len(repeats) < 2:
        return None
    single = [rank_correlation(each, mean) for each in repeats]
    return {
        "seeds": len(repeats),
        "between_seeds": reliability(repeats),
        "one_seed": float(np.mean(single)),
    }


def by_fraction(estimators: Sequence[Estimator], truth: Truth) -> list[dict[str, Any]]:
    """Return the ceiling and each Spearman within the best 10%, 20%, ... of the truth.

    Fractions of fewer than 5 candidates are left out.
    """
    rows = []
    for fraction in FRACTIONS:
        top = top_fraction(truth.mean, fraction)
        if top.sum() >= MIN_TOP:
            found = {
                each.name: rank_correlation(each.scores[top], truth.mean[top])
                for each in estimators
            }
            ceiling = truth.ceiling(fraction)
            rows.append(
                {"fraction": fraction, "n": int(top.sum()), "ceiling": ceiling, "spearman": found}
            )
    return rows
