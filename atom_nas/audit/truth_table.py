"""Truth from a table: full-data accuracies that somebody has measured already."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from atom_nas import plugins
from atom_nas.audit.trained_truth import Measured
from atom_nas.errors import UserError, require_regular
from atom_nas.scoring.space import Space, candidate_name

NEEDS = ("SPACE", "load")
COLUMNS = ("candidate", "test_accuracy")


class TruthTable:
    """Full-data accuracies by candidate."""

    is_known = True

    def __init__(self, name: str, cells: Mapping[str, Mapping[str, Any]]) -> None:
        """Hold `cells`, candidate -> {"accuracies": fractions, "seconds": of a training}."""
        self.name, self._cells = name, cells

    @classmethod
    def open(cls, name: str, space: Space, dataset: str) -> Self:
        """Return the table called `name`, or that in the CSV file that `name` is the path of.

        Raises UserError where there is none, it cannot be read, or it is of another space.
        """
        if name.endswith(".csv"):
            return cls(name, _read(Path(name)))
        module = plugins.load("atom_nas.audit.truths", name, kind="truth", needs=NEEDS)
        if space.name != module.SPACE:
            raise UserError(
                f"--truth {name} holds candidates of {module.SPACE}, not of {space.name}; "
                f"use --space {module.SPACE}, or --truth training."
            )
        return cls(name, module.load(dataset))

    def measure(self, architecture: Any, *, seed: int, trainings: int = 1) -> Measured:
        """Return all that the table holds of `architecture`; UserError where that is nothing."""
        name = candidate_name(architecture)
        if name not in self._cells:
            raise UserError(f"{self.name} has no row of {name}; add it, or use --truth training.")
        cell = self._cells[name]
        return Measured(accuracies=tuple(cell["accuracies"]), seconds=cell["seconds"])


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read a CSV with the columns of truth.csv; `seconds` may be missing."""
    try:
        require_regular(path)
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"truth table {path} cannot be read: {error}.") from error
    missing = [column for column in COLUMNS if not rows or column not in rows[0]]
    if missing:
        raise UserError(
            f"truth table {path} lacks {', '.join(missing)}; give a CSV with a row a training and "
            f"the columns {', '.join(COLUMNS)} and, if known, seconds."
        )
    cells: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line, row in enumerate(rows, start=2):
        try:
            accuracy, seconds = float(row["test_accuracy"]), float(row.get("seconds") or 0)
        except (ValueError, TypeError) as error:
            raise UserError(f"line {line} of {path} holds no number: {error}.") from error
        if accuracy < 0 or accuracy > 1:
            raise UserError(
                f"line {line} of {path} has the accuracy {accuracy:g}; give a fraction of 1."
            )
        cells[row["candidate"]].append((accuracy, seconds))
    return {
        name: {
            "accuracies": [accuracy for accuracy, _ in trainings],
            "seconds": fmean(seconds for _, seconds in trainings),
        }
        for name, trainings in cells.items()
    }
