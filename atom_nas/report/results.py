"""What a run left in its folder, read for the report; a number that is missing is NaN."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from atom_nas.errors import DamagedError
from atom_nas.report.audited import Audit, number, parse_audit
from atom_nas.storage import check_files, read_csv, read_json, tell

Array = NDArray[np.float64]

TRIAL_COLUMNS = frozenset(
    (
        *("candidate", "state", "objective", "proxy_accuracy"),
        *("num_params", "macs", "seconds", "uniform", "reason"),
    )
)
"""The columns of candidates.csv; the others are the fields of the architecture."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One row of candidates.csv; the accuracy is a fraction."""

    candidate: str
    is_complete: bool
    fields: dict[str, str]
    objective: float
    """What the search maximised; in an older file the accuracy."""
    proxy_accuracy: float
    num_params: float
    macs: float
    seconds: float
    is_uniform: bool
    """Drawn uniformly, not picked by the optimiser."""
    reason: str
    """Why it failed, or empty."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """Proxy score and full-data test accuracy of the same candidates, both finite, shape (n,)."""

    scores: Array
    truth: Array

    @classmethod
    def keep_finite(cls, pairs: Iterable[tuple[float, float]]) -> Self:
        """Keep the pairs (score, truth) that are finite."""
        array = np.array(list(pairs), dtype=float).reshape(-1, 2)
        scores, truth = array[np.isfinite(array).all(axis=1)].T
        return cls(scores=scores, truth=truth)


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The picture of a proxy's images, a row a class."""

    name: str
    path: Path
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Export:
    """An exported architecture, in export/<rank>-<candidate>."""

    rank: int
    candidate: str
    folder: str
    """Relative to the run folder."""
    architecture: dict[str, Any]
    test_accuracy: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """The contents of a run folder."""

    settings: dict[str, Any]
    objective: str
    """The name of what the search maximised."""
    trials: tuple[Trial, ...]
    """In their order."""
    truth: dict[str, float]
    """Test accuracy by candidate, the mean over seeds; NaN where a training diverged."""
    sample: Points
    """The audited candidates, a uniform draw from the space; one that diverged has truth 0."""
    diverged: tuple[str, ...]
    """The audited candidates whose full-data training diverged, which the audit counts as 0."""
    others: Points
    """The candidates of the search that have a truth and are not audited; none where the search
    went by something else than the score."""
    audit: Audit
    previews: tuple[Preview, ...]
    exports: tuple[Export, ...]
    """By rank."""


def read_results(run: Path) -> Results:
    """Read the files that the stages before the report wrote to `run`.

    Raises DamagedError where one is not as it was written; a preview is then left out.
    """
    audit = parse_audit(read_json(run / "audit.json"))
    audited = _rows(run / "audit.csv")
    trials = tuple(_trial(row) for row in _rows(run / "candidates.csv"))
    truth = _truth(_rows(run / "truth.csv"))
    names = {row["candidate"] for row in audited}
    settings = read_json(run / "settings.json")
    objective = settings.get("objective", "accuracy")
    return Results(
        settings=settings,
        objective=objective,
        trials=trials,
        truth=truth,
        sample=Points.keep_finite(
            (number(row[audit.proxy]), np.nan_to_num(number(row["test_accuracy"])))
            for row in audited
        ),
        diverged=tuple(
            row["candidate"] for row in audited if math.isnan(number(row["test_accuracy"]))
        ),
        others=Points.keep_finite(
            (trial.objective, truth.get(trial.candidate, math.nan))
            for trial in trials
            if trial.candidate not in names and objective == audit.measure
        ),
        audit=audit,
        previews=tuple(_previews(run / "proxies")),
        exports=tuple(
            sorted(
                (_export(folder) for folder in (run / "export").glob("[0-9]*-*")),
                key=lambda export: export.rank,
            )
        ),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of the CSV at `path`; none where there is no file, as without a search."""
    return read_csv(path) if path.exists() else []


def _trial(row: Mapping[str, str]) -> Trial:
    return Trial(
        candidate=row["candidate"],
        is_complete=row["state"] == "COMPLETE",
        fields={name: value for name, value in row.items() if name not in TRIAL_COLUMNS},
        objective=number(row.get("objective", row["proxy_accuracy"])),
        proxy_accuracy=number(row["proxy_accuracy"]),
        num_params=number(row["num_params"]),
        macs=number(row["macs"]),
        seconds=number(row["seconds"]),
        is_uniform=row["uniform"] == "1",
        reason=row["reason"],
    )


def _truth(rows: Iterable[Mapping[str, str]]) -> dict[str, float]:
    by_candidate: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        by_candidate[row["candidate"]].append(number(row["test_accuracy"]))
    return {candidate: float(np.mean(seeds)) for candidate, seeds in by_candidate.items()}


def _previews(proxies: Path) -> Iterator[Preview]:
    for path in sorted(proxies.glob("*/manifest.json")):
        try:
            manifest = read_json(path)
            check_files(path.parent, {"preview.png": manifest["files"]["preview.png"]})
        except DamagedError as damage:
            tell(f"{damage.path} {damage.problem}: the report goes without it.")
            continue
        yield Preview(
            name=manifest["proxy"],
            path=path.with_name("preview.png"),
            class_names=tuple(manifest.get("class_names", ())),
        )


def _export(folder: Path) -> Export:
    digests = read_json(folder / "verification.json")["digests"]
    check_files(folder, {name: digests[name] for name in ("architecture.json", "metrics.json")})
    rank, _, candidate = folder.name.partition("-")
    return Export(
        rank=int(rank),
        candidate=candidate,
        folder=f"export/{folder.name}",
        architecture=json.loads((folder / "architecture.json").read_bytes()),
        test_accuracy=number(
            json.loads((folder / "metrics.json").read_bytes()).get("test_accuracy")
        ),
    )
