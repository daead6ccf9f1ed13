"""Do ranks among a few candidates order the others as ranks among all do?

    python benchmarks/reference_ranks.py

`--objective combined_ranks` goes by the ranks of a candidate among the uniform start of its search
(atom_nas/audit/reference.py); the audit's estimator of that name ranks all candidates among each
other. Both order the same candidates, of the committed rows of NAS-Bench-201: those that are not in
the reference, which each seed draws uniformly. No net is trained; prints a table.
"""

from collections.abc import Sequence

import numpy as np
from search_pool import Pool, View, part
from search_rows import nas_bench_201

from atom_nas.audit.ranking import rank_average, rank_correlation, top_fraction
from atom_nas.audit.reference import RankAverage
from atom_nas.scoring.estimator import Array

REFERENCES, SEEDS = (10, 20, 30), 50


def correlations(view: View, name: str, count: int) -> list[float]:
    """Return Spearman with the truth of the others by both, over all and in the best fifth.

    And the Spearman between both, last.
    """
    proxy, free = view.draw_of(name), view.pool.free
    reference, others = view.order[:count], view.order[count:]
    judge = RankAverage(part(proxy, reference), [part(each, reference) for each in free])
    ranked = judge(part(proxy, others), [part(each, others) for each in free])
    average = next(each for each in free if each.kind == "rank_average")
    whole = rank_average(proxy.ranked, average.ranked)[others]
    truth = view.pool.judged[others]
    best = top_fraction(truth, 0.2)
    pairs = [
        (each[among], truth[among]) for among in (slice(None), best) for each in (ranked, whole)
    ]
    return [rank_correlation(*pair) for pair in (*pairs, (ranked, whole))]


def quartiles(values: Sequence[float] | Array) -> str:
    """Return the median and both quartiles."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


def to_markdown(pool: Pool) -> str:
    """Return a row for each proxy and size of the reference."""
    head = (
        *("proxy", "reference", "others", "among the reference", "among all", "difference"),
        *("best fifth: reference", "all", "difference", "between both"),
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in pool.proxies:
        for count in REFERENCES:
            rows = [correlations(View(pool, seed), name, count) for seed in range(SEEDS)]
            one, all_of, top_one, top_all, both = np.transpose(rows)
            columns = (one, all_of, one - all_of, top_one, top_all, top_one - top_all, both)
            cells = [name, str(count), str(len(pool.names) - count), *map(quartiles, columns)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(to_markdown(nas_bench_201()))
