"""The pools that search_regret.py searches in, from committed rows.

The table of NAS-Bench-201 has no test accuracies, and none before epoch 200; the ConvNets of digits
have a test split and three lengths of full training. The free scores of these are taken once, and
lie in results/cheaper-digits/free.csv.
"""

import json
from dataclasses import replace

import numpy as np
import torch
from recompute_audits import RESULTS, cell, free_estimators, rows_of, trained
from search_pool import Pool

from atom_nas import plugins
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.truth_table import TruthTable
from atom_nas.data.sources import open_dataset
from atom_nas.distillation.macs import count_distillation
from atom_nas.distillation.recipes import paper
from atom_nas.options import CACHE
from atom_nas.scoring.estimator import Estimator
from atom_nas.scoring.objective import DEFAULT_MEASURE, MEASURES
from atom_nas.scoring.space import load_space
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, Outcome
from atom_nas.training.schedule import Training
from search_spaces.convnet import CHOICES


def nas_bench_201() -> Pool:
    """Return the cells of NAS-Bench-201 that were scored on both draws of both sets of CIFAR-10."""
    folder = RESULTS / "nas_bench_201-cifar10"
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    space = load_space("nas_bench_201", (3, 32, 32), 10)
    rows = [row for row in rows_of(folder / "scores.csv") if not row["failure"]]
    draws = {
        (name, draw): [r for r in rows if r["proxy"] == name and r["proxy_seed"] == draw]
        for name in ("atom_ipc50", "random_ipc50")
        for draw in ("0", "1")
    }
    held = [{row["candidate"] for row in own} for own in draws.values()]
    known = dict.fromkeys(row["candidate"] for row in rows)
    names = [name for name in known if all(name in each for each in held)]
    free_rows = {(row["candidate"], row["score"]): row for row in rows_of(folder / "free.csv")}
    table = TruthTable.open("nas_bench_201", space, settings["dataset"])
    truth = [table.measure(cell(space, name), seed=0) for name in names]
    shrunk = space.shrunk(settings["shrink"])
    macs = float(np.mean([shrunk.cost(cell(space, name)).macs for name in names]))
    proxies: dict[str, tuple[Estimator, ...]] = {}
    for (name, _), own in draws.items():
        found = trained(folder, settings, name, own, names, macs)
        proxies[name] = (*proxies.get(name, ()), found)
    whole = np.array([float(free_rows[name, "macs"]["value"]) for name in names])
    return Pool(
        name=f"NAS-Bench-201, {len(names)} cells",
        names=tuple(names),
        trainings=tuple(each.validation for each in truth),
        test=None,
        full_macs=float(np.mean([each.macs for each in truth])),
        proxies=proxies,
        free=tuple(free_estimators(free_rows, names, whole)),
        shorter={},
        eta=4,
    )


def nas_bench_201_shortened(pool: Pool) -> Pool:
    """Return the cells of `pool` that were trained on full data for a short while too.

    One annealed pass of the audit's nets, which cost as much as both trainings on its proxy.
    """
    folder = RESULTS / "nas_bench_201-cifar10"
    rows = rows_of(folder / "scores.csv")
    found = {r["candidate"]: float(r["accuracy"]) for r in rows if r["proxy"] == "full_annealed"}
    images = json.loads((folder / "equal_cost.json").read_text(encoding="utf-8"))["images"]
    draw = pool.proxies["random_ipc50"][
        0
    ].macs_per_candidate  # 30 epochs of 500, and 5,000 measured
    passes = draw / (FORWARD_BACKWARD * 15_000 + FORWARD * 5_000)
    share = passes * (FORWARD_BACKWARD * images + FORWARD * 5_000) / pool.full_macs
    kept = [i for i, name in enumerate(pool.names) if name in found]
    short = np.array([found.get(name, np.nan) for name in pool.names])
    return replace(pool, shorter={share: short}).of(kept, f"NAS-Bench-201, {len(kept)} of these")


def nas_bench_201_whole() -> Pool:
    """Return all cells of NAS-Bench-201, of which only the parameters are known beside the truth.

    They are counted once for every operation: parameters add up over the six edges.
    """
    space = load_space("nas_bench_201", (3, 32, 32), 10)
    table = plugins.load("atom_nas.audit.truths", space.name, kind="truth", needs=("load",))
    found = table.load("cifar10")
    names = sorted(found)
    none, *others = table.OPERATIONS
    empty = space.cost(cell(space, "-".join([none] * 6))).num_params
    added = {none: 0}
    for operation in others:
        one = space.cost(cell(space, "-".join([operation, *[none] * 5]))).num_params
        added[operation] = one - empty
    sizes = [empty + sum(added[word] for word in name.split("-")) for name in names]
    return Pool(
        name=f"NAS-Bench-201, all {len(names):,} cells",
        names=tuple(names),
        trainings=tuple(tuple(found[name]["accuracies"]) for name in names),
        test=None,
        full_macs=1.0,
        proxies={},
        free=(Estimator(name="num_params", kind="size", scores=np.array(sizes, float)),),
        shorter={},
        eta=4,
    )


OF_240, OF_300 = ("c3bf4eee336ac3d0", "21a25fbb292adbd8"), "499b3ff46e126cae"
"""Digests among the rows of digits: of trainings of 240 steps, on random images and on distilled
ones; and of the set after 300 steps of distillation, which is left out for that after 100."""


def digits() -> Pool:
    """Return the ConvNets of digits under 2 M multiply-adds: three lengths of full training."""
    dataset = open_dataset("digits", CACHE, seed=0)
    space = load_space("convnet", dataset.image_shape, dataset.num_classes)
    folder = RESULTS / "cheaper-digits"
    truth = rows_of(folder / "truth.csv")
    names = list(dict.fromkeys(row["candidate"] for row in truth))
    words = (map(_value, name.split("-")) for name in names)
    fields = tuple(CHOICES)
    nets = [space.module.Architecture(**dict(zip(fields, each, strict=True))) for each in words]
    macs = float(np.mean([space.cost(net).macs for net in nets]))

    def passes(steps: int, images: int) -> float:
        shown = Training(steps=steps, flip=False).images_shown(images)
        return FORWARD_BACKWARD * shown + FORWARD * len(dataset.validation)

    def accuracies(steps: str, split: str) -> list[tuple[float, ...]]:
        own = [row for row in truth if row["steps"] == steps]
        column = f"{split}_accuracy"
        return [tuple(float(r[column]) for r in own if r["candidate"] == name) for name in names]

    rows = [*rows_of(folder / "scores.csv"), *rows_of(RESULTS / "distil-digits" / "scores.csv")]
    used = [r for r in rows if r["training_digest"] in OF_240 and r["proxy_digest"] != OF_300]
    recipe = replace(paper(dataset, 50), steps=100)
    setup = {"atom_ipc50": count_distillation(recipe, dataset.train, 50), "random_ipc50": 0.0}
    proxies: dict[str, tuple[Estimator, ...]] = {}
    for name, key in sorted({(row["proxy"], row["proxy_digest"]) for row in used}):
        own = {row["candidate"]: row for row in used if row["proxy_digest"] == key}
        found = _on_a_proxy(
            name, [own[each] for each in names], setup[name], macs * passes(240, 500)
        )
        proxies[name] = (*proxies.get(name, ()), found)
    free = FreeScores(
        folder / "free.csv", space=space, dataset=dataset, seed=0, device=torch.device("cpu")
    )
    full = passes(960, len(dataset.train))
    return Pool(
        name=f"digits, {len(names)} ConvNets",
        names=tuple(names),
        trainings=tuple(accuracies("960", "validation")),
        test=np.mean(accuracies("960", "test"), axis=1),
        full_macs=macs * full,
        proxies=proxies,
        free=tuple(free.estimators(nets)),
        shorter={
            passes(steps, len(dataset.train)) / full: np.mean(
                accuracies(str(steps), "validation"), axis=1
            )
            for steps in (240, 480)
        },
        eta=2,
    )


def _value(word: str) -> int | str:
    return int(word) if word.isdigit() else word


def _on_a_proxy(name: str, rows: list[dict[str, str]], setup: float, macs: float) -> Estimator:
    """Return the scores of trainings that took so many multiply-adds each, and `setup` before."""
    outcomes = [
        Outcome(
            accuracy=float(row["accuracy"]),
            loss=float(row["loss"]),
            curve=tuple(map(float, row["curve"].split())),
        )
        for row in rows
    ]
    found = {key: np.array([by(each) for each in outcomes]) for key, by in MEASURES.items()}
    return Estimator(
        name=name,
        kind="distilled" if setup else "random",
        scores=found.pop(DEFAULT_MEASURE),
        variants=found,
        setup_macs=setup,
        macs_per_candidate=macs,
    )


def all_pools() -> list[Pool]:
    """Return every pool."""
    cells = nas_bench_201()
    return [cells, nas_bench_201_shortened(cells), nas_bench_201_whole(), digits()]
