"""Correlation against cost, one point an estimator: the picture of the project."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atom_nas.report.audited import Estimator
from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, new_figure
from atom_nas.report.labels import Name, write_names
from atom_nas.report.results import Results
from atom_nas.report.wording import RHO, duration, shorten

COARSE = (
    *(10.0**power for power in range(-4, 2)),
    *(60, 600, 3600, 36_000),
    *(86_400 * 10.0**power for power in range(1, 5)),
)
FINE = (*COARSE, 3, 180, 10_800, 86_400)
"""Seconds that the axis is marked at: the fine ones where six or fewer of them are in view."""

MAX_NAMED = 8
"""Of more estimators than these not all are named."""


def cost_vs_correlation(results: Results) -> Figure:
    """Draw the Spearman of each estimator against the time to score the audited candidates.

    The axis is logarithmic; what cost nothing stands at its left end. A vertical line is the time
    to train the same candidates on the full data.
    """
    audit = results.audit
    every = (*audit.estimators, *(both.estimator for both in audit.combined))
    shown = [rival for rival in every if math.isfinite(rival.spearman.value)]
    named = _named(shown, audit.proxy)
    costs = [rival.cost for rival in shown]
    paid = [cost for cost in (*costs, audit.full_cost) if cost > 0] or [1.0]
    is_any_free = min(costs, default=1) <= 0
    floor = min(paid) / (8 if is_any_free else 1)
    figure, (axes,) = new_figure(5.6, 4.1)
    axes.set_xscale("log")
    axes.set_xlim(floor / 1.7, max(paid) * 2)
    places = {rival: (max(rival.cost, floor), rival.spearman.value) for rival in shown}
    names = []
    for rival, (x, rho) in places.items():
        if rival not in named:
            axes.plot([x], [rho], "o", color=GREY, markersize=3.5)
            continue
        colour, order = (ACCENT, 4) if rival.name == audit.proxy else (INK, 3)
        axes.plot([x, x], _bar(rival), color=colour, linewidth=1.2, alpha=0.7)
        axes.plot(
            [x], [rho], "o", color=colour, markersize=7, markeredgecolor="white", zorder=order
        )
        names.append(Name(text=shorten(rival.name, NAME_WIDTH), point=(x, rho), colour=colour))
    axes.set_ylim(min([0.0, *(_bar(rival)[0] for rival in shown)]) - 0.05, 1.02)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.grid(True, axis="y")
    _mark_time(axes, floor if is_any_free else None)
    if audit.full_cost > 0:
        axes.axvline(audit.full_cost, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"full data, {duration(audit.full_cost)}",
            (audit.full_cost, 1.01),
            xycoords=axes.get_xaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=9,
            color=GREY,
        )
    axes.set_xlabel(f"Time to score {audit.n} candidates, condensation included")
    axes.set_ylabel(f"Spearman's {RHO} with full-data accuracy")
    bars = [np.array([[places[rival][0], end] for end in _bar(rival)]) for rival in named]
    points = [np.array(place) for place in places.values()]
    full = np.array([[audit.full_cost, end] for end in axes.get_ylim()])
    write_names(
        figure,
        axes,
        names,
        [
            *((point, 4.0) for point in points),
            *((bar, 1.0) for bar in (*bars, full) if np.isfinite(bar).all()),
        ],
    )
    return figure


def _named(shown: Sequence[Estimator], proxy: str) -> list[Estimator]:
    """Return the estimators to name: all where they are few, else the telling ones."""
    return [
        rival
        for rival in shown
        if len(shown) <= MAX_NAMED
        or rival.name in (proxy, "num_params")
        or rival.name.startswith(("random_", "combined_"))
        or _is_best_for_its_cost(rival, shown)
    ]


def _is_best_for_its_cost(rival: Estimator, shown: Sequence[Estimator]) -> bool:
    own = (rival.spearman.value, -rival.cost)
    others = ((other.spearman.value, -other.cost) for other in shown)
    return not any(a >= own[0] and b >= own[1] and (a, b) != own for a, b in others)


def _bar(rival: Estimator) -> tuple[float, float]:
    """Return the interval, or twice the value where there is none."""
    rho = rival.spearman
    is_known = math.isfinite(rho.low) and math.isfinite(rho.high)
    return (rho.low, rho.high) if is_known else (rho.value, rho.value)


def _mark_time(axes: Axes, floor: float | None) -> None:
    """Mark the axis in units of time, and its `floor` as free."""
    low, high = axes.get_xlim()
    low = low if floor is None else 2.2 * floor
    fine, coarse = ([tick for tick in ticks if low < tick < high] for ticks in (FINE, COARSE))
    ticks = fine if len(fine) <= 6 else coarse
    free = [] if floor is None else [floor]
    axes.set_xticks([*free, *ticks], [*("free" for _ in free), *map(duration, ticks)])
    axes.minorticks_off()
