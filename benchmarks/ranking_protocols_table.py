"""The table of ranking_protocols.py: which images, training and score rank the cells best.

    python benchmarks/ranking_protocols_table.py [FOLDER]

Everything is taken against the 200-epoch accuracies of the table, over the cells that all variants
of 30 cells or more have, then over those that all have, and written to results.md beside the rows.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from intervals import interval
from numpy.typing import NDArray
from ranking_protocols import PARTS, VARIANTS, sample

from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import MIN_CANDIDATES, rank_correlation, reliability, spearman
from atom_nas.audit.truth_table import TruthTable
from atom_nas.scoring.estimator import Array
from atom_nas.scoring.objective import MEASURES
from atom_nas.scoring.space import candidate_name, load_space
from atom_nas.storage.files import write_atomically
from atom_nas.training.fit import Outcome

RESULTS = Path(__file__).parent / "results"
Rows = dict[str, list[dict[str, str]]]
"""The rows of a cell by its name, a draw each."""


def read(path: Path, draws: int, proxy: str = "") -> Rows:
    """Return the rows at `path` of the cells that have all draws, of `proxy` where it is named."""
    found: Rows = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row.get("proxy", "") == proxy:
                found.setdefault(row["candidate"], []).append(row)
    return {name: rows for name, rows in found.items() if len(rows) == draws}


def read_all(folder: Path) -> dict[str, Rows]:
    """Return the rows of every variant measured, and of the two draws of the audit."""
    rows = {
        name: read(folder / f"{name}.csv", variant.draws)
        for name, variant in VARIANTS.items()
        if (folder / f"{name}.csv").exists()
    }
    audit = RESULTS / "nas_bench_201-cifar10" / "scores.csv"
    for name in ("random", "atom"):
        rows[f"{name}_2_draws"] = read(audit, 2, f"{name}_ipc50")
    return rows


def scores(rows: Rows, names: Sequence[str], column: str) -> Array:
    """Return a score of the cells `names` in each draw, (draws, n), higher is better."""

    def value(row: dict[str, str]) -> float:
        if column not in MEASURES:
            return float(row[column])
        curve = tuple(map(float, row["curve"].split()))
        outcome = Outcome(accuracy=float(row["accuracy"]), loss=float(row["loss"]), curve=curve)
        return MEASURES[column](outcome)

    return np.array([[value(row) for row in rows[name]] for name in names]).T


def images_table(found: dict[str, Rows], names: list[str], truth: NDArray[np.float64]) -> str:
    """Compare the variants with one draw of random images, 30 epochs, by accuracy."""
    base = scores(found["random"], names, "accuracy").mean(0)
    lines = [
        "| variant | draws | seconds a cell | accuracy ranks by | minus that of random | "
        "mean of one draw | between draws | last training loss ranks by | "
        "accuracy times likelihood ranks by | mean accuracy (%) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in found.items():
        draws = scores(rows, names, "accuracy")
        rho = spearman(draws.mean(0), truth, seed=0)
        gap = compare(draws.mean(0), base, truth, seed=0).difference
        others = [
            spearman(scores(rows, names, measure).mean(0), truth, seed=0)
            for measure in ("final_training_loss", "accuracy_times_likelihood")
        ]
        cells = [
            *(name, f"{len(draws)}", f"{scores(rows, names, 'seconds').sum(0).mean():.0f}"),
            interval(rho),
            interval(gap, "+") if name != "random" else "",
            f"{np.mean([rank_correlation(draw, truth) for draw in draws]):.2f}",
            f"{reliability(draws):.2f}" if len(draws) > 1 else "",
            *map(interval, others),
            f"{100 * draws.mean():.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def scores_table(found: dict[str, Rows], names: list[str], truth: NDArray[np.float64]) -> str:
    """Compare scores of the same trainings, each variant with one draw."""
    columns = {
        **{f"accuracy_{count}": f"accuracy on {count} images" for count in PARTS},
        "accuracy": "on all",
        "averaged_2000": "on 2000, weights averaged",
        "recalibrated_2000": "on 2000, batch norms of real images",
    }
    lines = [
        f"| variant | {' | '.join(columns.values())} |",
        f"|{'---|' * (1 + len(columns))}",
    ]
    for name, rows in found.items():
        if name in VARIANTS and VARIANTS[name].draws == 1:
            rho = [rank_correlation(scores(rows, names, c)[0], truth) for c in columns]
            lines.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in rho)} |")
    return "\n".join(lines)


def section(found: dict[str, Rows], truth_of: dict[str, float]) -> str:
    """Return both tables over the cells that all of `found` have."""
    names = [name for name in truth_of if all(name in rows for rows in found.values())]
    truth = np.array([truth_of[name] for name in names])
    return f"""## n = {len(names)}

{images_table(found, names, truth)}

Scores of the same trainings, Spearman:

{scores_table(found, names, truth)}
"""


def main(folder: Path = RESULTS / "nas_bench_201-protocols") -> None:
    """Write results.md in `folder`."""
    found = read_all(folder)
    space = load_space("nas_bench_201", (3, 32, 32), 10)
    table = TruthTable.open("nas_bench_201", space, "cifar10")
    truth = {
        candidate_name(cell): float(np.mean(table.measure(cell).validation))
        for cell, _ in sample(space, 100)
    }
    long = {name: rows for name, rows in found.items() if len(rows) >= MIN_CANDIDATES}
    text = f"""# Which images, training and score rank NAS-Bench-201 best?

The first cells of the audit on CIFAR-10, one cell a stage, 500 images, 30 epochs unless said;
Spearman with the 200-epoch accuracies [95% interval], paired bootstrap for the differences. One
thread a process, other processes running, so seconds are rough.

{section(long, truth)}"""
    if len(long) < len(found):
        text += f"\n{section(found, truth)}"
    write_atomically(folder / "results.md", text)
    print(text)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
