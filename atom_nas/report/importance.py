"""Which parameters of the space the scores of the search depend on."""

import numpy as np
from matplotlib.figure import Figure

from atom_nas.report.drawing import ACCENT, INK, NAME_WIDTH, new_figure
from atom_nas.report.results import Results
from atom_nas.report.wording import decimal, shorten

MAX_SHOWN = 12
"""Of more parameters the least important are left out."""


def param_importances(results: Results) -> Figure | None:
    """Draw the share of the variance of the score by parameter; None where it is not known."""
    found = results.importances
    if found is None or not found.shares:
        return None
    shown = [*found.shares.items()][:MAX_SHOWN]
    figure, (axes,) = new_figure(5.6, 1.3 + 0.34 * len(shown))
    rows, shares = np.arange(len(shown)), 100 * np.array([share for _, share in shown])
    axes.barh(rows, shares, height=0.6, color=ACCENT)
    for row, share in zip(rows, shares, strict=True):
        axes.annotate(
            f"{decimal(share, 0)} %",
            (share, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.set_yticks(rows, [shorten(name, NAME_WIDTH) for name, _ in shown])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.0, 1.15 * float(shares.max())))
    axes.set_title(f"{shorten(shown[0][0], NAME_WIDTH)} matters most ({found.trials} candidates)")
    axes.set_xlabel("Share of the variance of the score, alone (%)")
    return figure
