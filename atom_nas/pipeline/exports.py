"""The best candidates of a search trained on the full data and exported, the best first."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atom_nas.audit.record import Audit
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.data.splits import Dataset
from atom_nas.export.card import is_retrained
from atom_nas.export.folder import export_model
from atom_nas.pipeline.best import Best
from atom_nas.pipeline.export_facts import facts, to_export
from atom_nas.scoring.latencies import Latencies
from atom_nas.scoring.space import Space
from atom_nas.storage.progress import follow, note


def export_best(
    found: Best,
    trained: TrainedTruth,
    *,
    folder: Path,
    space: Space,
    dataset: Dataset,
    proxy: str,
    audit: Audit | None = None,
    latencies: Latencies | None = None,
) -> list[Path]:
    """Export what was `found` to `folder`/<rank>-<name>, by validation accuracy; return these.

    The test accuracy is written down and chooses nothing. A candidate whose full-data training
    failed is left out, and a line says so. Model cards say how well `proxy` ranks by the `audit`;
    with `latencies` metrics.json has that of each.
    """
    best = found.candidates
    sample = [(each.architecture, each.seed) for each in best if each.seed is not None]
    for _ in follow(trained.fill(sample), "export", total=len(sample), unit="candidate"):
        pass
    ranked = []
    for candidate in best:
        assert candidate.seed is not None
        measured = trained.measure(candidate.architecture, seed=candidate.seed)
        if math.isnan(measured.validation[0]):
            reason = trained.failure(candidate.architecture, seed=candidate.seed)
            note(f"{candidate.name} is not exported, its full-data training failed: {reason}")
        else:
            ranked.append((measured, candidate))
    ranked.sort(key=lambda pair: -pair[0].validation[0])
    choice: dict[str, Any] = {"proxy_spearman": _spearman(audit, Path(proxy).name)}
    if found.joint:
        choice |= {"chosen_by": found.joint, "chosen_by_spearman": _spearman(audit, found.joint)}
    folders = []
    for rank, (_, candidate) in enumerate(ranked, start=1):
        assert candidate.cost is not None and candidate.seed is not None
        trained_net = trained.trained_net(candidate.architecture, seed=candidate.seed)
        measured = trained.measure(candidate.architecture, seed=candidate.seed)
        assert measured.test is not None
        metrics = {
            **facts(
                candidate.architecture,
                trained.dataset,
                candidate.cost,
                validation=measured.validation[0],
                test=measured.test[0],
                seed=candidate.seed,
            ),
            "proxy": proxy,
            **choice,
            **({"model_fitted_on": found.fitted_on} if found.fitted_on else {}),
            "proxy_accuracy": candidate.accuracy,
            **(latencies.facts(candidate.architecture) if latencies else {}),
            "full_steps": trained.training.steps,
            "full_seconds": measured.seconds,
        }
        net = to_export(space, candidate.architecture, trained_net, dataset)
        target = folder / f"{rank}-{candidate.name}"
        _take_over(folder, candidate.name, target)
        folders.append(export_model(net, target, metrics=metrics))
    _set_aside(folder, folders)
    return folders


def _spearman(audit: Audit | None, name: str) -> dict[str, Any] | None:
    """Return how the estimator `name` ranks, where the audit knows it."""
    known = {each.name: asdict(each.spearman) for each in (audit.estimators if audit else ())}
    return {**known[name], "n": audit.n} if audit and name in known else None


def _take_over(folder: Path, name: str, target: Path) -> None:
    """Rename the export of `name` to `target` where it stood at another rank."""
    for found in folder.glob(f"[0-9]*-{name}"):
        if found != target and found.name.partition("-")[2] == name and not target.exists():
            found.rename(target)


def _set_aside(folder: Path, current: Sequence[Path]) -> None:
    """Move what is no longer among the best to `folder`/earlier/<name>, under no rank.

    What was retrained on other data stays.
    """
    for found in set(folder.glob("[0-9]*-*")) - set(current):
        if is_retrained(found):
            continue
        target = folder / "earlier" / found.name.partition("-")[2]
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        found.rename(target)
