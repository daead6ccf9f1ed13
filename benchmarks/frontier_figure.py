"""The picture of frontier.py: rank against the number of images, a panel a length of training."""

import re
from collections.abc import Mapping
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from trained_sample import size_of

from atom_nas.audit.ranking import Estimate, spearman
from atom_nas.report.drawing import (
    ACCENT,
    GREY,
    INK,
    WARNING,
    house_style,
    legend_below,
    new_figure,
    render,
)
from atom_nas.scoring.estimator import Array, Estimator

LOOKS: dict[str, dict[str, Any]] = {
    "random": {"color": GREY, "marker": "o"},
    "atom": {"color": ACCENT, "marker": "o"},
    "datadam": {"color": ACCENT, "marker": "s", "linestyle": (0, (4, 2))},
    "dm": {"color": ACCENT, "marker": "^", "linestyle": (0, (1, 1.5))},
    "herding": {"color": WARNING, "marker": "o"},
    "kmeans": {"color": WARNING, "marker": "s", "linestyle": (0, (4, 2))},
}
MARKERS = "x+1^v"
"""Of all others, in turn."""


def draw(
    views: Mapping[str, Mapping[tuple[str, int], Estimator]], truth: Array
) -> tuple[bytes, bytes]:
    """Return the figure as PNG and SVG, a panel a measure of `views` and a length of training.

    The bands are the 95% intervals of random images.
    """
    keys = [*next(iter(views.values()))]
    lengths = sorted({steps for _, steps in keys})
    sizes = sorted({size_of(name) for name, _ in keys})
    shown = [(measure, steps) for steps in lengths for measure in views]
    with house_style():
        figure, panels = new_figure(4.4 * len(shown), 4.4, columns=len(shown))
        for axes, (measure, steps) in zip(panels, shown, strict=True):
            own = {name: each for (name, count), each in views[measure].items() if count == steps}
            _draw_panel(axes, own, truth)
            axes.set_title(f"{measure.replace('_', ' ')}, {steps} steps")
            axes.set_xscale("log")
            axes.set_xticks(sizes, [f"{size}" for size in sizes])
            axes.minorticks_off()
            axes.grid(True, axis="y")
            axes.set_xlabel("Images a class")
        low = min(axes.get_ylim()[0] for axes in panels)
        for axes in panels:
            axes.set_ylim(low, 1.02)
        panels[0].set_ylabel(f"Spearman with full data (n = {len(truth)})")
        legend_below(figure, max(panels, key=lambda axes: len(axes.lines)), columns=5)
        return render(figure)


def _draw_panel(axes: Axes, found: Mapping[str, Estimator], truth: Array) -> None:
    by_method: dict[str, dict[int, Estimate]] = {}
    for name, each in found.items():
        label = re.sub(r"_ipc\d+", "", name)
        by_method.setdefault(label, {})[size_of(name)] = spearman(each.ranked, truth)
    others = cycle(MARKERS)
    for method, points in by_method.items():
        sizes = sorted(points)
        rho = [points[size] for size in sizes]
        values, look = [each.value for each in rho], LOOKS.get(method)
        look = look or {"color": INK, "marker": next(others)}
        axes.plot(sizes, values, label=method, linewidth=1.6, markersize=4.5, **look)
        if method == "random":
            low, high = [each.low for each in rho], [each.high for each in rho]
            axes.fill_between(sizes, low, high, color=GREY, alpha=0.13, linewidth=0)
