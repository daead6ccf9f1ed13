"""candidates.csv: what a search tried, one row a trial."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from atom_nas.scoring.space import Space
from atom_nas.search.candidate import Candidate, front_of
from atom_nas.search.columns import column_of
from atom_nas.search.objectives import Objectives
from atom_nas.storage.files import write_csv


def write_candidates(
    path: Path, candidates: Sequence[Candidate], space: Space, objectives: Objectives
) -> None:
    """Write one row a trial, in order: what was tried, and how it did.

    The column latency_ms is there where a latency was measured, and on_front where there are
    several `objectives`.
    """
    is_timed = any(each.cost and each.cost.latency_ms is not None for each in candidates)
    members = front_of(candidates, objectives) if objectives.costs else []
    columns = [field.name for field in fields(space.module.Architecture)]
    header = [
        *("candidate", "state", *map(column_of, columns), "objective", "proxy_accuracy"),
        *("num_params", "macs", *["latency_ms"] * is_timed, "seconds", "uniform"),
        *(*["on_front"] * bool(objectives.costs), "reason"),
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
                *[cost and cost.latency_ms] * is_timed,
                candidate.seconds,
                int(candidate.is_uniform),
                *[int(candidate in members)] * bool(objectives.costs),
                candidate.reason,
            ]
        )
    write_csv(path, header, rows)
