"""The search, trial by trial."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atom_nas.report.drawing import (
    ACCENT,
    INK,
    NAME_WIDTH,
    PALE,
    legend_below,
    mark_failed,
    new_figure,
)
from atom_nas.report.results import Results
from atom_nas.report.wording import decimal, measured, shorten


def search_history(results: Results) -> Figure | None:
    """Draw the objective of each trial, and the best so far; None without any."""
    if not results.trials:
        return None
    figure, (axes,) = new_figure(5.6, 3.9)
    number = np.arange(1, len(results.trials) + 1)
    words, unit, scale = measured(results.objective)
    score = scale * np.array([trial.objective for trial in results.trials])
    failed = number[[not trial.is_complete for trial in results.trials]]
    for index, (first, last) in enumerate(_spans(results)):
        label = "drawn uniformly" if index == 0 else None
        axes.axvspan(first - 0.5, last + 0.5, color=PALE, linewidth=0, zorder=0, label=label)
    best = np.fmax.accumulate(score)
    axes.step(number, best, where="post", color=ACCENT, linewidth=1.6, label="best so far")
    axes.scatter(number, score, s=16, color=INK, linewidths=0, zorder=3, label="trial")
    mark_failed(axes, failed, "failed")
    axes.margins(y=0.12)
    axes.set_xlim(0.5, max(number.size, 1) + 0.5)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, steps=[1, 2, 5, 10], nbins=8, min_n_ticks=1)
    )
    proxy = shorten(results.proxy, NAME_WIDTH)
    if np.isfinite(best).any():
        found = f"{decimal(np.nanmax(best), 1)} %" if scale == 100 else decimal(np.nanmax(best), 3)
        axes.set_title(f"Best of {number.size} trials on {proxy}: {found}")
    else:
        axes.set_title(f"No trial on {proxy} was completed")
        axes.set_ylim(0, 100)
    axes.set_xlabel("Trial")
    axes.set_ylabel(f"{words}{unit}")
    legend_below(figure, axes, columns=4)
    return figure


def _spans(results: Results) -> Iterator[tuple[int, int]]:
    """Yield the first and last trial, from 1, of each stretch of uniform draws."""
    position = 0
    for is_uniform, stretch in groupby(results.trials, lambda trial: trial.is_uniform):
        length = sum(1 for _ in stretch)
        if is_uniform:
            yield position + 1, position + length
        position += length
