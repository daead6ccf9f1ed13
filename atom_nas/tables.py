"""The CSV tables of a run folder that other programs read: candidates.csv and audit.csv."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from atom_nas.audit import Array, Estimator
from atom_nas.runs import write_atomically
from atom_nas.search import Candidate
from atom_nas.space import Space


def write_candidates(path: Path, candidates: Sequence[Candidate], space: Space) -> None:
    """Write one row a trial, in order: what was tried, and how it did."""
    columns = [field.name for field in fields(space.module.Architecture)]
    header = [
        *("candidate", "state", *columns, "objective", "proxy_accuracy"),
        *("num_params", "macs", "seconds", "uniform", "reason"),
    ]
    rows = []
    for candidate in candidates:
        values = asdict(candidate.architecture) if candidate.architecture else {}
        cost = candidate.cost
        rows.append(
            [
                candidate.name,
                "FAIL" if candidate.accuracy is None else "COMPLETE",
                *(values.get(column, "") for column in columns),
                candidate.objective,
                candidate.accuracy,
                cost and cost.num_params,
                cost and cost.macs,
                candidate.seconds,
                int(candidate.is_uniform),
                candidate.reason,
            ]
        )
    _write(path, header, rows)


def write_audit(
    path: Path, names: Sequence[str], truth: Array, estimators: Sequence[Estimator]
) -> None:
    """Write one row an audited candidate: its test accuracy, and its score by each estimator.

    The accuracy is the mean over trainings, NaN where all of them failed.
    """
    header = ["candidate", "test_accuracy", *(estimator.name for estimator in estimators)]
    columns = [estimator.scores for estimator in estimators]
    _write(path, header, zip(names, truth, *columns, strict=True))


def _write(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
