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

from atom_nas.audit.record import Audit
from atom_nas.errors import DamagedError
from atom_nas.export.card import is_retrained
from atom_nas.report.trials import Trial, number, read_rows, read_trials
from atom_nas.search.objectives import SCORE, Objectives
from atom_nas.storage.files import check_files, read_json
from atom_nas.storage.progress import tell

Array = NDArray[np.float64]

SPLITS = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class Points:
    """Proxy score and full-data validation accuracy of the same candidates, finite, shape (n,)."""

    names: tuple[str, ...]
    scores: Array
    truth: Array

    @classmethod
    def keep_finite(cls, rows: Iterable[tuple[str, float, float]]) -> Self:
        """Keep the rows (name, score, truth) that are finite."""
        kept = [row for row in rows if math.isfinite(row[1]) and math.isfinite(row[2])]
        scores, truth = np.array([row[1:] for row in kept], dtype=float).reshape(-1, 2).T
        return cls(names=tuple(row[0] for row in kept), scores=scores, truth=truth)


NO_POINTS = Points.keep_finite([])


@dataclass(frozen=True, kw_only=True)
class Accuracies:
    """Of a candidate trained on the full data, the mean over trainings; NaN if one failed."""

    validation: float
    test: float


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
    accuracies: Accuracies
    num_params: float
    macs: float
    latency_ms: float
    """NaN where it was not measured."""
    trained_on: str
    """How many images of which data, in words."""
    fitted_on: int
    """How many audited candidates the model knew that chose too; 0 where the score chose alone."""


@dataclass(frozen=True, kw_only=True)
class Importances:
    """What the scores of a search depend on, of importances.json."""

    trials: int
    """So many candidates were scored."""
    shares: dict[str, float]
    """Of the variance, by parameter, the largest first; empty where they are not known."""
    reason: str
    """Why they are not known, or empty."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """The contents of a run folder."""

    settings: dict[str, Any]
    proxy: str
    """Its name."""
    dataset: str
    space: str
    objective: str
    """The name of the score that the search maximised."""
    objectives: Objectives
    """That score, alone or with costs."""
    latency_batch: int
    """Images in the batch whose latency was measured, if one was."""
    trials: tuple[Trial, ...]
    """In their order."""
    truth: dict[str, Accuracies]
    """By candidate."""
    full_seconds: float
    """What all trainings on the full data in this folder took."""
    others: Points
    """The candidates of the search that have a truth and are not audited; none where the search
    went by something else than the score, or the truth of the audited is a table's."""
    audit: Audit | None
    """None where there was only a search."""
    asked_size: int | None
    """The candidates that an audit was asked for, None for the default: there may be no more."""
    importances: Importances | None
    """None where no search wrote them."""
    previews: tuple[Preview, ...]
    exports: tuple[Export, ...]
    """By rank."""

    @property
    def scored(self) -> list[Trial]:
        """The trials with an objective, the best first."""
        found = [trial for trial in self.trials if math.isfinite(trial.objective)]
        return sorted(found, key=lambda trial: -trial.objective)

    @property
    def front(self) -> list[Trial]:
        """The trials on the front, the best score first; none where the score alone counted."""
        return [trial for trial in self.scored if trial.is_on_front]

    @property
    def trained_on(self) -> str:
        """What full trainings in this folder are of, in words: an excerpt has few images."""
        return self.exports[0].trained_on if self.exports else "the full data"

    @property
    def is_truth_made_here(self) -> bool:
        """Whether the audited were trained in this folder, but for those that failed."""
        return self.audit is not None and self.truth.keys() >= self._audited.keys()

    @property
    def in_table(self) -> dict[str, float]:
        """What a table of truth says of the audited; nothing where they were trained here."""
        return {} if self.is_truth_made_here else self._audited

    @property
    def _audited(self) -> dict[str, float]:
        """The full-data accuracies of the audited."""
        if self.audit is None:
            return {}
        found = zip(self.audit.candidates, self.audit.truth, strict=True)
        return {name: accuracy for name, accuracy in found if accuracy is not None}


def read_results(run: Path) -> Results:
    """Read the files that the stages before the report wrote to `run`.

    Raises DamagedError where one is not as it was written; a preview is then left out.
    """
    path = run / "audit.json"
    audit = Audit.from_json(json.dumps(read_json(path)), str(path)) if path.exists() else None
    settings, options = read_json(run / "settings.json"), read_json(run / "options.json")
    chosen = read_json(run / "auto.json")["choice"] if (run / "auto.json").exists() else settings
    lengths = read_json(run / "lengths.json") if (run / "lengths.json").exists() else {}
    trials = read_trials(run / "candidates.csv")
    trained = read_rows(run / "truth.csv")
    truth = _truth(trained, lengths.get("full_steps"))
    return Results(
        settings=settings,
        proxy=audit.proxy.name if audit else str(chosen.get("proxy")),
        dataset=audit.dataset if audit else str(settings.get("dataset")),
        space=audit.space if audit else str(settings.get("space")),
        objective=str(options.get("objective")),
        objectives=Objectives.parse(options.get("objectives", SCORE)),
        latency_batch=settings.get("latency_batch", options.get("latency_batch", 1)),
        trials=trials,
        truth=truth,
        full_seconds=sum(s for row in trained if math.isfinite(s := number(row["seconds"]))),
        others=_others(trials, truth, audit, options),
        audit=audit,
        asked_size=options.get("audit_size"),
        importances=_importances(run / "importances.json"),
        previews=tuple(_previews(run / "proxies")),
        exports=tuple(
            sorted(
                (
                    _export(folder)
                    for folder in (run / "export").glob("[0-9]*-*")
                    if not is_retrained(folder)
                ),
                key=lambda export: export.rank,
            )
        ),
    )


def audited_points(audit: Audit) -> Points:
    """Return the audited candidates; a score that failed lies below all others, a truth at 0."""
    scores = np.array(audit.proxy.scores, dtype=float)
    lowest = np.nanmin(scores, initial=np.inf)
    scores = np.nan_to_num(scores, nan=lowest if math.isfinite(lowest) else 0.0)
    truth = np.nan_to_num(np.array(audit.truth, dtype=float))
    return Points(names=audit.candidates, scores=scores, truth=truth)


def _others(
    trials: Iterable[Trial],
    truth: Mapping[str, Accuracies],
    audit: Audit | None,
    options: Mapping[str, Any],
) -> Points:
    if audit is None or options.get("objective") != audit.measure:
        return NO_POINTS
    audited = set(audit.candidates)
    if not audited <= truth.keys():  # a table's trainings are other ones than those of exports
        return NO_POINTS
    return Points.keep_finite(
        (trial.candidate, trial.objective, truth[trial.candidate].validation)
        for trial in trials
        if trial.candidate not in audited and trial.candidate in truth
    )


def _truth(rows: Iterable[Mapping[str, str]], steps: int | None) -> dict[str, Accuracies]:
    """Return the accuracies of each candidate, of trainings of that length where one is known."""
    by_candidate: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        if steps is None or row["steps"] == str(steps):
            by_candidate[row["candidate"]].append(row)
    return {
        candidate: Accuracies(**{split: _mean(seeds, f"{split}_accuracy") for split in SPLITS})
        for candidate, seeds in by_candidate.items()
    }


def _mean(rows: Iterable[Mapping[str, str]], column: str) -> float:
    return float(np.mean([number(row.get(column)) for row in rows]))


def _importances(path: Path) -> Importances | None:
    return Importances(**read_json(path)) if path.exists() else None


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
    metrics = json.loads((folder / "metrics.json").read_bytes())
    rank, _, candidate = folder.name.partition("-")
    return Export(
        rank=int(rank),
        candidate=candidate,
        folder=f"export/{folder.name}",
        architecture=json.loads((folder / "architecture.json").read_bytes()),
        accuracies=Accuracies(
            **{split: number(metrics.get(f"{split}_accuracy")) for split in SPLITS}
        ),
        num_params=number(metrics.get("num_params")),
        macs=number(metrics.get("macs")),
        latency_ms=number(metrics.get("latency_ms")),
        trained_on=f"the {metrics['images']['train']:,} images of {metrics['dataset']}",
        fitted_on=int(metrics.get("model_fitted_on", 0)),
    )
