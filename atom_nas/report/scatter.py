"""Proxy score against full-data accuracy as a plot that answers: what the page draws as inline SVG.

Everything here is in the pixels of a drawing of `WIDTH` x `HEIGHT`, from its upper left corner.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.stats import rankdata

from atom_nas.audit.figures import MIN_TOP, TOP
from atom_nas.audit.ranking import top_fraction
from atom_nas.audit.record import Audit
from atom_nas.report.results import Array, Points, Results, audited_points
from atom_nas.report.trials import Trial
from atom_nas.report.wording import BEST, decimal, measured, quantity

WIDTH, HEIGHT = 520, 400
LEFT, RIGHT, TOP_EDGE, BOTTOM = 58, 14, 14, 56
MARGIN = 0.06
"""Free at either end of an axis, as a share of what its values span."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    """The pixel of `low`."""
    end: float
    """The pixel of `high`."""

    @classmethod
    def around(cls, values: Array, start: float, end: float) -> "Axis":
        """Return an axis that holds all `values`, also where they are one or none."""
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        free = MARGIN * (high - low) if high > low else 0.1 * abs(high) or 0.5
        return cls(low=low - free, high=high + free, start=start, end=end)

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`."""
        share = (value - self.low) / (self.high - self.low)
        return round(float(self.start + share * (self.end - self.start)), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and labels of the ticks, at round values."""
        found = MaxNLocator(nbins=7, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        inside = [value for value in found if self.low <= value <= self.high]
        step = float(found[1] - found[0])
        digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
        return [(self(value), decimal(value, digits)) for value in inside]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A candidate in the plot."""

    name: str
    says: str
    """Its numbers, in words."""
    x: float
    y: float
    is_audited: bool
    is_best: bool
    """By the proxy."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """What the template draws."""

    x: Axis
    y: Axis
    x_label: str
    y_label: str
    points: tuple[Point, ...]
    """From left to right."""
    band: float | None
    """The lower edge of the best by truth; None where they are too few."""
    has_picked: bool
    """Whether some were not drawn uniformly."""
    width: ClassVar[int] = WIDTH
    height: ClassVar[int] = HEIGHT
    best: ClassVar[str] = BEST


def scatter(results: Results) -> Scatter | None:
    """Lay out the plot; None without an audit."""
    if not (audit := results.audit):
        return None
    sample, others = audited_points(audit), results.others
    words, unit, scale = measured(audit.measure)
    what = words[:1].lower() + words[1:] or "score"
    score = scale * np.concatenate([sample.scores, others.scores])
    truth = 100 * np.concatenate([sample.truth, others.truth])
    is_known = [*(each is not None for each in audit.truth), *(True,) * len(others.names)]
    x = Axis.around(score, LEFT, WIDTH - RIGHT)
    y = Axis.around(truth[is_known], HEIGHT - BOTTOM, TOP_EDGE)
    names = (*sample.names, *others.names)
    trials = {trial.candidate: trial for trial in results.trials}
    told = [
        *_told_of_audited(audit, sample),
        *("picked by the optimiser, not audited",) * len(others.names),
    ]
    points = (
        Point(
            name=name,
            says="; ".join(
                [
                    f"{what} on the proxy {_shown(found, audit.measure)}, "
                    f"{decimal(accuracy, 1)} % after training on the full data",
                    told[index],
                    *_size(name, trials),
                ]
            ),
            x=x(found),
            y=y(accuracy) if is_known[index] else y.start,
            is_audited=index < audit.n,
            is_best=bool(found == score.max()),
        )
        for index, (name, found, accuracy) in enumerate(zip(names, score, truth, strict=True))
    )
    best = sample.truth[top_fraction(sample.truth, TOP)] if sample.truth.size else sample.truth
    return Scatter(
        x=x,
        y=y,
        x_label=f"{words}, trained on the proxy{unit}" if words else "Score by the proxy",
        y_label="Validation accuracy, full data (%)",
        points=tuple(sorted(points, key=lambda point: (point.x, point.y))),
        has_picked=bool(others.names),
        band=y(100 * float(best.min())) if best.size >= MIN_TOP else None,
    )


def _shown(score: float, measure: str) -> str:
    return f"{decimal(score, 1)} %" if measure == "accuracy" else decimal(score, 3)


def _told_of_audited(audit: Audit, sample: Points) -> Iterator[str]:
    """Yield for each audited candidate its places, or what failed."""
    by_proxy, by_truth = (
        rankdata(-each, method="min").astype(int) for each in (sample.scores, sample.truth)
    )
    for index in range(audit.n):
        if audit.truth[index] is None:
            yield "its training on the full data failed, which counts as 0 %"
        elif audit.proxy.scores[index] is None:
            yield "its training on the proxy failed, which counts as the lowest"
        else:
            yield (
                f"place {by_proxy[index]} by the proxy and {by_truth[index]} by full data, "
                f"of {audit.n}"
            )


def _size(name: str, trials: Mapping[str, Trial]) -> Iterator[str]:
    if trial := trials.get(name):
        yield f"{quantity(trial.num_params)} parameters, {quantity(trial.macs)} multiply-adds"
