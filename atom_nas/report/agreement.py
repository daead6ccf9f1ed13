"""How the proxy's score agrees with the truth: as accuracies and as ranks."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import rankdata

from atom_nas.audit.figures import MIN_TOP, TOP
from atom_nas.audit.ranking import top_fraction
from atom_nas.audit.record import Audit
from atom_nas.report.drawing import (
    ACCENT,
    GREY,
    INK,
    NAME_WIDTH,
    house_style,
    legend_below,
    mark_failed,
    new_figure,
)
from atom_nas.report.results import NO_POINTS, Array, Points, Results, audited_points
from atom_nas.report.wording import BEST, RHO, decimal, measured, shorten, top_found

POINT: dict[str, Any] = {"s": 26, "linewidths": 0.9, "clip_on": False}


def proxy_vs_truth(results: Results) -> Figure | None:
    """Draw proxy score against full-data accuracy in percent; None without an audit."""
    return score_against_truth(results.audit, results.others) if results.audit else None


def plot(audit: Audit) -> Figure:
    """Draw the score of the audited proxy against full-data accuracy, for itself."""
    with house_style():
        return score_against_truth(audit)


def score_against_truth(audit: Audit, others: Points = NO_POINTS) -> Figure:
    """Draw the score of the audited proxy against full-data accuracy in percent.

    `others` are candidates that were not drawn uniformly.
    """
    figure, (axes,) = new_figure(5.6, 4.3)
    sample = audited_points(audit)
    words, unit, scale = measured(audit.measure)
    if others.scores.size:
        axes.scatter(
            scale * others.scores,
            100 * others.truth,
            facecolor="white",
            edgecolor=GREY,
            label="picked by the optimiser, not audited",
            **POINT,
        )
    _shade_best(axes, audit, sample.truth)
    is_known = np.array([each is not None for each in audit.truth], dtype=bool)
    _audited(axes, scale * sample.scores[is_known], 100 * sample.truth[is_known])
    # at 0 % they would flatten all others
    mark_failed(axes, scale * sample.scores[~is_known], "failed on the full data")
    scores = np.concatenate([sample.scores, others.scores])
    truth = np.concatenate([np.where(is_known, sample.truth, np.nan), others.truth])
    _ring(axes, scale * scores, 100 * truth, scores == scores.max(initial=-np.inf))
    if not scores.size:
        axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.grid(True)
    axes.set_title(_correlation(audit))
    proxy = shorten(audit.proxy.name, NAME_WIDTH)
    axes.set_xlabel(f"{words}, trained on {proxy}{unit}" if words else f"Score by {proxy}")
    axes.set_ylabel("Validation accuracy, trained on full data (%)")
    legend_below(figure, axes)
    return figure


def ranks(results: Results) -> Figure | None:
    """Draw the same audited candidates as ranks, 1 = best, at the upper right."""
    if not (audit := results.audit):
        return None
    figure, (axes,) = new_figure(5.0, 5.2)
    sample, proxy = audited_points(audit), audit.proxy
    by_proxy, by_truth = rankdata(-sample.scores), rankdata(-sample.truth)
    n = len(by_proxy)
    axes.add_patch(
        Rectangle(
            (0.5, 0.5),
            min(proxy.top_k, n),
            min(proxy.top_k, n),
            color=ACCENT,
            alpha=0.1,
            linewidth=0,
            label=f"top {proxy.top_k} by both: {top_found(proxy.overlap, proxy.top_k)}",
        )
    )
    axes.plot([0.5, n + 0.5], [0.5, n + 0.5], color=GREY, linewidth=0.8, linestyle=(0, (4, 4)))
    _audited(axes, by_proxy, by_truth)
    _ring(axes, by_proxy, by_truth, by_proxy == by_proxy.min(initial=n))
    axes.set(xlim=(max(n, 1) + 0.5, 0.5), ylim=(max(n, 1) + 0.5, 0.5), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(
            MaxNLocator(integer=True, steps=[1, 2, 5, 10], nbins=6, min_n_ticks=1)
        )
    axes.set_title(_correlation(audit))
    axes.set_xlabel(f"Rank by {shorten(proxy.name, NAME_WIDTH)} (1 = best)")
    axes.set_ylabel("Rank by full data (1 = best)")
    legend_below(figure, axes)
    return figure


def _shade_best(axes: Axes, audit: Audit, truth: Array) -> None:
    """Shade the accuracies of the best by truth, and write the Spearman inside to the legend."""
    if not truth.size:
        return
    best = truth[top_fraction(truth, TOP)]
    if best.size >= MIN_TOP:
        axes.add_artist(
            Rectangle(
                (0, 100 * best.min()),
                1,
                100,
                transform=axes.get_yaxis_transform(),
                color=ACCENT,
                alpha=0.1,
                linewidth=0,
                label=f"{BEST} by full data, {RHO} = {decimal(audit.proxy.spearman_top.value)} "
                "inside",
            )
        )


def _audited(axes: Axes, x: Array, y: Array) -> None:
    axes.scatter(x, y, color=ACCENT, alpha=0.85, label="audited, drawn uniformly", **POINT)


def _ring(axes: Axes, x: Array, y: Array, is_best: NDArray[np.bool_]) -> None:
    axes.scatter(
        x[is_best],
        y[is_best],
        s=110,
        facecolor="none",
        edgecolor=INK,
        linewidths=1.1,
        clip_on=False,
        label="best by the proxy",
    )


def _correlation(audit: Audit) -> str:
    rho = audit.proxy.spearman
    ends = f"95% interval {decimal(rho.low)} to {decimal(rho.high)}"
    return f"{RHO} = {decimal(rho.value)}, {ends}, n = {audit.n}"
