"""What the proxy is worth in random images, as a picture: their curve, and where it meets it."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atom_nas.audit.ranking import Estimate
from atom_nas.audit.worth import Worth
from atom_nas.report.drawing import ACCENT, GREY, INK, NAME_WIDTH, legend_below, new_figure
from atom_nas.report.results import Results
from atom_nas.report.wording import RHO, shorten


def worth_in_images(results: Results) -> Figure | None:
    """Draw Spearman against the random images a class; None where the worth was not asked for.

    The axis is logarithmic. Bands are 95% intervals; the thick line at the foot is that of the
    worth.
    """
    if not (results.audit and (worth := results.audit.worth)):
        return None
    figure, (axes,) = new_figure(5.6, 4.1)
    axes.set_xscale("log")
    name = shorten(worth.proxy, NAME_WIDTH)
    _draw_random_images(axes, worth)
    own, images = worth.spearman, worth.images
    axes.axhspan(own.low, own.high, color=ACCENT, alpha=0.12, linewidth=0)
    axes.axhline(own.value, color=ACCENT, linewidth=1.6, label=name)
    low, high = _ends([own, *(each.spearman for each in worth.curve)])
    axes.set_ylim(low, high)
    axes.plot([images.value] * 2, [low, own.value], color=INK, linestyle=(0, (4, 3)), linewidth=1)
    axes.plot(
        [images.low, images.high],
        [low, low],
        color=INK,
        linewidth=5,
        solid_capstyle="butt",
        clip_on=False,
        zorder=5,
        label="its worth, 95% interval",
    )
    axes.plot([images.value], [own.value], "o", color=ACCENT, markersize=7, zorder=4)
    sizes = [each.images for each in worth.curve]
    axes.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
    axes.set_xticks(sizes, [f"{size}" for size in sizes])
    axes.minorticks_off()
    axes.grid(True, axis="y")
    axes.set_title(
        f"{name}: worth {worth.say(images.value)} "
        f"({worth.say(images.low)} to {worth.say(images.high)}) images a class"
    )
    axes.set_xlabel("Random images a class")
    axes.set_ylabel(f"Spearman's {RHO} with full-data accuracy")
    legend_below(figure, axes)
    return figure


def _draw_random_images(axes: Axes, worth: Worth) -> None:
    """Draw the curve of random images with its band, and the line that rises with their number."""
    sizes = [each.images for each in worth.curve]
    found = [each.spearman for each in worth.curve]
    axes.fill_between(
        sizes,
        [each.low for each in found],
        [each.high for each in found],
        color=GREY,
        alpha=0.15,
        linewidth=0,
    )
    values = [each.value for each in found]
    axes.plot(sizes, values, "o", color=GREY, markersize=4.5, label="random images")
    label = "the same, made to rise"
    axes.plot(sizes, [each.monotone for each in worth.curve], color=GREY, label=label)


def _ends(found: list[Estimate]) -> tuple[float, float]:
    """Return the ends of an axis that shows all intervals."""
    low, high = min(each.low for each in found), max(each.high for each in found)
    room = 0.06 * max(high - low, 0.05)
    return low - 2 * room, min(high + room, 1.02)
