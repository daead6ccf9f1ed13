"""How many audited candidates does a model of the scores need, and what do images save of them?

    python benchmarks/fitted_on_few.py

The model of an audit (atom_nas/audit/combination.py) is fitted on a few candidates of known truth,
drawn anew for each of `--splits`, and ranks the others of the pool; the best of these are picked by
it, as a run exports nets. It is given the free scores, the trainings on one draw of a proxy, the
choices that make up the architectures (one-hot), or several of these. Committed rows
(search_rows.py, search_convnets.py); no net is trained. Writes <out>, the tables of each pool.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from search_convnets import box, digits
from search_pool import Pool
from search_rows import nas_bench_201

from atom_nas.audit.combination import make_model
from atom_nas.audit.ranking import rank_correlation
from atom_nas.scoring.estimator import Array
from atom_nas.storage.files import write_atomically

FITTED_ON = (5, 10, 20, 30, 50)
FREE = "free scores"
EXPORTED = 3
"""Nets that a run exports by default."""
FEWEST = 10
"""Candidates that have to be left to be ranked."""

Places = NDArray[np.intp]
"""Of candidates in a pool."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    splits: int = 100
    out: Path = Path(__file__).parent / "results" / "fitted_on_few.md"


def main(settings: Settings) -> None:
    text = "# How many audited candidates does a model of the scores need?\n\n"
    text += (
        f"Spearman of the others: medians over {settings.splits} draws of those that the model is "
        "fitted on (quartiles; the draws share candidates). Fitted by validation accuracies, "
        "judged by test accuracies where there are any; fitted on 0 is a score alone. Points lost: "
        f"the first {EXPORTED} of the others are trained on the full data, and the best of these "
        "by validation accuracy is so far below the best of all others; means over the draws.\n"
    )
    for pool in (nas_bench_201(), box(), digits()):
        text += to_markdown(pool, settings.splits)
    write_atomically(settings.out, text)
    print(text)


def inputs(pool: Pool) -> Iterator[tuple[str, Array | None, Array]]:
    """Yield (name, the score that needs no model if there is one, what a model is given)."""
    free = [each for each in pool.free if each.kind != "rank_average"]
    average = next(each for each in pool.free if each.kind == "rank_average")
    scores = matrix(each.scores for each in free)
    choices = one_hot(pool)
    yield "choices", None, choices
    yield FREE, average.ranked, scores
    yield f"{FREE}, choices", None, np.hstack([scores, choices])
    for name, (found, *_) in pool.proxies.items():
        trained = matrix([found.scores, *found.variants.values()])
        yield name, found.ranked, trained
        yield f"{name}, choices", None, np.hstack([trained, choices])
        yield f"{name}, {FREE}", None, np.hstack([trained, scores])
        yield f"{name}, {FREE}, choices", None, np.hstack([trained, scores, choices])


def matrix(columns: Iterator[Array] | list[Array]) -> Array:
    """Return the columns (n,) side by side; no score of the committed rows has failed."""
    return np.stack(list(columns), axis=1)


def one_hot(pool: Pool) -> Array:
    """Return which value each field of the candidates has, (n, values of all fields)."""
    fields = (pool.words[:, i] for i in range(pool.words.shape[1]))
    return np.hstack([field[:, None] == np.unique(field) for field in fields]).astype(float)


def draws(pool: Pool, count: int, splits: int) -> Iterator[tuple[Places, Places]]:
    """Yield (those of known truth, the others), drawn anew each time."""
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(pool.names))
        yield order[:count], order[count:]


def by_model(given: Array, pool: Pool, count: int, splits: int) -> Array:
    """Return what the model makes of the others in each draw: Spearman and points lost, (s, 2)."""
    found, truth = [], validation(pool)
    for known, others in draws(pool, count, splits):
        scores = make_model(count).fit(given[known], truth[known]).predict(given[others])
        rho = rank_correlation(scores, pool.judged[others])
        found.append((rho, lost(scores, others, pool)))
    return np.array(found)


def lost_in_turn(alone: Array, given: Array, pool: Pool, count: int, splits: int) -> list[float]:
    """Return the points lost in each draw where a score and the model pick in turn."""
    found, truth = [], validation(pool)
    for known, others in draws(pool, count, splits):
        model = make_model(count).fit(given[known], truth[known]).predict(given[others])
        found.append(lost(in_turn(alone[others], model), others, pool))
    return found


def in_turn(first: Array, second: Array) -> Array:
    """Return scores (n,) that order as two scores do in turn.

    As atom_nas/pipeline/best.py does: by the higher of the two ranks, of equals by their sum.
    """
    ranks = np.stack([rankdata(first), rankdata(second)])
    both: Array = ranks.max(0) + ranks.sum(0) / (4 * len(first))
    return both


def lost(scores: Array, others: Places, pool: Pool) -> float:
    """Return how far the pick is below the best of the others, in points.

    The first `EXPORTED` by the scores (n,) are trained on the full data, and the pick is the one
    of the highest validation accuracy.
    """
    first = others[np.argsort(-scores)[:EXPORTED]]
    pick = first[np.argmax(validation(pool)[first])]
    return float(100 * (pool.judged[others].max() - pool.judged[pick]))


def validation(pool: Pool) -> Array:
    """Return the validation accuracies (n,), the mean over trainings."""
    return np.array([np.mean(each) for each in pool.trainings])


def to_markdown(pool: Pool, splits: int) -> str:
    """Return the tables of a pool; the last rows of the first are what images add, by draws."""
    counts = [count for count in FITTED_ON if len(pool.names) - count >= FEWEST]
    head = f"| {' | '.join(map(str, counts))} |"
    lines = [f"\n## {pool.name}\n", f"| the model is given | 0 {head}"]
    lines.append("|---" * (len(counts) + 2) + "|")
    points = ["", f"| points lost, by | {head[2:]}", "|---" * (len(counts) + 1) + "|"]
    found = {}
    for name, alone, given in inputs(pool):
        both = [by_model(given, pool, count, splits) for count in counts]
        found[name] = [each[:, 0] for each in both]
        first = "" if alone is None else f"{rank_correlation(alone, pool.judged):.2f}"
        lines.append(f"| {name} | {first} | {' | '.join(map(shown, found[name]))} |")
        if alone is not None:
            means = [
                np.mean([lost(alone[others], others, pool) for _, others in draws(pool, n, splits)])
                for n in counts
            ]
            points.append(f"| {name}, no model | {' | '.join(f'{mean:.2f}' for mean in means)} |")
        means = [each[:, 1].mean() for each in both]
        points.append(f"| model of {name} | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    for name, (found_on, *_) in pool.proxies.items():
        given = next(each for key, _, each in inputs(pool) if key == f"{name}, {FREE}")
        means = [np.mean(lost_in_turn(found_on.ranked, given, pool, n, splits)) for n in counts]
        cells = " | ".join(f"{mean:.2f}" for mean in means)
        points.append(f"| {name} and its model with the {FREE}, in turn | {cells} |")
    for name in pool.proxies:
        pairs = zip(found[f"{name}, {FREE}"], found[FREE], strict=True)
        added = [shown(both - alone, "+") for both, alone in pairs]
        lines.append(f"| *{name} added to the {FREE}* | | {' | '.join(added)} |")
    return "\n".join([*lines, *points]) + "\n"


def shown(found: Array, sign: str = "") -> str:
    """Return the median and the quartiles."""
    low, median, high = (f"{each:{sign}.2f}" for each in np.percentile(found, (25, 50, 75)))
    return f"{median} ({low} to {high})"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
