"""Correlation inside the best candidates: a search has to tell these apart, not all of them."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from atom_nas.report.audited import Audit
from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, legend_below, new_figure
from atom_nas.report.results import Array, Results
from atom_nas.report.wording import RHO, decimal, shorten

DASHES = {"num_params": (0, (1, 1)), "free_average": (0, (5, 1, 1, 1))}
"""Of the lines that the proxy has to beat at no cost; the others are drawn whole."""

GAP = 0.06
"""The least distance between two names, as a share of the height of the axes."""


def correlation_vs_fraction(results: Results) -> Figure | None:
    """Draw Spearman inside the best 10 %, 20 %, ... by truth; None with fewer than two of them."""
    audit = results.audit
    rows = audit.regions
    if len(rows) < 2 or not (names := _shown(audit)):
        return None
    figure, (axes,) = new_figure(5.6, 4.1)
    share = 100 * np.array([row.fraction for row in rows])
    ceiling = np.array([row.ceiling for row in rows])
    lines = {name: np.array([row.spearman.get(name, math.nan) for row in rows]) for name in names}
    colours = {name: _colour(name, audit.proxy) for name in lines}
    for name, rho in lines.items():
        axes.plot(
            share,
            rho,
            color=colours[name],
            linewidth=1.6,
            linestyle=DASHES.get(name, "solid"),
            marker="o",
            markersize=4,
            zorder=3 if name == audit.proxy else 2,
        )
    if np.isfinite(ceiling).any():
        label = "ceiling: full data against itself"
        axes.plot(share, ceiling, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label=label)
    lowest = np.nanmin([0.0, *ceiling, *np.concatenate([*lines.values()])])
    axes.margins(x=0.03)
    axes.set_ylim(lowest - 0.05, 1.02)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set_xticks(share, [f"{value:.0f}" for value in share])
    axes.grid(True, axis="y")
    proxy = shorten(audit.proxy, NAME_WIDTH)
    found = decimal(rows[0].spearman.get(audit.proxy, math.nan))
    axes.set_title(f"{proxy} in the best {share[0]:.0f} %: {RHO} = {found}, n = {rows[0].n}")
    axes.set_xlabel("Best candidates by full data (%)")
    axes.set_ylabel(f"Spearman's {RHO} inside")
    _write_names(axes, share[-1], {name: rho[-1] for name, rho in lines.items()}, colours)
    legend_below(figure, axes)
    return figure


def _shown(audit: Audit) -> list[str]:
    """Return the proxy, random images, two scores that are free and the better combination."""
    found = {name: rho for name, rho in audit.regions[-1].spearman.items() if math.isfinite(rho)}
    combined = [name for name in found if name.startswith("combined_")]
    best = max(combined, key=lambda name: found[name], default=None)
    return [
        name
        for name in found
        if name in (audit.proxy, "num_params", "free_average", best) or name.startswith("random_")
    ]


def _colour(name: str, proxy: str) -> str:
    if name == proxy:
        return ACCENT
    return INK if name.startswith("combined_") else GREY


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
