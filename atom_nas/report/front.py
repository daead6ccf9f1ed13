"""Score against multiply-adds: the candidates that no cheaper one equals."""

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, legend_below, new_figure
from atom_nas.report.labels import Name, write_names
from atom_nas.report.results import Results, Trial
from atom_nas.report.wording import measured, quantity, shorten

MAX_NAMED = 6
"""Of more members of the front the ends and as many between are named in the figure."""


def front(trials: Iterable[Trial]) -> list[Trial]:
    """Return those that score higher than every one that costs no more, the cheapest first."""
    known = (each for each in trials if math.isfinite(each.objective) and each.macs > 0)
    members: list[Trial] = []
    for trial in sorted(known, key=lambda each: (each.macs, -each.objective)):
        if not members or trial.objective > members[-1].objective:
            members.append(trial)
    return members


def pareto_front(results: Results) -> Figure | None:
    """Draw score against multiply-adds with the front; None with fewer than two candidates."""
    known = [trial for trial in results.scored if trial.macs > 0]
    if len(known) < 2:
        return None
    members = front(known)
    words, unit, scale = measured(results.objective)
    figure, (axes,) = new_figure(5.6, 4.1)
    macs, scores = (np.array(each) for each in _coordinates(known, scale))
    front_macs, front_scores = (np.array(each) for each in _coordinates(members, scale))
    axes.set_xscale("log")
    axes.scatter(macs, scores, s=20, color=GREY, alpha=0.7, linewidths=0, label="candidate")
    axes.step(front_macs, front_scores, where="post", color=ACCENT, linewidth=1.4)
    axes.plot(front_macs, front_scores, "o", color=ACCENT, markersize=6, label="on the front")
    axes.set_xlim(macs.min() / 1.5, macs.max() * 1.5)
    axes.margins(y=0.12)
    _mark_macs(figure, macs)
    axes.grid(True, axis="y")
    axes.set_title(f"{len(members)} of {len(known)} candidates are on the front")
    axes.set_xlabel("Multiply-adds of one image")
    axes.set_ylabel(f"{words}{unit}" if words else "Score")
    chosen = np.unique(np.linspace(0, len(members) - 1, MAX_NAMED).round().astype(int))
    names = [
        Name(
            text=shorten(members[index].candidate, NAME_WIDTH),
            point=(front_macs[index], front_scores[index]),
            colour=INK,
        )
        for index in chosen
    ]
    legend_below(figure, axes)
    write_names(figure, axes, names, [(np.array(at), 4.0) for at in zip(macs, scores, strict=True)])
    return figure


def _coordinates(trials: list[Trial], scale: float) -> tuple[list[float], list[float]]:
    return [trial.macs for trial in trials], [scale * trial.objective for trial in trials]


def _mark_macs(figure: Figure, macs: np.ndarray) -> None:
    """Mark the axis in words: at 1, 2 and 5 within two powers of ten, else at powers."""
    axis = figure.axes[0].xaxis
    is_short = macs.max() < 100 * macs.min()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if is_short else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    axis.set_minor_locator(NullLocator())
