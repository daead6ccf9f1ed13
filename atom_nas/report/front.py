"""Score against cost: the candidates that no cheaper one equals."""

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, legend_below, new_figure
from atom_nas.report.labels import Name, write_names
from atom_nas.report.results import Results
from atom_nas.report.trials import Trial
from atom_nas.report.wording import COST_WORDS, bounds, measured, quantity, shorten
from atom_nas.search import objectives
from atom_nas.search.objectives import COSTS, Objectives

BY_MACS = Objectives(("macs",))
"""What the front is by where the search went by the score alone."""

LABELS = {
    "params": "Parameters",
    "macs": "Multiply-adds of one image",
    "latency": "Latency (ms)",
}

MAX_NAMED = 6
"""Of more members of the front the ends and as many between are named in the figure."""


def front(trials: Iterable[Trial]) -> list[Trial]:
    """Return those that score higher than every one of no more MACs, the cheapest first."""
    known = (each for each in trials if each.macs > 0)
    return objectives.front(known, lambda each: BY_MACS.losses(each.objective, each))[::-1]


def about_front(results: Results) -> tuple[str, str]:
    """Return title and caption of the figure."""
    by = _by(results)
    members = _members(results)
    names = ", ".join(each.candidate for each in members[:MAX_NAMED])
    if len(members) > MAX_NAMED:
        names += f" and {len(members) - MAX_NAMED} more"
    is_line = len(by.costs) == 1
    told = (
        "No candidate that costs no more scores as high as one on the line. On it"
        if is_line
        else f"No candidate scores as high as one on the front at no more {bounds(by)}; the "
        f"figure shows the first of these, {COST_WORDS[by.costs[0]]}, alone. On the front"
    )
    return f"Score against {COST_WORDS[by.costs[0]]}", f"{told}, the cheapest first: {names}."


def pareto_front(results: Results) -> Figure | None:
    """Draw score against the first cost with the front; None with fewer than two candidates."""
    by, members = _by(results), _members(results)
    name = by.costs[0]
    known = [trial for trial in results.scored if _cost(trial, name) > 0]
    if len(known) < 2:
        return None
    words, unit, scale = measured(results.objective)
    figure, (axes,) = new_figure(5.6, 4.1)
    costs, scores = (np.array(each) for each in _coordinates(known, name, scale))
    front_costs, front_scores = (np.array(each) for each in _coordinates(members, name, scale))
    axes.set_xscale("log")
    axes.scatter(costs, scores, s=20, color=GREY, alpha=0.7, linewidths=0, label="candidate")
    if len(by.costs) == 1:
        axes.step(front_costs, front_scores, where="post", color=ACCENT, linewidth=1.4)
    axes.plot(front_costs, front_scores, "o", color=ACCENT, markersize=6, label="on the front")
    axes.set_xlim(costs.min() / 1.5, costs.max() * 1.5)
    axes.margins(y=0.12)
    _mark_costs(figure, costs, name)
    axes.grid(True, axis="y")
    axes.set_title(f"{len(members)} of {len(known)} candidates are on the front")
    axes.set_xlabel(LABELS[name])
    axes.set_ylabel(f"{words}{unit}" if words else "Score")
    chosen = np.unique(np.linspace(0, len(members) - 1, MAX_NAMED).round().astype(int))
    names = [
        Name(
            text=shorten(members[index].candidate, NAME_WIDTH),
            point=(front_costs[index], front_scores[index]),
            colour=INK,
        )
        for index in chosen
    ]
    legend_below(figure, axes)
    points = zip(costs, scores, strict=True)
    write_names(figure, axes, names, [(np.array(at), 4.0) for at in points])
    return figure


def _by(results: Results) -> Objectives:
    """Return what the front is by: what the search optimised, if that is more than the score."""
    return results.objectives if results.front else BY_MACS


def _members(results: Results) -> list[Trial]:
    """Return the front of the search, or that by multiply-adds, the cheapest first."""
    name = _by(results).costs[0]
    return sorted(results.front, key=lambda each: _cost(each, name)) or front(results.trials)


def _cost(trial: Trial, name: str) -> float:
    return float(getattr(trial, COSTS[name]))


def _coordinates(trials: list[Trial], name: str, scale: float) -> tuple[list[float], list[float]]:
    return [_cost(each, name) for each in trials], [scale * each.objective for each in trials]


def _mark_costs(figure: Figure, costs: np.ndarray, name: str) -> None:
    """Mark the axis in words: at 1, 2 and 5 within two powers of ten, else at powers."""
    axis = figure.axes[0].xaxis
    is_short = costs.max() < 100 * costs.min()
    write = "{:g}".format if name == "latency" else quantity
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if is_short else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_locator(NullLocator())
