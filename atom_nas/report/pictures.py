"""The images of the proxy beside the real ones that it has to beat."""

from collections.abc import Iterator

import matplotlib.image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atom_nas.report.drawing import NAME_WIDTH, new_figure
from atom_nas.report.results import Preview, Results
from atom_nas.report.wording import shorten

MAX_ROWS = 20
"""The classes that a preview shows."""


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


def _shown_previews(results: Results) -> Iterator[Preview]:
    """Yield the preview of the proxy, then that of the random baseline of the audit, if found."""
    rivals = results.audit.rivals if results.audit else ()
    random = [rival.figures.name for rival in rivals if rival.figures.kind == "random"]
    for name in (results.proxy, *random):
        found = [p for p in results.previews if p.name == name]
        yield from found[:1]


def _label_rows(axes: Axes, preview: Preview, height: int) -> None:
    """Write the class names beside the rows of the picture, as many as it shows."""
    names = preview.class_names[:MAX_ROWS]
    if names:
        row = height / len(names)
        axes.set_yticks(
            [(index + 0.5) * row for index in range(len(names))],
            [shorten(name, 14) for name in names],
            fontsize=8,
        )
        axes.tick_params(left=False)
