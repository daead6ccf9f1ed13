"""The picture of search_regret.py: median regret against cost, a panel a pool."""

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import Any

from matplotlib.axes import Axes

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

RANDOM = "random search"
"""What all others are held against."""

TICKS = (1, 2, 3, 5, 10, 20)

LOOKS: dict[str, dict[str, Any]] = {
    RANDOM: {"color": GREY, "linewidth": 1.8},
    "TPE": {"color": GREY, "linestyle": (0, (4, 2))},
    "regularised evolution": {"color": GREY, "linestyle": (0, (1, 1.5))},
    "Hyperband": {"color": WARNING, "linestyle": (0, (1, 1.5))},
    "num_params": {"color": INK, "linestyle": (0, (4, 2))},
    "free_average": {"color": INK, "linewidth": 1.4},
    "synflow": {"color": INK, "linestyle": (0, (1, 1.5))},
    "random_ipc50, all": {"color": WARNING, "linewidth": 1.6},
    "atom_ipc50, all": {"color": ACCENT, "linewidth": 1.8},
    "combined_ranks, atom_ipc50": {"color": ACCENT, "linestyle": (0, (4, 2))},
    "combined, atom_ipc50": {"color": ACCENT, "linestyle": (0, (1, 1.5))},
}
"""The methods that are drawn; the table has all."""

BANDS = (RANDOM, "atom_ipc50, all")


def draw(pools: Mapping[str, Any], budgets: Sequence[float], seeds: int) -> tuple[bytes, bytes]:
    """Return the figure as PNG and SVG: medians on halves of the pools, and quartiles of `BANDS`.

    A pool that is a part of another is left to the table. A method is left out up to where it
    differs from random search.
    """
    shown = {
        name: pool
        for name, pool in pools.items()
        if pool["is_halved"] and not name.endswith("of these")
    }
    with house_style():
        figure, panels = new_figure(4.1 * len(shown), 4.6, columns=len(shown))
        for axes, (name, pool) in zip(panels, shown.items(), strict=True):
            _draw_pool(axes, pool["regrets"], budgets)
            axes.set_title(f"{name} (n = {pool['n']})")
            axes.set_xlabel("Full trainings")
        panels[0].set_ylabel(f"Regret (points), median of {seeds} seeds")
        legend_below(figure, max(panels, key=lambda axes: len(axes.lines)), columns=5)
        return render(figure)


def _draw_pool(axes: Axes, found: Mapping[str, Any], budgets: Sequence[float]) -> None:
    for name, look in LOOKS.items():
        pairs = zip(budgets, found.get(name, ()), found[RANDOM], strict=False)
        known = [(at, row, None if name == RANDOM else base) for at, row, base in pairs]
        rows = list(dropwhile(lambda each: None in each[1] or each[1] == each[2], known))
        if not rows:
            continue
        cost = [at for at, _, _ in rows]
        low, median, high = zip(*(row for _, row, _ in rows), strict=True)
        axes.plot(cost, median, drawstyle="steps-post", label=name, **look)
        if name in BANDS:
            band = {"color": look["color"], "alpha": 0.13, "linewidth": 0, "step": "post"}
            axes.fill_between(cost, low, high, **band)
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(0.95, budgets[-1])
    axes.set_ylim(0, 1.05 * found[RANDOM][budgets.index(2)][2])
    axes.grid(True, axis="y")
