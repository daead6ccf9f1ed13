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
from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, legend_below, new_figure
from atom_nas.report.results import Array, Results
from atom_nas.report.wording import BEST, RHO, decimal, measured, shorten

POINT: dict[str, Any] = {"s": 26, "linewidths": 0.9, "clip_on": False}


def proxy_vs_truth(results: Results) -> Figure:
    """Draw proxy score against full-data test accuracy in percent."""
    figure, (axes,) = new_figure(5.6, 4.3)
    sample, others = results.sample, results.others
    words, unit, scale = measured(results.audit.measure)
    if others.scores.size:
        axes.scatter(
            scale * others.scores,
            100 * others.truth,
            facecolor="white",
            edgecolor=GREY,
            label="picked by the optimiser, not audited",
            **POINT,
        )
    _shade_best(axes, results)
    _audited(axes, scale * sample.scores, 100 * sample.truth)
    scores = np.concatenate([sample.scores, others.scores])
    truth = np.concatenate([sample.truth, others.truth])
    _ring(axes, scale * scores, 100 * truth, scores == scores.max(initial=-np.inf))
    if not scores.size:
        axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.grid(True)
    axes.set_title(_correlation(results))
    axes.set_xlabel(f"{words}, trained on {shorten(results.audit.proxy, NAME_WIDTH)}{unit}")
    axes.set_ylabel("Test accuracy, trained on full data (%)")
    legend_below(figure, axes)
    return figure


def ranks(results: Results) -> Figure:
    """Draw the same audited candidates as ranks, 1 = best, at the upper right."""
    figure, (axes,) = new_figure(5.0, 5.2)
    by_proxy, by_truth = rankdata(-results.sample.scores), rankdata(-results.sample.truth)
    n, proxy = len(by_proxy), results.audit.estimators[0]
    if np.isfinite(proxy.overlap):
        axes.add_patch(
            Rectangle(
                (0.5, 0.5),
                min(proxy.top_k, n),
                min(proxy.top_k, n),
                color=ACCENT,
                alpha=0.1,
                linewidth=0,
                label=f"top {proxy.top_k:.0f} by both, overlap {decimal(100 * proxy.overlap, 0)} %",
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
    axes.set_title(_correlation(results))
    axes.set_xlabel(f"Rank by {shorten(results.audit.proxy, NAME_WIDTH)} (1 = best)")
    axes.set_ylabel("Rank by full data (1 = best)")
    legend_below(figure, axes)
    return figure


def _shade_best(axes: Axes, results: Results) -> None:
    """Shade the accuracies of the best by truth, and write the Spearman inside to the legend."""
    rho, truth = results.audit.estimators[0].spearman_top.value, results.sample.truth
    if not (np.isfinite(rho) and truth.size):
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
                label=f"{BEST} by full data, {RHO} = {decimal(rho)} inside",
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


def _correlation(results: Results) -> str:
    rho, n = results.audit.estimators[0].spearman, results.audit.n
    if not np.isfinite(rho.value):
        return f"Spearman's {RHO} is not defined, n = {n}"
    ends = f", 95% interval {decimal(rho.low)} to {decimal(rho.high)}"
    return f"{RHO} = {decimal(rho.value)}{ends if np.isfinite(rho.low) else ''}, n = {n}"
