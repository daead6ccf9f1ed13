"""How many audited candidates does a model of the scores need, and what do images save of them?

    python benchmarks/fitted_on_few.py

The model of an audit (atom_nas/audit/combination.py) is fitted on a few candidates of known truth,
drawn anew for each of `--splits`, and ranks the others of the pool. It is given the free scores,
the trainings on one draw of a proxy, the choices that make up the architectures (one-hot), or
several of these. Committed rows (search_rows.py, search_convnets.py); no net is trained. Writes
<out>, a table a pool.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
from search_convnets import box, digits
from search_pool import Pool
from search_rows import nas_bench_201

from atom_nas.audit.combination import make_model
from atom_nas.audit.ranking import rank_correlation
from atom_nas.scoring.estimator import Array
from atom_nas.storage.files import write_atomically

FITTED_ON = (5, 10, 20, 30, 50)
FREE = "free scores"
FEWEST = 10
"""Candidates that have to be left to be ranked."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    splits: int = 50
    out: Path = Path(__file__).parent / "results" / "fitted_on_few.md"


def main(settings: Settings) -> None:
    text = "# How many audited candidates does a model of the scores need?\n\n"
    text += (
        f"Spearman of the others: medians over {settings.splits} draws of those that the model is "
        "fitted on (quartiles; the draws share candidates). Fitted by validation accuracies, "
        "judged by test accuracies where there are any; fitted on 0 is a score alone.\n"
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


def ranked_by_model(given: Array, pool: Pool, count: int, splits: int) -> Array:
    """Return the Spearman (splits,) of the candidates that the model was not fitted on."""
    truth = np.array([np.mean(each) for each in pool.trainings])
    found = []
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(truth))
        known, others = order[:count], order[count:]
        model = make_model(count).fit(given[known], truth[known])
        found.append(rank_correlation(model.predict(given[others]), pool.judged[others]))
    return np.array(found)


def to_markdown(pool: Pool, splits: int) -> str:
    """Return the table of a pool; its last rows are what images add, draw by draw."""
    counts = [count for count in FITTED_ON if len(pool.names) - count >= FEWEST]
    lines = [
        f"\n## {pool.name}\n",
        f"| the model is given | 0 | {' | '.join(map(str, counts))} |",
        "|---" * (len(counts) + 2) + "|",
    ]
    found = {}
    for name, alone, given in inputs(pool):
        found[name] = [ranked_by_model(given, pool, count, splits) for count in counts]
        first = "" if alone is None else f"{rank_correlation(alone, pool.judged):.2f}"
        lines.append(f"| {name} | {first} | {' | '.join(map(shown, found[name]))} |")
    for name in pool.proxies:
        pairs = zip(found[f"{name}, {FREE}"], found[FREE], strict=True)
        added = [shown(both - alone, "+") for both, alone in pairs]
        lines.append(f"| *{name} added to the {FREE}* | | {' | '.join(added)} |")
    return "\n".join(lines) + "\n"


def shown(found: Array, sign: str = "") -> str:
    """Return the median and the quartiles."""
    low, median, high = (f"{each:{sign}.2f}" for each in np.percentile(found, (25, 50, 75)))
    return f"{median} ({low} to {high})"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
