"""Is a search on a proxy better than a search without one, at the same cost?

    python benchmarks/search_regret.py

Every method searches in the same pools, whose candidates have committed rows (search_rows.py,
search_convnets.py): the pool is the space. It picks the candidate of the highest validation
accuracy among those that it has trained on the full data; its regret is how far that is below the
best of the pool, in points.

Cost is counted in full trainings of the mean candidate, by multiply-adds times images shown, to a
hundredth; a distillation is paid whole before the first candidate. Each seed draws which training
of a candidate is made, the order of uniform draws, and the draw of a proxy's images, alike for all
methods; in the parts that are called halves also its own half of the pool, so that what is found
hangs less on a few candidates.

Writes <out>/results.json, table.md and figure.svg. A pool in the first is not searched again while
its rows and the number of seeds stay as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command
import numpy as np
import optuna
from search_by_score import by_free_score, by_model, by_proxy, by_ranks
from search_convnets import box, digits
from search_figure import RANDOM, draw
from search_full_data import Steps, evolution, halving, hyperband, random_search, tpe
from search_pool import Pool, View
from search_rows import nas_bench_201, nas_bench_201_shortened, nas_bench_201_whole
from tqdm import trange

from atom_nas.scoring.estimator import Array
from atom_nas.storage.files import read_json, write_atomically, write_json

BUDGETS = (0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 15, 20)
"""Full trainings after which the regret is read."""

SHOWN, BAR = (1, 2, 3, 4, 5, 10, 20), 3
"""Those of the table, and the one at which random search is to be halved."""


TRIALS = 40
"""Candidates of a search by default."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    seeds: int = 50
    out: Path = Path(__file__).parent / "results" / "search_regret"


def all_pools() -> list[Pool]:
    """Return every pool."""
    cells = nas_bench_201()
    return [cells, nas_bench_201_shortened(cells), nas_bench_201_whole(), digits(), box()]


def methods(pool: Pool) -> dict[str, Callable[[View], Steps]]:
    """Return the searches by name that the pool has the rows for."""
    proxies = list(pool.proxies)
    whole = len(pool.names)
    return {
        RANDOM: random_search,
        "TPE": tpe,
        "regularised evolution": evolution,
        **({"successive halving": halving, "Hyperband": hyperband} if pool.shorter else {}),
        **{each.name: by_free_score(each.name) for each in pool.free},
        **{
            f"{name}, {TRIALS} trials": by_proxy(name, TRIALS) for name in proxies if whole > TRIALS
        },
        **{f"{name}, all": by_proxy(name, None) for name in proxies},
        **{f"combined_ranks, {name}": by_ranks(name) for name in proxies},
        **{f"combined, {name}": by_model(name) for name in proxies},
    }


def regrets(view: View, method: Callable[[View], Steps]) -> Array:
    """Return the regret at each of `BUDGETS`, in points; infinite where nothing is trained yet."""
    found, spent, pick = np.full(len(BUDGETS), np.inf), 0.0, None
    for cost, index in method(view):
        spent += cost
        if round(spent, 2) > BUDGETS[-1]:
            break
        if index is not None and (pick is None or view.seen[index] > view.seen[pick]):
            pick = index
            reached = np.array(BUDGETS) >= round(spent, 2)
            found[reached] = 100 * (view.best - view.judged[pick])
    return found


def measure(pool: Pool, seeds: int, *, is_halved: bool) -> dict[str, Any]:
    """Return the quartiles of each method's regret over the seeds, at each of `BUDGETS`."""
    found: dict[str, list[Array]] = {}
    for seed in trange(seeds, desc=pool.name, leave=False):
        own = pool
        if is_halved:
            drawn = np.random.default_rng([seed, 1]).permutation(len(pool.names))
            own = pool.of(np.sort(drawn[: len(drawn) // 2]))
        view = View(own, seed)
        for name, method in methods(pool).items():
            found.setdefault(name, []).append(regrets(view, method))
    return {name: quartiles(rows) for name, rows in found.items()}


def quartiles(rows: list[Array]) -> list[list[float | None]]:
    """Return the lower one, the median and the upper one of each column; None for infinity."""
    at = np.quantile(rows, (0.25, 0.5, 0.75), axis=0, method="inverted_cdf").T
    return [[round(float(q), 3) if np.isfinite(q) else None for q in three] for three in at]


def main(settings: Settings) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = settings.out / "results.json"
    known = read_json(file)["pools"] if file.exists() else {}
    pools: dict[str, Any] = {}
    for pool in all_pools():
        for is_halved in (False, True) if pool.proxies else (False,):
            name = f"{'halves of ' * is_halved}{pool.name}"
            key = f"{pool.digest}-{settings.seeds}"
            if known.get(name, {}).get("key") == key:
                pools[name] = known[name]
                continue
            pools[name] = {
                "key": key,
                "is_halved": is_halved,
                "n": len(pool.names) // (1 + is_halved),
                "regrets": measure(pool, settings.seeds, is_halved=is_halved),
            }
            settings.out.mkdir(parents=True, exist_ok=True)
            write_json(file, {"budgets": BUDGETS, "pools": {**known, **pools}})
    write_json(file, {"budgets": BUDGETS, "pools": pools})
    text = to_markdown(pools, settings.seeds)
    write_atomically(settings.out / "table.md", text)
    _, svg = draw(pools, BUDGETS, settings.seeds)
    write_atomically(settings.out / "figure.svg", svg)
    print(text)


def to_markdown(pools: dict[str, Any], seeds: int) -> str:
    """Return a table a pool."""
    parts = [
        "# Is a search on a proxy better than one without?",
        f"Regret in points of accuracy below the best of the pool: the median over {seeds} seeds "
        "(quartiles), after so many full trainings; empty where nothing was trained on the full "
        f"data yet. The last column is the median at {BAR} as a share of that of random search: "
        "0.5 is the bar.",
    ]
    for name, pool in pools.items():
        at = {budget: BUDGETS.index(budget) for budget in SHOWN}
        base = pool["regrets"][RANDOM][at[BAR]][1]
        lines = [
            f"| method | {' | '.join(map(str, SHOWN))} | at {BAR}, to random search |",
            "|---" * (len(SHOWN) + 2) + "|",
        ]
        for method, found in pool["regrets"].items():
            cells = [shown(found[place]) for place in at.values()]
            median = found[at[BAR]][1]
            ratio = "" if median is None else f"{median / base:.2f}"
            lines.append(f"| {method} | {' | '.join(cells)} | {ratio} |")
        parts += [f"## {name} (n = {pool['n']})", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def shown(quartiles: list[float | None]) -> str:
    """Return the median and both quartiles, or nothing."""
    low, median, high = ("-" if each is None else f"{each:.2f}" for each in quartiles)
    return "" if median == "-" else f"{median} ({low} to {high})"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
