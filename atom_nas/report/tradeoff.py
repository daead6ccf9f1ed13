"""Correlation against cost, one point an estimator: the picture of the project."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from atom_nas.report.audited import Estimator
from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, new_figure
from atom_nas.report.results import Array, Results
from atom_nas.report.wording import RHO, duration, shorten

COARSE = (
    *(10.0**power for power in range(-4, 2)),
    *(60, 600, 3600, 36_000),
    *(86_400 * 10.0**power for power in range(1, 5)),
)
FINE = (*COARSE, 3, 180, 10_800, 86_400)
"""Seconds that the axis is marked at: the fine ones where six or fewer of them are in view."""

LETTER, LINE, GAP = 5.6, 11.0, 8
"""Width of a letter, height of a line, and distance of a name from its point, in points."""


def cost_vs_correlation(results: Results) -> Figure:
    """Draw the Spearman of each estimator against the time to score the audited candidates.

    The axis is logarithmic; what cost nothing stands at its left end. A vertical line is the time
    to train the same candidates on the full data.
    """
    audit = results.audit
    shown = [rival for rival in audit.estimators if math.isfinite(rival.spearman.value)]
    costs = [rival.cost for rival in shown]
    paid = [cost for cost in (*costs, audit.full_cost) if cost > 0] or [1.0]
    is_any_free = min(costs, default=1) <= 0
    floor = min(paid) / (8 if is_any_free else 1)
    figure, (axes,) = new_figure(5.6, 4.1)
    axes.set_xscale("log")
    axes.set_xlim(floor / 1.7, max(paid) * 2)
    places = {rival: (max(rival.cost, floor), rival.spearman.value) for rival in shown}
    for rival, (x, rho) in places.items():
        colour = ACCENT if rival.name == audit.proxy else INK
        axes.plot([x, x], _bar(rival), color=colour, linewidth=1.2, alpha=0.7)
        axes.plot([x], [rho], "o", color=colour, markersize=7, markeredgecolor="white", zorder=3)
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
    _write_names(figure, axes, places, audit.proxy)
    return figure


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


def _write_names(
    figure: Figure, axes: Axes, places: dict[Estimator, tuple[float, float]], proxy: str
) -> None:
    """Write each name near its point, where it covers the least of points, bars and names."""
    figure.draw_without_rendering()
    frame = axes.get_window_extent()

    def in_points(place: tuple[float, float]) -> Array:
        pixels: Array = axes.transData.transform(np.array(place)) - (frame.x0, frame.y0)
        return pixels * 72 / figure.dpi

    taken = [(Bbox([in_points(at) - 6, in_points(at) + 6]), 4.0) for at in places.values()]
    for rival, (x, _) in places.items():
        taken.append((Bbox([in_points((x, end)) for end in _bar(rival)]), 1.0))
    room = Bbox.from_bounds(0, 0, frame.width * 72 / figure.dpi, frame.height * 72 / figure.dpi)
    for rival, place in places.items():
        name = shorten(rival.name, NAME_WIDTH)
        choices = _choices(in_points(place), LETTER * len(name))
        side, rise, box = min(choices, key=lambda at: _badness(at[1], at[2], room, taken))
        taken.append((box, 8.0))
        axes.annotate(
            name,
            place,
            (GAP * side, rise),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=9,
            color=ACCENT if rival.name == proxy else INK,
            path_effects=[matplotlib.patheffects.withStroke(linewidth=3, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6} if rise else None,
        )


def _choices(point: Array, width: float) -> Iterator[tuple[int, int, Bbox]]:
    """Yield the places for a name: right (1) or left (-1), points above, and its box."""
    for side, rise in product((1, -1), (0, 12, -12, 24, -24, 36, -36)):
        left = point[0] + (GAP if side > 0 else -GAP - width)
        yield side, rise, Bbox.from_bounds(left, point[1] + rise - LINE / 2, width, LINE)


def _badness(rise: int, box: Bbox, room: Bbox, taken: Sequence[tuple[Bbox, float]]) -> float:
    """Weigh what `box` covers, how far off it is, and whether it leaves the room."""
    covered = sum(weight for other, weight in taken if box.overlaps(other))
    is_inside = room.x0 < box.x0 and box.x1 < room.x1 and box.y1 < room.y1
    return covered + 0.03 * abs(rise) + (0 if is_inside else 20)
