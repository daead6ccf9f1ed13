"""Names beside the points of a figure, put where they cover the least."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from atom_nas.report.drawing import GREY
from atom_nas.report.results import Array

LETTER, LINE, GAP = 5.6, 11.0, 8
"""Width of a letter, height of a line, and distance of a name from its point, in points."""

RISES = sorted(range(-84, 85, 12), key=abs)
"""How far above its point a name may stand, in points."""

SWEEPS = 4
"""How often each name is put to its best place, the others where they are."""


@dataclass(frozen=True, kw_only=True)
class Name:
    """What to write at the point (x, y) of the data."""

    text: str
    point: tuple[float, float]
    colour: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a name may stand: right (1) or left (-1) of its point, `rise` points above."""

    side: int
    rise: int
    box: Bbox
    leader: Path
    """The line from the point to the name."""


def write_names(
    figure: Figure, axes: Axes, names: Sequence[Name], obstacles: Sequence[tuple[Array, float]]
) -> None:
    """Write the names so that they cover little of each other and of the obstacles.

    An obstacle is a point (2,) or two ends of a line (2, 2) in the data, and its weight.
    """
    figure.draw_without_rendering()
    frame = axes.get_window_extent()

    def in_points(place: Array) -> Array:
        pixels: Array = axes.transData.transform(place) - (frame.x0, frame.y0)
        return pixels * 72 / figure.dpi

    room = Bbox.from_bounds(0, 0, frame.width * 72 / figure.dpi, frame.height * 72 / figure.dpi)
    taken = [(_box(in_points(place)), weight) for place, weight in obstacles]
    choices = [[*_places(in_points(np.array(name.point)), len(name.text))] for name in names]
    chosen = [places[0] for places in choices]
    for index, places in [*enumerate(choices)] * SWEEPS:
        others = [*chosen[:index], *chosen[index + 1 :]]
        chosen[index] = min(places, key=lambda at: _badness(at, room, taken, others))
    for name, place in zip(names, chosen, strict=True):
        near = (0 if place.side > 0 else 1, 0.5)
        leader = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "relpos": near}
        axes.annotate(
            name.text,
            name.point,
            (GAP * place.side, place.rise),
            textcoords="offset points",
            ha="left" if place.side > 0 else "right",
            va="center",
            fontsize=9,
            color=name.colour,
            path_effects=[matplotlib.patheffects.withStroke(linewidth=3, foreground="white")],
            arrowprops=leader if place.rise else None,
        )


def _box(place: Array) -> Bbox:
    return Bbox([place - 6, place + 6]) if place.ndim == 1 else Bbox(place)


def _places(point: Array, num_letters: int) -> Iterator[Place]:
    width = LETTER * num_letters
    for side, rise in product((1, -1), RISES):
        edge = point + np.array([GAP * side, rise])
        left = edge[0] if side > 0 else edge[0] - width
        box = Bbox.from_bounds(left, edge[1] - LINE / 2, width, LINE)
        yield Place(side=side, rise=rise, box=box, leader=Path([point, edge]))


def _badness(
    at: Place, room: Bbox, taken: Sequence[tuple[Bbox, float]], others: Sequence[Place]
) -> float:
    """Weigh what the name and its leader cover, how far off it is, and whether it has room."""
    covered = sum(
        weight * box.overlaps(at.box) + 0.3 * weight * at.leader.intersects_bbox(box)
        for box, weight in taken
    )
    names = sum(
        8.0 * other.box.overlaps(at.box)
        + 8.0 * (at.leader.intersects_bbox(other.box) or other.leader.intersects_bbox(at.box))
        + 2.0 * at.leader.intersects_path(other.leader)
        for other in others
    )
    is_inside = room.x0 < at.box.x0 and at.box.x1 < room.x1
    is_inside &= room.y0 < at.box.y0 and at.box.y1 < room.y1
    return covered + names + 0.03 * abs(at.rise) + (0 if is_inside else 20)
