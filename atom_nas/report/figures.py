"""The figures of a run in the order of the report, with what to look at in each."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from atom_nas.report.agreement import proxy_vs_truth, ranks
from atom_nas.report.drawing import house_style, render
from atom_nas.report.front import about_front, pareto_front
from atom_nas.report.importance import param_importances
from atom_nas.report.pictures import proxy_images
from atom_nas.report.progress import search_history
from atom_nas.report.regions import correlation_vs_fraction
from atom_nas.report.results import Results
from atom_nas.report.tradeoff import cost_vs_correlation
from atom_nas.report.worth import worth_in_images


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A figure as the report shows it; `png` and `svg` are its files."""

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes


def draw_all(results: Results) -> list[Plate]:
    """Draw the figures of a run in the order of the report."""
    drawings: tuple[tuple[Callable[[Results], Figure | None], str, str], ...] = (
        (
            proxy_vs_truth,
            "Proxy score against full-data accuracy",
            "Points along one rising line mean that the proxy can be searched on. The ring is the "
            "candidate that the proxy likes best: look how far below the highest point it lies. "
            "Inside the band are the nets that a search is after.",
        ),
        (
            ranks,
            "The same as ranks",
            "The nearer to the dashed diagonal, the better. The shaded corner matters most: only "
            "points inside it are among the best by both.",
        ),
        (
            correlation_vs_fraction,
            "Correlation inside the best",
            "The right end is over all candidates, the left end where a search picks: a proxy "
            "that falls to zero there finds good candidates, but cannot find the very best. Few "
            "candidates are left there, so look at the trend.",
        ),
        (
            search_history,
            "Search history",
            "A search that helps lifts its points above those of the uniform draw (shaded), and "
            "the line of the best goes on rising after it.",
        ),
        (
            param_importances,
            "What the score depends on",
            "The part of the score's variance that each setting of the space explains alone, by "
            "fANOVA over the candidates of the search; what is left to 100 % is due to several "
            "together. It says what to vary, not which value is best.",
        ),
        (
            pareto_front,
            *about_front(results),
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
            "Up is better, left is cheaper. A proxy is worth its cost when it stands above "
            "everything to its left; overlapping bars do not decide that, the table does. "
            "Small points without a name are other scores of the table.",
        ),
        (
            worth_in_images,
            "What the set is worth in random images",
            "The more random real images a class, the better they rank (grey). Where the line of "
            "the proxy meets theirs, read down: so many random images a class would rank as well. "
            "No more than the proxy itself holds means that random images would have done. The "
            "thick line at the foot is the 95% interval; at an end of the axis the worth may lie "
            "beyond it.",
        ),
    )
    plates = []
    with house_style():
        for draw, title, caption in drawings:
            if figure := draw(results):
                png, svg = render(figure)
                plates.append(
                    Plate(name=draw.__name__, title=title, caption=caption, png=png, svg=svg)
                )
    return plates
