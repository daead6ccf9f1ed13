"""The committed rows: trainings of candidates on sets, beside their accuracies on full data."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from ranking_protocols import VARIANTS
from recompute_audits import RESULTS, cell, rows_of

from atom_nas.audit.truth_table import TruthTable
from atom_nas.scoring.estimator import Array
from atom_nas.scoring.objective import MEASURES
from atom_nas.scoring.space import load_space
from atom_nas.training.fit import Outcome

Rows = list[dict[str, str]]

NAS_BENCH_201 = "nas_bench_201, CIFAR-10"
BOX = "convnet, CIFAR-10"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Trainings of n candidates on a set, beside the accuracies of full data."""

    where: str
    """Space and data."""
    name: str
    """Of the set."""
    outcomes: tuple[tuple[Outcome, ...], ...]
    """A row a draw of the set, n long."""
    truth: Array
    """Shape (n,)."""

    def scores(self, measure: str) -> Array:
        """Return a key of `MEASURES` of each training (draws, n)."""
        return self.by(MEASURES[measure])

    def by(self, measure: Callable[[Outcome], float]) -> Array:
        """Return what `measure` makes of each training (draws, n)."""
        return np.array([[measure(outcome) for outcome in draw] for draw in self.outcomes])


def scored(where: str, name: str, draws: Iterable[Rows], truth: dict[str, float]) -> Scored:
    """Return the trainings of the candidates that all `draws` and the truth have."""
    found = [{row["candidate"]: _outcome(row) for row in rows} for rows in draws]
    names = [name for name in found[0] if all(name in draw for draw in [*found, truth])]
    outcomes = tuple(tuple(draw[name] for name in names) for draw in found)
    known = np.array([truth[name] for name in names])
    return Scored(where=where, name=name, outcomes=outcomes, truth=known)


def _outcome(row: dict[str, str]) -> Outcome:
    curve = tuple(map(float, row["curve"].split()))
    return Outcome(accuracy=float(row["accuracy"]), loss=float(row["loss"]), curve=curve)


def by(rows: Rows, *columns: str) -> Iterator[tuple[tuple[str, ...], Rows]]:
    """Yield the rows that agree in these columns, by their values."""

    def key(row: dict[str, str]) -> tuple[str, ...]:
        return tuple(row[column] for column in columns)

    for values, found in groupby(sorted(rows, key=key), key):
        yield values, list(found)


def all_scored() -> list[Scored]:
    """Return every set of the committed rows."""
    space = load_space("nas_bench_201", (3, 32, 32), 10)
    table = TruthTable.open("nas_bench_201", space, "cifar10")
    audited = rows_of(RESULTS / "nas_bench_201-cifar10" / "scores.csv")
    cells = {row["candidate"]: cell(space, row["candidate"]) for row in audited}
    truth = {name: float(np.mean(table.measure(each).validation)) for name, each in cells.items()}
    found = list(_of_an_audit(NAS_BENCH_201, audited, truth))
    for name in VARIANTS:
        path = RESULTS / "nas_bench_201-protocols" / f"{name}.csv"
        if path.exists():
            draws = [rows for _, rows in by(rows_of(path), "draw")]
            found.append(scored("the first of these", name, draws, truth))
    for folder in ("digits-convnet", "digits-mobile"):
        truth = _accuracies(rows_of(RESULTS / folder / "truth.csv"))
        rows = rows_of(RESULTS / folder / "scores.csv")
        found += _of_an_audit(folder.replace("digits-", "digits, "), rows, truth)
    rows = rows_of(RESULTS / "cheaper-digits" / "truth.csv")
    truth = _accuracies([row for row in rows if row["steps"] == "960"])
    rows = rows_of(RESULTS / "cheaper-digits" / "scores.csv")
    longest = sorted(by(rows, "training_digest"), key=lambda pair: -_seconds(pair[1]))
    for steps, (_, own) in zip((240, 120, 60), longest, strict=True):
        draws = [each for _, each in by(own, "proxy_seed")]
        found.append(scored("digits, convnet, 2 M", f"random_ipc50, {steps} steps", draws, truth))
    truth = _accuracies(rows_of(RESULTS / "box-cifar10" / "first-trainings" / "truth.csv"))
    found += _of_an_audit(BOX, rows_of(RESULTS / "box-cifar10" / "scores.csv"), truth)
    return found


def _of_an_audit(where: str, rows: Rows, truth: dict[str, float]) -> Iterator[Scored]:
    for (name,), own in by(rows, "proxy"):
        if not name.startswith("full"):
            yield scored(where, name, [each for _, each in by(own, "proxy_seed")], truth)


def _accuracies(rows: Rows) -> dict[str, float]:
    return {
        name: float(np.mean([float(row["test_accuracy"]) for row in own]))
        for (name,), own in by(rows, "candidate")
    }


def _seconds(rows: Rows) -> float:
    return float(np.mean([float(row["seconds"]) for row in rows]))
