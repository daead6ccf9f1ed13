"""Make what atom_nas brings with it of CIFAR-10 (atom_nas/assets/cifar10), a part at a time.

    python benchmarks/make_assets.py sets --names atom_ipc10 --steps 300
    python benchmarks/make_assets.py truth     # full-data accuracies of ConvNets, hours on a CPU
    python benchmarks/make_assets.py scores    # the same ConvNets on images of the box
    python benchmarks/make_assets.py box       # puts together what is there

The sets: condensed from the 45,000 training images of `open_dataset("cifar10", seed=0)` with the
paper's recipe and so many steps. The truth: uniform draws of the 720 ConvNets of at most so many
multiply-adds, each trained on the same 45,000 images and measured on the other 5,000 and on the
10,000 test images; then every fifth again. The scores: all that have a truth, trained on the set
and the random images of the first command, as a run with seed 0 does. What is there is kept, and
the same command goes on where it was.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import command
import optuna
import torch
from machine import hardware

import atom_nas
from atom_nas.audit.sampling import audited_sample
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.data.images import Normalization
from atom_nas.data.mosaic import save_mosaic
from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import hold_out
from atom_nas.defaults import condensation, proxy_training
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.names import is_distilled, parse_name
from atom_nas.distillation.proxy import Proxy, load_proxy, save_proxy
from atom_nas.distillation.recipes import paper
from atom_nas.errors import unknown
from atom_nas.options import Options
from atom_nas.scoring.objective import DEFAULT_MEASURE
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.scorer import Sample, Scorer
from atom_nas.scoring.space import Space, candidate_name, load_space
from atom_nas.scoring.trainer import Trainer
from atom_nas.storage.files import CACHE, digest, file_digest, read_csv, write_csv, write_json
from atom_nas.training.devices import resolve_device
from atom_nas.training.memory import keep_freed_memory
from atom_nas.training.schedule import Training

MADE = Path(__file__).parent / "results" / "box-cifar10"
BOX = Path(atom_nas.__file__).parent / "assets" / "cifar10"
IMAGES_PER_CLASS = {"train": 100, "validation": 200, "test": 100}
COLUMNS = ("candidate", "steps", "seed", "validation_accuracy", "test_accuracy", "seconds")
TWICE = 5
"""One candidate in so many is trained twice."""
SCORED = ("atom_ipc50", "random_ipc50")
"""What the truth's candidates are trained on."""
CLIPPED = 0.2
"""Of a set's pixels, at most how many 8 bits may cut off: 13% (10 images a class) cost no accuracy,
64% (1 image) three points of it (benchmarks/README.md)."""
AT_ONCE = 8
"""Candidates given to the workers together."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is made, and how far."""

    part: str = field(metadata={"positional": "PART"})
    """sets, truth, scores or box."""
    names: tuple[str, ...] = ("atom_ipc1", "atom_ipc10", "atom_ipc50")
    """The sets."""
    steps: int = 8_000
    """Of a distillation."""
    num: int = 96
    """Candidates of the truth."""
    epochs: int = 8
    max_macs: int = 5_000_000
    hardware: str = ""
    """What the truth was trained on, where that is not this machine."""
    workers: str = "auto"
    device: str = "auto"
    data_dir: Path = CACHE
    out: Path = MADE


def make_sets(settings: Settings) -> None:
    """Condense the sets, one after the other."""
    device = resolve_device(settings.device)
    keep_freed_memory(device)
    dataset = open_dataset("cifar10", settings.data_dir, seed=0)
    for name in settings.names:
        method, images_per_class = parse_name(name)
        recipe = None
        if is_distilled(method):
            recipe = replace(paper(dataset, images_per_class), steps=settings.steps)
        job = Condensation(
            dataset=dataset,
            method=method,
            images_per_class=images_per_class,
            seed=0,
            recipe=recipe,
            device_type=device.type,
        )
        condense(job, settings.out / "sets" / name, device)


def make_box(settings: Settings) -> None:
    """Put real images, the sets that are finished and the truth into the package.

    Sets that are there already and are not made here stay.
    """
    dataset = open_dataset("cifar10", settings.data_dir, seed=0)
    generator = torch.Generator().manual_seed(0)
    BOX.mkdir(parents=True, exist_ok=True)
    for split, per_class in IMAGES_PER_CLASS.items():
        images = getattr(dataset, split)
        fraction = per_class * images.num_classes / len(images)
        held = hold_out(images, fraction, generator)[1]
        save_mosaic(held, BOX / f"{split}.png")
        if split == "train":
            measured = Normalization.fit(held)
    for folder in (settings.out / "sets").glob("*"):
        if made := load_proxy(folder):
            save_proxy(compact(made), BOX / "sets" / folder.name)
    kept = [proxy for path in sorted((BOX / "sets").glob("*")) if (proxy := load_proxy(path))]
    sets = {proxy.name: {"steps": proxy.manifest["recipe"]["steps"], "of": 8_000} for proxy in kept}
    rows = read_csv(settings.out / "truth" / "truth.csv")
    write_csv(BOX / "truth.csv", COLUMNS, ([row[key] for key in COLUMNS] for row in rows))
    shutil.copyfile(settings.out / "scores.csv", BOX / "scores.csv")
    steps = int(rows[0]["steps"])
    shown = Training(steps=steps, flip=True).images_shown(len(dataset.train))
    known = [seconds for row in rows if isfinite(seconds := float(row["seconds"]))]
    manifest = {
        "data": "CIFAR-10 (Krizhevsky, Learning multiple layers of features from tiny images, "
        "2009); its authors ask to be cited and state no licence: for research and teaching.",
        "images_per_class": IMAGES_PER_CLASS,
        "train_digest": dataset.train.digest,
        "normalization": measured,
        "sets": sets,
        "truth": {
            "space": "convnet",
            "max_macs": settings.max_macs,
            "candidates": len({row["candidate"] for row in rows}),
            "trainings": len(rows),
            "steps": steps,
            "images_shown": shown,
            "seconds": sum(known),
            "timed_trainings": len(known),
            "hardware": settings.hardware or hardware(torch.device("cpu")),
        },
        "files": {
            path.name: file_digest(path)
            for path in (*sorted(BOX.glob("*.png")), BOX / "scores.csv", BOX / "truth.csv")
        },
    }
    write_json(BOX / "manifest.json", manifest)


def compact(proxy: Proxy) -> Proxy:
    """Return `proxy` with the pixels of pictures, clipped and rounded to 8 bits; in half precision
    where that would cut off too many."""
    pixels = proxy.images.pixels
    if ((pixels < 0) | (pixels > 1)).float().mean() > CLIPPED:
        stored, pixels = "float16", pixels.half()
    else:
        stored, pixels = "uint8", (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    images = replace(proxy.images, pixels=pixels)
    about = {**proxy.manifest, "stored": stored, "images_digest": images.digest}
    return Proxy(images=images, manifest={**about, "digest": digest([proxy.digest, stored])})


def make_truth(settings: Settings) -> None:
    """Train the candidates that lack, a few at a time: workers begin with the longest of those they
    are given, and what is there when this is stopped is to be a uniform draw."""
    device = resolve_device(settings.device)
    keep_freed_memory(device)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    dataset = open_dataset("cifar10", settings.data_dir, seed=0)
    space = load_space("convnet", dataset.image_shape, dataset.num_classes)
    training = Training(steps=1, flip=dataset.flip)
    steps = training.steps_in(settings.epochs, len(dataset.train))
    trainer = Trainer(dataset.normalization, device, workers=settings.workers)
    folder = settings.out / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    truth = TrainedTruth(
        folder,
        space=space,
        dataset=dataset,
        training=Training(steps=steps, flip=dataset.flip),
        trainer=trainer,
    )
    sample = drawn(space, settings)
    for some in parts(sample, AT_ONCE):
        truth.measure_all(some)
    for some in parts(sample[::TWICE], AT_ONCE):
        truth.measure_all(some, trainings=2)
    trainer.close()


def make_scores(settings: Settings) -> None:
    """Train the candidates that have a truth on images of the box."""
    device = resolve_device(settings.device)
    keep_freed_memory(device)
    dataset = open_dataset("cifar10_box", settings.data_dir, seed=0)
    space = load_space("convnet", dataset.image_shape, dataset.num_classes)
    trainer = Trainer(dataset.normalization, device, workers=settings.workers)
    table = ProxyScores(settings.out / "scores.csv", space=space, dataset=dataset, trainer=trainer)
    known = {row["candidate"] for row in read_csv(settings.out / "truth" / "truth.csv")}
    sample = [each for each in drawn(space, settings) if candidate_name(each[0]) in known]

    def made(name: str, number: int) -> Proxy:
        job = condensation(Options(proxy=name), dataset, device, number=number)
        return condense(job, job.folder(settings.out / "proxies"), device)

    scorer = Scorer(
        table=table,
        condense=made,
        num_seeds=1,
        training=proxy_training(Options(), dataset),
        measure=DEFAULT_MEASURE,
    )
    for name in SCORED:
        scorer.estimate(name, sample)
    trainer.close()


def drawn(space: Space, settings: Settings) -> Sample:
    """Return the candidates of the truth, in the order in which any few are a uniform draw."""
    stream = audited_sample(
        space, [], is_allowed=lambda cost: cost.macs <= settings.max_macs, seed=0
    )
    return list(islice(stream, settings.num))


def parts(whole: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield `whole` in parts of `size`, the last perhaps smaller."""
    return (whole[start : start + size] for start in range(0, len(whole), size))


PARTS: Mapping[str, Callable[[Settings], None]] = {
    "sets": make_sets,
    "truth": make_truth,
    "scores": make_scores,
    "box": make_box,
}


def main(settings: Settings) -> None:
    if settings.part not in PARTS:
        raise unknown("part", settings.part, PARTS)
    PARTS[settings.part](settings)


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
