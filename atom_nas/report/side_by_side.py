"""Runs side by side: their answers and figures in one table, a column a run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atom_nas.audit.comparison import compare
from atom_nas.audit.record import Audit
from atom_nas.errors import UserError
from atom_nas.report.answers import Answer, answers
from atom_nas.report.results import Results, read_results
from atom_nas.report.wording import decimal, duration, interval, share

COMPARISON = "comparison.html"

NOT_PAIRED = "other candidates or another truth: not compared in pairs"


@dataclass(frozen=True, kw_only=True)
class Column:
    """What is shown of one run."""

    name: str
    """Of its folder, the shortest that tells it from the others."""
    page: str
    """The path of its report, relative to the comparison."""
    results: Results
    answers: tuple[Answer, ...]
    figures: dict[str, str]
    """Of its audit, by their name; empty where there was none."""


def columns(runs: Sequence[Path], folder: Path) -> list[Column]:
    """Return a column for each of `runs`, for a page in `folder`.

    Raises UserError for fewer than two, and for a folder that holds no run.
    """
    if len(runs) < 2:
        raise UserError(f"--compare has {len(runs)} run; give the folders of two or more.")
    for run in runs:
        if not (run / "settings.json").exists():
            raise UserError(f"{run} is not a run folder; give folders of runs to --compare.")
    paths = [run.resolve() for run in runs]
    found = [read_results(run) for run in paths]
    shared = os.path.commonpath([path.parent for path in paths])
    return [
        Column(
            name=os.path.relpath(path, shared),
            page=os.path.relpath(path / "report.html", folder.resolve()),
            results=results,
            answers=answers(results),
            figures=_figures(results.audit, found[0].audit),
        )
        for path, results in zip(paths, found, strict=True)
    ]


def _figures(audit: Audit | None, first: Audit | None) -> dict[str, str]:
    if audit is None:
        return {}
    own = audit.proxy
    return {
        "Spearman": interval(own.spearman),
        "Spearman, best fifth": interval(own.spearman_top),
        "Candidates audited": str(audit.n),
        "Spearman minus that of the first run": _gap(audit, first),
        "Regret of the pick (points)": decimal(own.regret_points),
        "Cost of a candidate": share(own.cost, audit.full_macs),
        "Time of a candidate": duration(own.seconds),
        "Time of a full training": duration(audit.full_seconds) if audit.full_seconds else "n/a",
    }


def _gap(audit: Audit, first: Audit | None) -> str:
    """Compare the proxy of `audit` with that of the `first`, in pairs, where they share a truth."""
    if first is None:
        return "the first run was not audited"
    if audit is first:
        return "the first run"
    if dict(_truth(audit)) != dict(_truth(first)):
        return NOT_PAIRED
    others = dict(zip(first.candidates, first.proxy.ranked, strict=True))
    theirs = np.array([others[name] for name in audit.candidates])
    found = compare(audit.proxy.ranked, theirs, audit.accuracies)
    return f"{interval(found.difference)} {found.verdict}"


def _truth(audit: Audit) -> Any:
    return zip(audit.candidates, audit.truth, strict=True)
