"""The figures of a run, each a function of its results."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.stats import rankdata

from atom_nas.report.cost_figure import cost_vs_correlation
from atom_nas.report.drawing import (
    ACCENT,
    GREY,
    INK,
    PALE,
    WARNING,
    house_style,
    legend_below,
    new_figure,
    render,
)
from atom_nas.report.results import Array, Preview, Results
from atom_nas.report.wording import decimal, shorten

POINT = {"s": 26, "linewidths": 0.9, "clip_on": False}
NAME_WIDTH = 20
"""Characters of a proxy's name in a figure; its middle is left out beyond."""


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A figure as the report shows it; `png` and `svg` are its files."""

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes


def proxy_vs_truth(results: Results) -> Figure:
    """Draw proxy score against full-data test accuracy, in percent."""
    figure, (axes,) = new_figure(5.6, 4.3)
    sample, others = results.sample, results.others
    _audited(axes, 100 * sample.scores, 100 * sample.truth)
    if others.scores.size:
        axes.scatter(
            100 * others.scores,
            100 * others.truth,
            facecolor="white",
            edgecolor=GREY,
            label="picked by the optimiser, not in ρ",
            **POINT,
        )
    _ring_best(
        axes,
        100 * np.concatenate([sample.scores, others.scores]),
        100 * np.concatenate([sample.truth, others.truth]),
    )
    axes.grid(True)
    axes.set_title(_correlation(results))
    axes.set_xlabel(f"Validation accuracy, trained on {_name(results)} (%)")
    axes.set_ylabel("Test accuracy, trained on full data (%)")
    legend_below(figure, axes)
    return figure


def ranks(results: Results) -> Figure:
    """Draw the same audited candidates as ranks, 1 = best, at the upper right."""
    figure, (axes,) = new_figure(5.0, 5.2)
    by_proxy, by_truth = rankdata(-results.sample.scores), rankdata(-results.sample.truth)
    n, proxy = len(by_proxy), results.audit.estimators[0]
    if np.isfinite(proxy.top_k):
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
    _ring_best(axes, -by_proxy, -by_truth, -1)
    axes.set(xlim=(n + 0.5, 0.5), ylim=(n + 0.5, 0.5), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.set_title(_correlation(results))
    axes.set_xlabel(f"Rank by {_name(results)} (1 = best)")
    axes.set_ylabel("Rank by full data (1 = best)")
    legend_below(figure, axes)
    return figure


def search_history(results: Results) -> Figure:
    """Draw the proxy accuracy of each trial, in percent, and the best so far."""
    figure, (axes,) = new_figure(5.6, 3.9)
    number = np.arange(1, len(results.trials) + 1)
    accuracy = 100 * np.array([trial.proxy_accuracy for trial in results.trials])
    failed = number[[not trial.is_complete for trial in results.trials]]
    for index, (first, last) in enumerate(_spans(results)):
        label = "drawn uniformly" if index == 0 else None
        axes.axvspan(first - 0.5, last + 0.5, color=PALE, linewidth=0, zorder=0, label=label)
    best = np.fmax.accumulate(accuracy)
    axes.step(number, best, where="post", color=ACCENT, linewidth=1.6, label="best so far")
    axes.scatter(number, accuracy, s=16, color=INK, linewidths=0, zorder=3, label="trial")
    if failed.size:
        axes.plot(
            failed,
            np.full(failed.size, 0.03),
            "x",
            color=WARNING,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label="failed",
        )
    axes.margins(y=0.12)
    axes.set_xlim(0.5, max(number.size, 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    if np.isfinite(best).any():
        axes.set_title(f"Best of {number.size} trials: {decimal(np.nanmax(best), 1)} %")
    axes.set_xlabel("Trial")
    axes.set_ylabel(f"Validation accuracy on {_name(results)} (%)")
    legend_below(figure, axes, columns=4)
    return figure


def proxy_images(results: Results) -> Figure | None:
    """Draw the images of the proxy beside those of random real images; None without pictures."""
    shown = list(_shown_previews(results))
    if not shown:
        return None
    pictures = [matplotlib.image.imread(preview.path) for preview in shown]
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    width = 5.6 / len(shown)
    height = min(8.0, max(1.5, 0.85 * width * tallest + 0.5))
    figure, panels = new_figure(5.6, height, columns=len(shown))
    for axes, preview, picture in zip(panels, shown, pictures, strict=True):
        axes.imshow(picture, cmap="gray", interpolation="none")
        axes.set_title(shorten(preview.name, NAME_WIDTH))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    _label_rows(panels[0], shown[0], pictures[0].shape[0])
    return figure


def draw_all(results: Results) -> Iterator[Plate]:
    """Yield the figures of a run in the order of the report."""
    drawings: tuple[tuple[Callable[[Results], Figure | None], str, str], ...] = (
        (
            proxy_vs_truth,
            "Proxy score against full-data accuracy",
            "Points along one rising line mean that the proxy can be searched on. The ring is the "
            "candidate that the proxy likes best: look how far below the highest point it lies.",
        ),
        (
            ranks,
            "The same as ranks",
            "The nearer to the dashed diagonal, the better. The shaded corner matters most: only "
            "points inside it are among the best by both.",
        ),
        (
            search_history,
            "Search history",
            "A search that helps lifts its points above those of the uniform draw (shaded), and "
            "the line of the best goes on rising after it.",
        ),
        (
            proxy_images,
            "What the candidates were trained on",
            "One row a class. On the left the proxy, beside it as many random real images, where "
            "they were audited.",
        ),
        (
            cost_vs_correlation,
            "Correlation against cost",
            "Up is better, left is cheaper. A proxy is worth its seconds when it stands above "
            "everything to its left; overlapping bars do not decide that, the table does.",
        ),
    )
    with house_style():
        for draw, title, caption in drawings:
            if figure := draw(results):
                png, svg = render(figure, "png"), render(figure, "svg")
                yield Plate(name=draw.__name__, title=title, caption=caption, png=png, svg=svg)


def _audited(axes: Axes, x: Array, y: Array) -> None:
    axes.scatter(x, y, color=ACCENT, alpha=0.85, label="audited, drawn uniformly", **POINT)


def _ring_best(axes: Axes, scores: Array, truth: Array, sign: int = 1) -> None:
    """Ring the points of the highest score; `sign` turns ranks into coordinates."""
    if scores.size:
        best = scores == scores.max()
        axes.scatter(
            sign * scores[best],
            sign * truth[best],
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
        return f"Spearman ρ is not defined, n = {n}"
    ends = f", 95% interval {decimal(rho.low)} to {decimal(rho.high)}"
    return f"ρ = {decimal(rho.value)}{ends if np.isfinite(rho.low) else ''}, n = {n}"


def _name(results: Results) -> str:
    return shorten(results.audit.proxy, NAME_WIDTH)


def _spans(results: Results) -> Iterator[tuple[int, int]]:
    """Yield the first and last trial, from 1, of each stretch of uniform draws."""
    position = 0
    for is_uniform, stretch in groupby(results.trials, lambda trial: trial.is_uniform):
        length = sum(1 for _ in stretch)
        if is_uniform:
            yield position + 1, position + length
        position += length


def _shown_previews(results: Results) -> Iterator[Preview]:
    """Yield the preview of the proxy, then that of the random baseline of the audit, if found."""
    names = [estimator.name for estimator in results.audit.estimators]
    for name in (names[0], *(rival for rival in names[1:] if rival.startswith("random_"))):
        found = [p for p in results.previews if p.name == name and p.path.is_file()]
        yield from found[:1]


def _label_rows(axes: Axes, preview: Preview, height: int) -> None:
    """Write the class names beside the rows of the picture, as many as it shows."""
    names = preview.class_names[:20]
    if names:
        row = height / len(names)
        axes.set_yticks(
            [(index + 0.5) * row for index in range(len(names))],
            [shorten(name, 14) for name in names],
            fontsize=8,
        )
        axes.tick_params(left=False)
