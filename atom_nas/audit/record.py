"""What an audit found, as one frozen record: what audit.json holds, and all that a reader needs.

None, null in the file, stands for a figure that is not defined. Accuracies are fractions, costs
multiply-adds (MACs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from atom_nas.audit.against import JOINT
from atom_nas.audit.comparison import Comparison
from atom_nas.audit.ranking import Estimate
from atom_nas.audit.record_json import from_json, to_json
from atom_nas.audit.truth import Ceiling
from atom_nas.audit.worth import Worth
from atom_nas.scoring.estimator import Array, Kind, with_failed_last

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Use = Literal["yes", "no", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is found about one estimator alone."""

    name: str
    kind: Kind
    scores: tuple[float | None, ...]
    """Of the n candidates, higher is better; None where one failed, which ranks last."""
    spearman: Estimate
    spearman_top: Estimate
    """Inside the best fifth by truth."""
    spearman_test: float | None
    """With the accuracies on the test split, which nothing else here depends on."""
    kendall: Estimate
    top_k: int
    overlap: float
    """Share of the k best by score that are among the k best by truth."""
    precision: float
    """The same share for the best tenth."""
    rank_of_best: int
    """By score, of the best by truth; 1 is the best."""
    regret_points: float
    setup_macs: float
    macs_per_candidate: float
    cost: float
    """MACs to score a candidate, its share of what is spent once included."""
    setup_seconds: float
    seconds_per_candidate: float
    seconds: float
    """To score a candidate, as for `cost`."""

    @property
    def ranked(self) -> Array:
        """Shape (n,): `scores`, those that failed just below all others."""
        return with_failed_last(np.array(self.scores, dtype=float))


@dataclass(frozen=True, kw_only=True)
class Rival:
    """An estimator that the proxy is compared with."""

    figures: Figures
    comparison: Comparison
    """Of the proxy with it."""
    is_fair: bool
    """Whether it costs no more than the proxy."""
    p_worse_corrected: float | None
    """Of the comparison, by Holm over the fair rivals; None for one that is dearer."""


@dataclass(frozen=True, kw_only=True)
class Combined:
    """The proxy put together with scores that are free."""

    figures: Figures
    base: Figures
    """Of the same without the proxy."""
    uplift: Comparison
    """Of it with its base."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """What is found inside the best fraction of the candidates by truth."""

    fraction: float
    n: int
    ceiling: Ceiling
    spearman: Mapping[str, float]
    """By name of the estimator, the combined ones among them."""


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """How far the seeds agree that the score of the proxy is the mean of."""

    count: int
    between: float
    """Spearman of one with another."""
    one: float
    """Spearman of one with the truth."""
    signal_to_noise: float | None = None
    """How far the candidates differ, over how far one differs from seed to seed; None where that is
    by nothing."""
    signal_to_noise_half: float | None = None
    """The same inside the best half by truth."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What narrows the interval of the proxy's Spearman to `width`, and what that costs."""

    width: float
    more_candidates: int
    macs: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What to run in place of the proxy: another one, another objective, or both."""

    proxy: str | None
    objective: str | None
    reason: str

    @property
    def sentence(self) -> str:
        """It in words."""
        given = {"proxy": self.proxy, "objective": self.objective}
        options = " ".join(f"--{name} {value}" for name, value in given.items() if value)
        return f"next: the same command with {options} ({self.reason})."


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The audit of a proxy against its rivals."""

    dataset: str
    space: str
    candidates: tuple[str, ...]
    """The names of the n audited candidates."""
    truth: tuple[float | None, ...]
    """Their validation accuracy after training on the full data, the mean over trainings; None
    where all of them failed, which counts as 0."""
    test: tuple[float | None, ...] | None
    """The same on the test split, where it is known; nothing is decided by it."""
    full_macs: float
    """Of one training on the full data; 0 where it is not known."""
    full_seconds: float
    measure: str
    """What of the trainings is the score of the proxy, a key of `MEASURES` in objective.py."""
    proxy: Figures
    rivals: tuple[Rival, ...]
    combined: tuple[Combined, ...]
    regions: tuple[Region, ...]
    """From the best few to all."""
    ceiling: Ceiling
    ceiling_top: Ceiling
    """Inside the best fifth by truth."""
    variants: Mapping[str, Estimate]
    """Spearman of other measures from the trainings of the proxy, by name."""
    seeds: Seeds | None
    """None where there are fewer than two."""
    plan: Plan
    decision: Use
    """Whether to search on the proxy."""
    sentences: tuple[str, ...]
    """The decision and what it rests on, in words."""
    worth: Worth | None = None
    """In random images a class; None where no random sets of other sizes were scored."""
    proposal: Proposal | None = None
    """None where there is no better buy, or the proxy is to be used."""
    caution: str = ""
    """Why nothing is decided whatever the figures are, or empty."""

    @property
    def n(self) -> int:
        """The number of audited candidates."""
        return len(self.candidates)

    @property
    def accuracies(self) -> Array:
        """Shape (n,): `truth`, 0 where all trainings failed."""
        return np.array([0.0 if each is None else each for each in self.truth])

    def ranking_of(self, objective: str) -> Figures:
        """Return what a search by `objective` goes by: an estimator put together, or the proxy."""
        name = JOINT.get(objective)
        found = (both.figures for both in self.combined if both.figures.name == name)
        return next(found, self.proxy)

    @property
    def estimators(self) -> tuple[Figures, ...]:
        """The proxy, its rivals, and what it was put together with."""
        rivals = (rival.figures for rival in self.rivals)
        return (self.proxy, *rivals, *(both.figures for both in self.combined))

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, source: str = "the audit") -> Self:
        """Return the audit in `text`, of the file `source`.

        UserError where it is none, with the key that is missing, unknown or of another type.
        """
        return from_json(cls, text, source)

    def frame(self) -> dict[str, list[Any]]:
        """Return the figures as columns, a row an estimator: `pandas.DataFrame(audit.frame())`."""
        comparisons = {rival.figures.name: rival.comparison for rival in self.rivals}
        rows = []
        for each in self.estimators:
            against = comparisons.get(each.name)
            rows.append(
                {
                    "name": each.name,
                    "kind": each.kind,
                    **_ends("spearman", each.spearman),
                    **_ends("spearman_top", each.spearman_top),
                    "spearman_test": each.spearman_test,
                    **_ends("kendall", each.kendall),
                    "overlap": each.overlap,
                    "precision": each.precision,
                    "rank_of_best": each.rank_of_best,
                    "regret_points": each.regret_points,
                    "cost": each.cost,
                    "seconds": each.seconds,
                    "difference": against.difference.value if against else None,
                    "verdict": against.verdict if against else None,
                }
            )
        return {column: [row[column] for row in rows] for column in rows[0]}

    def plot(self) -> Figure:
        """Return a picture of the proxy's score against the truth, not of pyplot."""
        from atom_nas.report.agreement import plot

        return plot(self)


def known_or_none(values: Any) -> tuple[float | None, ...]:
    """Return numbers as they are kept here: None for what is not finite."""
    return tuple(float(value) if math.isfinite(value) else None for value in values)


def _ends(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
