"""Train the audited NAS-Bench-201 cells in other ways, to see which ranks best and why.

    python benchmarks/ranking_protocols.py --variants random random_60_epochs --n 40

Every training is a row of <out>/<variant>.csv as soon as it is made, cell by cell over all
variants, so that they can be compared on the same cells wherever it was stopped; the same command
goes on.
A variant belongs to one process at a time. ranking_protocols_table.py makes the table.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import command
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn
from tqdm import tqdm

from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.names import is_distilled
from atom_nas.distillation.recipes import paper
from atom_nas.errors import unknown
from atom_nas.scoring.space import Space, candidate_name, load_space, uniform_architectures
from atom_nas.storage.files import CACHE, derive_seed
from atom_nas.storage.row_log import RowLog
from atom_nas.training.batches import Examples
from atom_nas.training.fit import evaluate, fit
from atom_nas.training.memory import keep_freed_memory
from atom_nas.training.schedule import Training

IMAGES_PER_CLASS, STEPS = 50, 300

PARTS = (500, 1000, 2000)
"""How many validation images also judge; all others come after them."""

COLUMNS = (
    *("candidate", "draw", "accuracy", "loss", *(f"accuracy_{count}" for count in PARTS)),
    *("averaged_2000", "recalibrated_2000", "curve", "seconds"),
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Images, and a training on them."""

    method: str = "random"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    draws: int = 1


VARIANTS = {
    "random": Variant(),
    "random_60_epochs": Variant(training={"steps": 480}),
    "random_15_epochs": Variant(training={"steps": 120}, draws=4),
    "random_batch_32": Variant(training={"batch_size": 32, "steps": 480}),
    "random_rate_0.05": Variant(training={"learning_rate": 0.05}),
    "herding": Variant(method="herding"),
    "kmeans": Variant(method="kmeans"),
    "dm": Variant(method="dm"),
    "datadam": Variant(method="datadam"),
    "atom": Variant(method="atom"),
    "atom_not_whitened": Variant(method="atom", recipe={"whiten": False}),
    "atom_1000_steps": Variant(method="atom", recipe={"steps": 1000}),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    variants: tuple[str, ...] = tuple(VARIANTS)
    n: int = 40
    """Cells, the first of those that the committed audit drew, before its order was stratified."""
    data_dir: Path = CACHE
    out: Path = Path(__file__).parent / "results" / "nas_bench_201-protocols"

    def __post_init__(self) -> None:
        for name in self.variants:
            if name not in VARIANTS:
                raise unknown("variant", name, VARIANTS)


def load_images(variant: Variant, draw: int, dataset: Dataset, store: Path) -> Examples:
    """Return the normalised images of one draw, condensed once."""
    job = Condensation(
        dataset=dataset,
        method=variant.method,
        images_per_class=IMAGES_PER_CLASS,
        seed=draw,
        recipe=replace(paper(dataset, IMAGES_PER_CLASS), **{"steps": STEPS, **variant.recipe})
        if is_distilled(variant.method)
        else None,
    )
    images = condense(job, job.folder(store), torch.device("cpu")).images
    return Examples.of(images, dataset.normalization, torch.device("cpu"))


def split_validation(dataset: Dataset) -> list[Examples]:
    """Return disjoint parts of the shuffled validation split, which add up to PARTS and to all."""
    labels = dataset.validation.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images = dataset.normalization(dataset.validation.pixels)
    return [
        Examples(images=images[part], labels=labels[part])
        for part in order.tensor_split(torch.tensor(PARTS))
    ]


def measure_parts(net: nn.Module, parts: list[Examples]) -> tuple[list[float], float]:
    """Return the accuracies on the first part, the first two, and so on, and the loss on all."""
    scores = [evaluate(net, part) for part in parts]
    counts = torch.tensor([len(part.labels) for part in parts])
    hits = torch.tensor([score.accuracy for score in scores]) * counts
    losses = torch.tensor([score.loss for score in scores]) * counts
    return (hits.cumsum(0) / counts.cumsum(0)).tolist(), (losses.sum() / counts.sum()).item()


def measure(
    net: nn.Module,
    images: Examples,
    real: Examples,
    parts: list[Examples],
    training: Training,
    seed: int,
) -> dict[str, object]:
    """Train `net`; score it, its weights' mean over the last quarter, and it with batch norms that
    know `real` images."""
    averaged = AveragedModel(net)
    start = 0.75 * training.steps
    step = 0

    def average(module: nn.Module, _: object) -> None:
        nonlocal step
        if module.training and (step := step + 1) > start:
            averaged.update_parameters(module)

    hook = net.register_forward_pre_hook(average)
    began = time.perf_counter()
    curve = fit(net, images, training, seed=seed)
    seconds = time.perf_counter() - began
    hook.remove()
    accuracies, loss = measure_parts(net, parts)
    update_bn(images.images.split(training.batch_size), averaged)
    update_bn(real.images.split(training.batch_size), net)
    return {
        "accuracy": accuracies[-1],
        "loss": loss,
        **{f"accuracy_{count}": value for count, value in zip(PARTS, accuracies, strict=False)},
        "averaged_2000": measure_parts(averaged, parts[:3])[0][-1],
        "recalibrated_2000": measure_parts(net, parts[:3])[0][-1],
        "curve": " ".join(f"{value:.5g}" for value in curve),
        "seconds": seconds,
    }


def sample(space: Space, n: int) -> list[tuple[Any, int]]:
    """Return the first `n` cells of the committed audit with their seeds."""
    drawn = islice(
        uniform_architectures(space, seed=derive_seed(0, "audit"), is_allowed=lambda cost: True), n
    )
    return [(cell, derive_seed(0, "audited", i)) for i, cell in enumerate(drawn)]


def main(settings: Settings) -> None:
    keep_freed_memory(torch.device("cpu"))
    dataset = open_dataset("cifar10", settings.data_dir, seed=0)
    space = load_space("nas_bench_201", dataset.image_shape, dataset.num_classes)
    shrunk = space.shrunk({"cells_per_stage": 1})
    settings.out.mkdir(parents=True, exist_ok=True)
    store, parts = settings.out / "proxies", split_validation(dataset)
    real = load_images(VARIANTS["random"], 0, dataset, store)
    jobs = [(name, draw) for name in settings.variants for draw in range(VARIANTS[name].draws)]
    images = {job: load_images(VARIANTS[job[0]], job[1], dataset, store) for job in jobs}
    tables = {name: RowLog(settings.out / f"{name}.csv", COLUMNS) for name in settings.variants}
    known = {
        (name, int(row["draw"]), row["candidate"])
        for name, table in tables.items()
        for row in table.rows
    }
    base = Training(steps=240, flip=dataset.flip)
    for cell, seed in tqdm(sample(space, settings.n), unit="cell"):
        for name, draw in jobs:
            if (name, draw, candidate_name(cell)) in known:
                continue
            training = replace(base, **VARIANTS[name].training)
            seed_of_draw = derive_seed(seed, "proxy", draw) if draw else seed
            net = shrunk.build(cell, seed=seed_of_draw)
            row = measure(net, images[name, draw], real, parts, training, seed_of_draw)
            tables[name].append({"candidate": candidate_name(cell), "draw": draw, **row})


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
