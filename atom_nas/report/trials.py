"""The rows of candidates.csv, read for the report; a number that is missing is NaN."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atom_nas.search.columns import OWN
from atom_nas.storage.files import read_csv


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One row of candidates.csv; the accuracy is a fraction."""

    candidate: str
    is_complete: bool
    fields: dict[str, str]
    objective: float
    """The score that the search maximised, beside costs or alone."""
    proxy_accuracy: float
    num_params: float
    macs: float
    latency_ms: float
    """NaN where no latency was measured."""
    seconds: float
    is_uniform: bool
    """Drawn uniformly, not picked by the optimiser."""
    is_on_front: bool
    """No other is as good in all that was optimised; false where that is the score alone."""
    reason: str
    """Why it failed, or empty."""


def read_trials(path: Path) -> tuple[Trial, ...]:
    """Return the rows of the table at `path` in their order."""
    return tuple(_trial(row) for row in read_rows(path))


def number(value: object) -> float:
    """Return `value`, a number or its text, as a float; NaN for None and for empty text."""
    return math.nan if value is None or value == "" else float(str(value))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of the CSV at `path`; none where there is no file, as without a search."""
    return read_csv(path) if path.exists() else []


def _trial(row: Mapping[str, str]) -> Trial:
    return Trial(
        candidate=row["candidate"],
        is_complete=row["state"] == "COMPLETE",
        fields={name: value for name, value in row.items() if name not in OWN},
        objective=number(row["objective"]),
        proxy_accuracy=number(row["proxy_accuracy"]),
        num_params=number(row["num_params"]),
        macs=number(row["macs"]),
        latency_ms=number(row.get("latency_ms")),
        seconds=number(row["seconds"]),
        is_uniform=row["uniform"] == "1",
        is_on_front=row.get("on_front") == "1",
        reason=row["reason"],
    )
