"""Correlation inside the best candidates: a search has to tell these apart, not all of them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from atom_nas.audit.record import Audit, Figures
from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, legend_below, new_figure
from atom_nas.report.results import Array, Results
from atom_nas.report.wording import BEST, RHO, interval, shorten

DASHES = {"size": (0, (1, 1)), "rank_average": (0, (5, 1, 1, 1))}
"""Of the lines that the proxy has to beat at no cost, by kind; the others are drawn whole."""

GAP = 0.06
"""The least distance between two names, as a share of the height of the axes."""


def correlation_vs_fraction(results: Results) -> Figure | None:
    """Draw Spearman inside the best 10 %, 20 %, ... by truth; None with fewer than two of them."""
    if not (audit := results.audit) or len(audit.regions) < 2:
        return None
    rows, shown = audit.regions, _shown(audit)
    figure, (axes,) = new_figure(5.6, 4.1)
    share = 100 * np.array([row.fraction for row in rows])
    ceiling = np.array([row.ceiling.value for row in rows], dtype=float)
    lines = {each.name: np.array([row.spearman[each.name] for row in rows]) for each in shown}
    colours = {each.name: GREY for each in shown}
    colours |= {both.figures.name: INK for both in audit.combined} | {audit.proxy.name: ACCENT}
    for each in shown:
        is_proxy = each == audit.proxy
        axes.plot(
            share,
            lines[each.name],
            color=colours[each.name],
            linewidth=1.6,
            linestyle="solid" if colours[each.name] != GREY else DASHES.get(each.kind, "solid"),
            marker="o",
            markersize=4,
            zorder=3 if is_proxy else 2,
        )
    if np.isfinite(ceiling).any():
        label = "ceiling: what a perfect score is expected to reach"
        style: dict[str, Any] = {"linestyle": (0, (4, 3)), "marker": "_", "markersize": 14}
        axes.plot(share, ceiling, color=GREY, linewidth=1.2, label=label, **style)
    lowest = np.nanmin([0.0, *ceiling, *np.concatenate([*lines.values()])])
    axes.margins(x=0.03)
    axes.set_ylim(lowest - 0.05, 1.02)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set_xticks(share, [f"{value:.0f}" for value in share])
    axes.grid(True, axis="y")
    proxy = shorten(audit.proxy.name, NAME_WIDTH)
    axes.set_title(f"{proxy}, {BEST}: {RHO} = {interval(audit.proxy.spearman_top)}")
    axes.set_xlabel("Best candidates by full data (%)")
    axes.set_ylabel(f"Spearman's {RHO} inside")
    _write_names(axes, share[-1], {name: rho[-1] for name, rho in lines.items()}, colours)
    legend_below(figure, axes)
    return figure


def _shown(audit: Audit) -> list[Figures]:
    """Return the proxy, random images, a size, a rank average and the better combination."""
    rivals = [rival.figures for rival in audit.rivals]
    firsts = [
        next((each for each in rivals if each.kind == kind), None)
        for kind in ("random", "size", "rank_average")
    ]
    combined = [both.figures for both in audit.combined]
    best = max(combined, key=lambda each: each.spearman.value, default=None)
    return [each for each in (audit.proxy, *firsts, best) if each is not None]


def _write_names(
    axes: Axes, end: float, heights: dict[str, float], colours: dict[str, str]
) -> None:
    """Write each name beside the `end` of its line, moved up or down where two would overlap."""
    bottom, top = axes.get_ylim()
    moved = spread(np.array([*heights.values()]), GAP * (top - bottom))
    for (name, height), place in zip(heights.items(), moved, strict=True):
        axes.annotate(
            shorten(name, NAME_WIDTH),
            (end, height),
            (1.04, place),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=colours[name],
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6},
        )


def spread(heights: Array, gap: float) -> Array:
    """Move `heights` (n,) as little as keeps any two `gap` apart, in their order."""
    order, steps = np.argsort(heights), gap * np.arange(len(heights))
    moved = np.empty_like(heights)
    moved[order] = isotonic_regression(heights[order] - steps).x + steps
    return moved
