"""Does the model of all scores rank candidates whose truth came after it was chosen?

    python benchmarks/later_candidates.py
    python benchmarks/later_candidates.py --first 64    # and the rule of the exports

The ConvNets of the box: `combined_model` is fitted on the first 42 that had a truth, on which
benchmarks/README.md first reported it, and then orders those that came later, uniform draws too.
Committed rows; no net is trained, and all of CIFAR-10 must be at hand. Prints a table: Spearman
with the validation accuracies of the later ones, that minus the best free score's on the first and
minus that of a model without images, Spearman with their test accuracies, which nothing has seen,
and how far the best of the three that stand first is below the best of all later ones: of the
score, the model, and both in turn, as nets are exported.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import command
import numpy as np
from fitted_on_few import in_turn, lost
from intervals import interval
from search_convnets import box
from search_pool import Pool, part

from atom_nas.audit.combination import fit_predictor
from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import rank_correlation, spearman
from atom_nas.scoring.estimator import Array, Estimator

FREE = "model of the free scores"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which candidates came later."""

    first: int = 42
    """Candidates that the model is fitted on: 42 when it was first reported, 64 when the rule of
    the exports was chosen."""


def orders(pool: Pool, truth: Array, first: Array, later: Array) -> Iterator[tuple[str, Array]]:
    """Yield (name, scores of the later candidates) of each way of ordering them."""
    free = [each for each in pool.free if each.kind != "rank_average"]
    best = max(free, key=lambda each: rank_correlation(each.ranked[first], truth[first]))
    yield f"{best.name}, the best free score on the first", best.ranked[later]
    yield FREE, by_model(free, truth, first, later)
    for name, (proxy, *_) in pool.proxies.items():
        alone, model = proxy.ranked[later], by_model([proxy, *free], truth, first, later)
        yield name, alone
        yield f"model of the free scores and {name}", model
        yield f"{name} and that model, in turn", in_turn(alone, model)


def by_model(given: list[Estimator], truth: Array, first: Array, later: Array) -> Array:
    """Return what a model of these scores, fitted on the first, makes of the later candidates."""
    known, asked = ([part(each, places) for each in given] for places in (first, later))
    return fit_predictor(known[0], known[1:], truth[first])(asked[0], asked[1:])


def main(settings: Settings) -> None:
    pool = box()
    truth = np.array([each[0] for each in pool.trainings])
    assert pool.test is not None
    first, later = np.split(np.arange(len(pool.names)), [settings.first])
    head = (
        f"fitted on {len(first)}, n = {len(later)} | Spearman | minus the first | minus the {FREE}"
    )
    print(f"| {head} | by test | points lost |\n|---|---|---|---|---|---|")
    ordered = dict(orders(pool, truth, first, later))
    best, *_ = ordered
    for name, scores in ordered.items():
        cells = [name, interval(spearman(scores, truth[later]))]
        for other in (best, FREE):
            by = compare(scores, ordered[other], truth[later]).difference
            cells.append("" if name == other else interval(by, "+"))
        cells.append(f"{rank_correlation(scores, pool.test[later]):.2f}")
        print(f"| {' | '.join(cells)} | {lost(scores, later, pool):.2f} |")


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
