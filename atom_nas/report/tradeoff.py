"""Correlation against cost, one point an estimator: the picture of the project."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atom_nas.audit.record import Audit, Figures
from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, new_figure
from atom_nas.report.labels import Name, write_names
from atom_nas.report.results import Results
from atom_nas.report.wording import RHO, quantity, shorten

MAX_NAMED = 8
"""Of more estimators than these not all are named."""

ROOM_FOR_FREE = 0.12
"""As far from "free" the next label stands, as a share of the axis."""


def cost_vs_correlation(results: Results) -> Figure | None:
    """Draw the Spearman of each estimator against what it costs a candidate; None without an audit.

    The axis is logarithmic, in full trainings (in multiply-adds where a training's are not known);
    what costs nothing stands at its left end. A vertical line is one full training.
    """
    if not (audit := results.audit):
        return None
    figure, (axes,) = new_figure(5.6, 4.1)
    unit = audit.full_macs or 1.0
    costs = {each: each.cost / unit for each in audit.estimators}
    paid = [cost for cost in costs.values() if cost > 0]
    paid += [1.0] if audit.full_macs or not paid else []
    is_any_free = min(costs.values()) <= 0
    floor = min(paid) / (8 if is_any_free else 1)
    axes.set_xscale("log")
    axes.set_xlim(floor / 1.7, max(paid) * 2)
    places = {each: (max(cost, floor), each.spearman.value) for each, cost in costs.items()}
    named, names = _named(audit), []
    for each, (x, rho) in places.items():
        if each not in named:
            axes.plot([x], [rho], "o", color=GREY, markersize=3.5)
            continue
        colour, order = (ACCENT, 4) if each is audit.proxy else (INK, 3)
        axes.plot([x, x], _bar(each), color=colour, linewidth=1.2, alpha=0.7)
        style: dict[str, Any] = {"markersize": 7, "markeredgecolor": "white", "zorder": order}
        axes.plot([x], [rho], "o", color=colour, **style)
        names.append(Name(text=shorten(each.name, NAME_WIDTH), point=(x, rho), colour=colour))
    axes.set_ylim(min([0.0, *(_bar(each)[0] for each in costs)]) - 0.05, 1.02)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.grid(True, axis="y")
    _mark_costs(axes, floor if is_any_free else None, is_share=audit.full_macs > 0)
    unit_name = "MACs of a full training" if audit.full_macs else "MACs"
    axes.set_xlabel(f"Cost of a candidate, distillation included ({unit_name})")
    axes.set_ylabel(f"Spearman's {RHO} with full-data accuracy")
    obstacles = [(np.array(place), 4.0) for place in places.values()]
    obstacles += [(np.array([[places[each][0], end] for end in _bar(each)]), 1.0) for each in named]
    if audit.full_macs:
        axes.axvline(1, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        above: dict[str, Any] = {
            "xycoords": axes.get_xaxis_transform(),
            "ha": "right",
            "va": "bottom",
        }
        axes.annotate("a full training", (1, 1.01), fontsize=9, color=GREY, **above)
        obstacles.append((np.array([[1, end] for end in axes.get_ylim()]), 1.0))
    write_names(figure, axes, names, obstacles)
    return figure


def _named(audit: Audit) -> list[Figures]:
    """Return the estimators to name: all where they are few, else the telling ones."""
    shown = audit.estimators
    size = next((each for each in shown if each.kind == "size"), None)
    telling = [audit.proxy, size, *(both.figures for both in audit.combined)]
    return [
        each
        for each in shown
        if len(shown) <= MAX_NAMED
        or each in telling
        or each.kind == "random"
        or _is_best_for_its_cost(each, shown)
    ]


def _is_best_for_its_cost(rival: Figures, shown: Sequence[Figures]) -> bool:
    own = (rival.spearman.value, -rival.cost)
    others = ((other.spearman.value, -other.cost) for other in shown)
    return not any(a >= own[0] and b >= own[1] and (a, b) != own for a, b in others)


def _bar(rival: Figures) -> tuple[float, float]:
    return rival.spearman.low, rival.spearman.high


def _mark_costs(axes: Axes, floor: float | None, *, is_share: bool) -> None:
    """Mark the axis at powers of ten, as shares of one or as counts, and its `floor` as free."""
    low, high = axes.get_xlim()
    low = low if floor is None else floor * (high / floor) ** ROOM_FOR_FREE
    powers = range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)
    powers = powers[:: -1 - len(powers) // 7][::-1]
    free = [] if floor is None else [floor]
    words = [_share(power) if is_share else quantity(10.0**power) for power in powers]
    axes.set_xticks([*free, *(10.0**power for power in powers)], [*("free" for _ in free), *words])
    axes.minorticks_off()


def _share(power: int) -> str:
    """Return a power of ten as a share: 1/1000, 1/10 k."""
    if power >= 0:
        return f"{10**power}"
    unit = "M" if power <= -6 else "k" if power <= -4 else ""
    scale = {"M": 6, "k": 3, "": 0}[unit]
    return f"1/{10 ** (-power - scale)}{' ' if unit else ''}{unit}"
