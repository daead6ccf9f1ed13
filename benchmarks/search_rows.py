"""The pools of NAS-Bench-201 that search_regret.py searches in, from committed rows.

Its table has no test accuracies, and none before epoch 200.
"""

import json
from dataclasses import replace

import numpy as np
from recompute_audits import RESULTS, cell, free_estimators, rows_of, trained
from search_pool import Pool

from atom_nas import plugins
from atom_nas.audit.truth_table import TruthTable
from atom_nas.scoring.estimator import Estimator
from atom_nas.scoring.space import load_space
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD


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
    truth = [table.measure(cell(space, name)) for name in names]
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
