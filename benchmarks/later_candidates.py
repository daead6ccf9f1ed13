"""Does the model of all scores rank candidates whose truth came after it was chosen?

    python benchmarks/later_candidates.py

The ConvNets of the box: `combined_model` is fitted on the first 42 that had a truth, on which
benchmarks/README.md first reported it, and then orders those that came later, uniform draws too.
Committed rows; no net is trained, and all of CIFAR-10 must be at hand. Prints a table: Spearman
with the validation accuracies of the later ones, that minus the best free score's on the first and
minus that of a model without images, and Spearman with their test accuracies, which nothing has
seen.
"""

from collections.abc import Iterator

import numpy as np
from search_convnets import box
from search_pool import Pool, part

from atom_nas.audit.combination import fit_predictor
from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import rank_correlation, spearman
from atom_nas.scoring.estimator import Array

FIRST, FREE = 42, "model of the free scores"


def orders(pool: Pool, truth: Array) -> Iterator[tuple[str, Array]]:
    """Yield (name, scores of the later candidates) of each way of ordering them."""
    first, later = np.split(np.arange(len(pool.names)), [FIRST])
    free = [each for each in pool.free if each.kind != "rank_average"]
    best = max(free, key=lambda each: rank_correlation(each.ranked[first], truth[first]))
    yield f"{best.name}, the best free score on the first", best.ranked[later]
    for name, (proxy, *_) in pool.proxies.items():
        yield name, proxy.ranked[later]
    own, *others = free
    for name, proxy, rest in (
        (FREE, own, others),
        *((f"model of these and {name}", draws[0], free) for name, draws in pool.proxies.items()),
    ):
        model = fit_predictor(
            part(proxy, first), [part(each, first) for each in rest], truth[first]
        )
        yield name, model(part(proxy, later), [part(each, later) for each in rest])


def main() -> None:
    pool = box()
    truth = np.array([each[0] for each in pool.trainings])
    assert pool.test is not None
    later, test = truth[FIRST:], pool.test[FIRST:]
    print(
        f"| fitted on {FIRST}, n = {len(later)} | Spearman | minus the first | minus the {FREE} | "
        "by test |\n|---|---|---|---|---|"
    )
    ordered = dict(orders(pool, truth))
    best, *_ = ordered
    for name, scores in ordered.items():
        rho = spearman(scores, later)
        cells = [name, f"{rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]"]
        for other in (best, FREE):
            by = compare(scores, ordered[other], later).difference
            said = f"{by.value:+.2f} [{by.low:+.2f}, {by.high:+.2f}]"
            cells.append("" if name == other else said)
        print(f"| {' | '.join(cells)} | {rank_correlation(scores, test):.2f} |")


if __name__ == "__main__":
    main()
