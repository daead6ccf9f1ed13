"""Truth from a table: full-data accuracies that somebody has measured already."""

import csv
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from textwrap import shorten
from typing import Any, Self

from atom_nas import plugins
from atom_nas.audit.trained_truth import Measured
from atom_nas.errors import UserError, require_regular, unknown
from atom_nas.scoring.scorer import Sample
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.storage.files import digest
from atom_nas.training.fit import FORWARD_BACKWARD

NEEDS = ("SPACE", "load", "images_shown")
COLUMNS = ("candidate", "validation_accuracy")


class TruthTable:
    """Full-data accuracies by candidate."""

    is_known = True

    def __init__(
        self,
        name: str,
        cells: Mapping[str, Mapping[str, Any]],
        space: Space,
        images_shown: int = 0,
        *,
        is_sample: bool = False,
    ) -> None:
        """Hold `cells`, candidate -> {"accuracies": fractions, "seconds": of a training}.

        The accuracies are on the validation split; `test_accuracies` may stand beside them.
        `images_shown` by a training is 0 where it is not known. The table of a sample holds uniform
        draws of the space alone.
        """
        self.name, self._cells, self._space, self._is_sample = name, cells, space, is_sample
        self._passes = FORWARD_BACKWARD * images_shown

    @classmethod
    def open(cls, name: str, space: Space, dataset: str) -> Self:
        """Return the table called `name`, or that in the CSV file that `name` is the path of.

        Raises UserError where there is none, it cannot be read, or it is of another space.
        """
        if name.endswith(".csv"):
            return cls(name, read_table(Path(name)), space)
        known = plugins.available("atom_nas.audit.truths")
        if not name.endswith(".py") and name not in known:
            wrong = unknown("truth", name, [*known, "auto", "training"])
            raise UserError(f"{wrong} The path of a .csv file works too.")
        module = plugins.load("atom_nas.audit.truths", name, kind="truth", needs=NEEDS)
        if space.name != module.SPACE:
            raise UserError(
                f"{name} holds full-data accuracies of the space {module.SPACE}, not of "
                f"{space.name}; give --space {module.SPACE}, or a whole data set without --truth, "
                "as in --dataset digits."
            )
        return cls(
            name,
            module.load(dataset),
            space,
            module.images_shown(dataset),
            is_sample=getattr(module, "IS_SAMPLE", False),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of all that the table holds."""
        return digest(self._cells)

    def can_tell(self, architecture: Any) -> bool:
        """Say whether an audit may ask for `architecture`: of a sample for what is in it alone."""
        return not self._is_sample or candidate_name(architecture) in self._cells

    def measure(self, architecture: Any) -> Measured:
        """Return all that the table holds of `architecture`; UserError where that is nothing."""
        name = candidate_name(architecture)
        if name not in self._cells:
            raise UserError(f"{self.name} has no row of {name}; add it, or use --truth training.")
        cell = self._cells[name]
        test = cell.get("test_accuracies")
        return Measured(
            validation=tuple(cell["accuracies"]),
            test=tuple(test) if test else None,
            seconds=cell["seconds"],
            macs=self._passes * self._space.cost(architecture).macs,
        )

    def measure_all(self, sample: Sample, *, trainings: int = 1) -> list[Measured]:
        """Return the same of each of the sample, whatever the number of `trainings`."""
        return [self.measure(architecture) for architecture, _ in sample]

    def require(self, sample: Sample) -> None:
        """Raise UserError where some of the sample have no row."""
        names = [candidate_name(architecture) for architecture, _ in sample]
        if missing := [name for name in names if name not in self._cells]:
            shown = shorten(", ".join(missing), 200, placeholder=" ...")
            raise UserError(
                f"{self.name} has no row of {len(missing)} of the {len(names)} candidates of the "
                f"audit ({shown}); add them, or use --truth training."
            )


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """Read a CSV with the columns of truth.csv; of trainings of several lengths the commonest.

    Returns for every candidate its `accuracies` and, where known, `test_accuracies` (fractions, a
    training each; NaN where it failed) and the mean `seconds` of a training. Of rows of one
    candidate and seed the last counts. Raises UserError where the file is no such table.
    """
    try:
        require_regular(path)
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"truth table {path} cannot be read: {reason}; give the path of a CSV, or a name that "
            "`atom-nas list` shows."
        ) from error
    missing = [column for column in COLUMNS if not rows or column not in rows[0]]
    if missing:
        raise UserError(
            f"truth table {path} lacks {', '.join(missing)}; give a CSV with a row a training and "
            f"the columns {', '.join(COLUMNS)} and, if known, test_accuracy and seconds."
        )
    lengths = Counter(steps for row in rows if (steps := row.get("steps")))
    steps = lengths.most_common(1)[0][0] if lengths else None
    lines = {
        line: row
        for line, row in enumerate(rows, start=2)
        if not row.get("steps") or row["steps"] == steps
    }
    last = {(row["candidate"], row.get("seed") or line): line for line, row in lines.items()}
    cells: dict[str, dict[str, Any]] = {}
    for line, row in lines.items():
        if last[row["candidate"], row.get("seed") or line] != line:
            continue
        numbers = {
            key: _fraction(row[column], line, path)
            for key, column in (
                ("accuracies", "validation_accuracy"),
                ("test_accuracies", "test_accuracy"),
            )
            if row.get(column) or column in COLUMNS
        }
        cell = cells.setdefault(row["candidate"], {"seconds": []})
        for key, value in numbers.items():
            cell.setdefault(key, []).append(value)
        cell["seconds"].append(_number(row.get("seconds") or "nan", line, path))
    for cell in cells.values():
        known = [seconds for seconds in cell["seconds"] if math.isfinite(seconds)]
        cell["seconds"] = fmean(known) if known else math.nan
    return cells


def _fraction(text: str | None, line: int, path: Path) -> float:
    value = _number(text, line, path)
    if value < 0 or value > 1:
        raise UserError(f"line {line} of {path} has the accuracy {value:g}; give a fraction of 1.")
    return value


def _number(text: str | None, line: int, path: Path) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise UserError(f"line {line} of {path} holds no number: {error}.") from error
