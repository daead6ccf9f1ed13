"""The look of the figures: one accent on grey, thin spines, direct labels, no pyplot."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, GREY, PALE, ACCENT, WARNING = "#1f2933", "#6b7680", "#e9edf0", "#0072b2", "#d55e00"
"""Accent and warning are the blue and the vermilion of Okabe and Ito, safe for colour-blind."""

NAME_WIDTH = 20
"""Letters of an estimator's name in a figure; the middle of a longer one is left out."""

STYLE: dict[str, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handletextpad": 0.4,
    "svg.fonttype": "path",
    "svg.hashsalt": "atom_nas",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with `STYLE` on matplotlib's defaults, whatever the user's settings, then restore them.

    A character that the font lacks is drawn as a box without a warning.
    """
    with matplotlib.style.context(STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of `width` x `height` inches and its axes, side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def mark_failed(axes: Axes, x: NDArray[Any], label: str) -> None:
    """Mark what failed by a cross at the lower edge, at each of `x` (n,); nothing where n is 0."""
    if x.size:
        axes.plot(
            x,
            np.full(x.size, 0.03),
            "x",
            color=WARNING,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label=label,
        )


def legend_below(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Put the legend under the axes, where it hides no point."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", ncols=columns)


def render(figure: Figure) -> tuple[bytes, bytes]:
    """Return the figure as PNG and as SVG; the same figure gives the same bytes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=180, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()
