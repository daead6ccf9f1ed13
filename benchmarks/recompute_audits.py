"""Judge the committed audits again, from their committed rows, by the rule and the costs of now.

    python benchmarks/recompute_audits.py

Reads scores.csv, free.csv and settings.json of each folder, and the truth: the table of
NAS-Bench-201, or truth.csv. Writes audit.json, audit.csv and figures/. No net is trained. The rows
of digits are of trainings on training and validation split together, measured on the test split;
nothing was chosen by these audits, and here that accuracy stands for the truth.
"""

import csv
import json
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from atom_nas.audit.against import AVERAGED
from atom_nas.audit.combination import combine
from atom_nas.audit.figures import audit_scores
from atom_nas.audit.free_scores import PASSES, SIZES, average
from atom_nas.audit.record import Audit
from atom_nas.audit.table import write_audit
from atom_nas.audit.truth import Truth
from atom_nas.audit.truth_table import TruthTable
from atom_nas.data.images import ImageSet
from atom_nas.distillation.macs import count_distillation
from atom_nas.distillation.recipes import Recipe
from atom_nas.report.figures import draw_all
from atom_nas.report.results import read_results
from atom_nas.scoring.estimator import Estimator
from atom_nas.scoring.objective import DEFAULT_MEASURE, MEASURES
from atom_nas.scoring.space import Space, load_space
from atom_nas.storage.files import write_atomically, write_json
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, Outcome

RESULTS = Path(__file__).parent / "results"
BATCH = 64

SHAPES = {"cifar10": (3, 32, 32), "digits": (1, 8, 8)}
NUM_TRAIN, NUM_VALIDATION = {"cifar10": 45_000, "digits": 1078}, {"cifar10": 5_000, "digits": 270}


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def recompute(folder: Path) -> Audit:
    """Return the audit of `folder`, written there."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    scores = rows_of(folder / "scores.csv")
    names = list(dict.fromkeys(r["candidate"] for r in scores if r["proxy"] == settings["proxy"]))
    space = load_space(settings["space"], SHAPES[settings["dataset"]], 10)
    free_rows = {(row["candidate"], row["score"]): row for row in rows_of(folder / "free.csv")}
    macs = np.array([float(free_rows[name, "macs"]["value"]) for name in names])
    trained_macs = macs
    if settings["shrink"]:
        shrunk = space.shrunk(settings["shrink"])
        trained_macs = np.array([shrunk.cost(cell(space, name)).macs for name in names])
    whole = [
        set_name
        for set_name in dict.fromkeys(row["proxy"] for row in scores)
        if all(any(r["candidate"] == n for r in scores if r["proxy"] == set_name) for n in names)
    ]
    proxy, *rivals = [
        trained(folder, settings, name, scores, names, fmean(trained_macs)) for name in whole
    ]
    free = free_estimators(free_rows, names, macs)
    truth = read_truth(folder, settings, space, names, macs)
    audit = audit_scores(
        proxy,
        [*rivals, *free],
        truth,
        combined=combine(proxy, free, truth.mean, seed=settings["seed"]),
        candidates=names,
        dataset=settings["dataset"],
        space=settings["space"],
        seed=settings["seed"],
        is_truth_known=settings["space"] == "nas_bench_201",
        objective=DEFAULT_MEASURE,
    )
    write_json(folder / "audit.json", json.loads(audit.to_json()))
    write_audit(folder / "audit.csv", audit)
    if (folder / "figures").exists():
        for plate in draw_all(read_results(folder)):
            write_atomically(folder / "figures" / f"{plate.name}.png", plate.png)
    return audit


def cell(space: Space, name: str) -> Any:
    """Return the architecture whose fields are the words of `name`."""
    keys = (field.name for field in fields(space.module.Architecture))
    return space.module.Architecture(**dict(zip(keys, name.split("-"), strict=True)))


def trained(
    folder: Path,
    settings: dict[str, Any],
    name: str,
    scores: list[dict[str, str]],
    names: list[str],
    macs: float,
) -> Estimator:
    """Return the estimator of the set called `name`."""
    by_draw: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for row in scores:
        if row["proxy"] == name:
            by_draw[row["proxy_seed"]][row["candidate"]] = Outcome(
                accuracy=float(row["accuracy"]),
                loss=float(row["loss"]),
                seconds=float(row["seconds"]),
                curve=tuple(map(float, row["curve"].split())),
            )
    draws = [[draw[candidate] for candidate in names] for draw in by_draw.values()]
    found = {
        key: np.array([[measure(outcome) for outcome in draw] for draw in draws])
        for key, measure in MEASURES.items()
    }
    repeats = found.pop(DEFAULT_MEASURE)
    dataset, ipc = settings["dataset"], settings["images_per_class"]
    shown = FORWARD_BACKWARD * settings["proxy_epochs"] * 10 * ipc
    measured = FORWARD * NUM_VALIDATION[dataset]
    is_distilled = not name.startswith("random")
    count = NUM_TRAIN[dataset]
    noise = ImageSet(
        pixels=torch.empty(1).expand(count, *SHAPES[dataset]),
        labels=torch.zeros(count, dtype=torch.int64),
        class_names=tuple("0123456789"),
    )
    setup = count_distillation(Recipe(**settings["recipe"]), noise, ipc) if is_distilled else 0.0
    seconds = {}
    if (folder / "condensations.json").exists():
        seconds = json.loads((folder / "condensations.json").read_text(encoding="utf-8"))
    return Estimator(
        name=name,
        kind="distilled" if is_distilled else "random",
        scores=repeats.mean(0),
        repeats=repeats,
        measure=DEFAULT_MEASURE,
        variants={key: each.mean(0) for key, each in found.items()},
        setup_macs=len(draws) * setup,
        macs_per_candidate=len(draws) * (shown + measured) * macs,
        setup_seconds=seconds.get(name, {}).get("seconds", 0.0),
        seconds_per_candidate=sum(fmean(o.seconds for o in draw) for draw in draws),
    )


def free_estimators(
    rows: dict[tuple[str, str], dict[str, str]], names: list[str], macs: np.ndarray
) -> list[Estimator]:
    found = {
        score: Estimator(
            name=score,
            kind="size" if score in SIZES else "zero_cost",
            scores=[float(rows[name, score]["value"]) for name in names],
            macs_per_candidate=PASSES[score] * float(macs.mean()),
            seconds_per_candidate=fmean(float(rows[name, score]["seconds"]) for name in names),
        )
        for score in PASSES
    }
    return [*found.values(), average([found[name] for name in AVERAGED])]


def read_truth(
    folder: Path, settings: dict[str, Any], space: Space, names: list[str], macs: np.ndarray
) -> Truth:
    if settings["space"] == "nas_bench_201":
        table = TruthTable.open("nas_bench_201", space, settings["dataset"])
        measured = [table.measure(cell(space, name)) for name in names]
        return Truth(
            validation=tuple(each.validation for each in measured),
            seconds=fmean(each.seconds for each in measured),
            macs=fmean(each.macs for each in measured),
        )
    rows = {row["candidate"]: row for row in rows_of(folder / "truth.csv")}
    dataset = settings["dataset"]
    shown = settings["full_epochs"] * (NUM_TRAIN[dataset] + NUM_VALIDATION[dataset])
    return Truth(
        validation=tuple((float(rows[name]["test_accuracy"]),) for name in names),
        seconds=fmean(float(rows[name]["seconds"]) for name in names),
        macs=FORWARD_BACKWARD * shown * float(macs.mean()),
    )


if __name__ == "__main__":
    for name in ("nas_bench_201-cifar10", "digits-convnet", "digits-mobile"):
        audit = recompute(RESULTS / name)
        print(f"{name}: {audit.sentences[0]}")
