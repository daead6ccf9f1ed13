"""Candidates a minute, ours against a plain loop in the usual manner.

The plain loop is plain_training.py's, one candidate after the other with PyTorch's default threads;
ours is `atom_nas.scoring.trainer`, with as many processes as it takes by itself. Both train the
same uniform draws of a space, from the same first weights, on the same random images for equal
steps, and measure them on the same held-out images. Turns of a few candidates alternate, and all
that a side does in its turn counts. Trained again with another seed, accuracies show whether it is
the same training: how ours rank the candidates against the loop, and how the loop ranks them twice.

    python benchmarks/candidate_speed.py --space nas_bench_201 --shrink cells_per_stage=1
"""

import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import command
import optuna
import torch
from machine import commit, hardware
from plain_training import plain_accuracy, plain_training
from sides import Side
from torch.utils.data import TensorDataset

from atom_nas.audit.ranking import spearman
from atom_nas.data.images import ImageSet
from atom_nas.data.sources import open_dataset
from atom_nas.distillation.methods import random
from atom_nas.parsing import parse_settings
from atom_nas.scoring.space import (
    Space,
    architecture_json,
    candidate_name,
    load_space,
    uniform_architectures,
)
from atom_nas.scoring.trainer import Job, Trainer
from atom_nas.storage.files import write_atomically, write_plain_json
from atom_nas.training.cost import Cost
from atom_nas.training.devices import peak_memory, resolve_device, warm_up
from atom_nas.training.memory import keep_freed_memory
from atom_nas.training.schedule import Training

SPLIT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to time."""

    space: str = "convnet"
    shrink: str = ""
    """Settings of the nets of the space, as name=value."""
    max_macs: int | None = None
    """Draw among nets of at most so many multiply-adds an image."""
    num_candidates: int = 24
    per_turn: int = 6
    """Candidates of a turn."""
    steps: int = 240
    images_per_class: int = 50
    num_held_out: int = 5000
    """Images of the validation split that each net is measured on."""
    seeds: int = 2
    dataset: str = "cifar10"
    data_dir: Path = Path("~/.cache/atom_nas")
    device: str = "cpu"
    workers: str = "auto"
    """Of our side."""
    out: Path | None = None
    """Path without suffix; default benchmarks/results/candidate_speed-<space>-<device>."""

    def open(self) -> tuple[Space, "Images"]:
        """Return the space, and the images that both sides take."""
        dataset = open_dataset(self.dataset, self.data_dir.expanduser(), seed=SPLIT_SEED)
        space = load_space(self.space, dataset.image_shape, dataset.num_classes)
        chosen = random.select(
            dataset.train, self.images_per_class, seed=0, device=torch.device("cpu")
        )
        held_out = torch.arange(min(self.num_held_out, len(dataset.validation)))
        return space.shrunk(parse_settings("--shrink", self.shrink)), Images(
            train=dataset.train.select(chosen),
            held_out=dataset.validation.select(held_out),
            normalize=dataset.normalization,
            training=Training(steps=self.steps, flip=dataset.flip),
        )


@dataclass(frozen=True, kw_only=True)
class Images:
    """What candidates are trained and measured on, and how."""

    train: ImageSet
    held_out: ImageSet
    normalize: Any
    training: Training


def serve_plain(options: Options, turns: Connection) -> None:
    """Train candidates as the plain loop does, turn by turn."""
    device, (space, images) = resolve_device(options.device), options.open()
    train, held_out = (
        TensorDataset(images.normalize(each.pixels), each.labels)
        for each in (images.train, images.held_out)
    )
    warm_up(device)
    while True:
        found = []
        for text, seed in turns.recv():
            net = space.build(space.restore(text), seed=seed)
            torch.manual_seed(seed)
            plain_training(net, train, images.training, device)
            found.append(plain_accuracy(net, held_out, device))
        turns.send((found, memory(device)))


def serve_ours(options: Options, turns: Connection) -> None:
    """Train candidates as the package does, turn by turn."""
    device, (space, images) = resolve_device(options.device), options.open()
    keep_freed_memory(device)
    warm_up(device)
    trainer = Trainer(images.normalize, device, workers=options.workers)
    while (message := turns.recv()) is not None:
        jobs = [
            Job(
                space=space,
                architecture=space.restore(text),
                seed=seed,
                training=images.training,
                train=images.train,
                held_out=(images.held_out,),
            )
            for text, seed in message
        ]
        done = dict(trainer.run(jobs))
        turns.send(([done[i].outcomes[0].accuracy for i in range(len(jobs))], memory(device)))


def memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of a GPU, or of this process and those it started."""
    if device.type == "cuda" or not Path("/proc/self/status").exists():
        return peak_memory(device)
    total = 0
    for path in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it has ended
            status = dict(line.split(":\t", 1) for line in path.read_text().splitlines())
            if str(os.getpid()) in (status["Pid"], status["PPid"]):
                total += 1024 * int(status["VmHWM"].split()[0])
    return total


def measure(options: Options) -> dict[str, Any]:
    """Have both sides train all candidates, and return what came out."""
    space, _ = options.open()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = uniform_architectures(space, seed=0, is_allowed=partial(is_within, options.max_macs))
    candidates = list(islice(drawn, options.num_candidates))
    rows = [{"candidate": candidate_name(a), "macs": space.cost(a).macs} for a in candidates]
    sides = {"plain": Side(serve_plain, options), "ours": Side(serve_ours, options)}
    for side in sides.values():
        side.take_turn([])
    turns, peaks = [], dict.fromkeys(sides, 0)
    for seed in range(options.seeds):
        for first in range(0, len(candidates), options.per_turn):
            positions = range(len(candidates))[first : first + options.per_turn]
            message = [(architecture_json(candidates[i]), seed) for i in positions]
            turn: dict[str, float] = {"seed": seed, "candidates": len(positions)}
            for name, side in sides.items():
                start = time.perf_counter()
                accuracies, peaks[name] = side.take_turn(message)
                turn[name] = time.perf_counter() - start
                for i, accuracy in zip(positions, accuracies, strict=True):
                    rows[i][f"{name}_{seed}"] = accuracy
            turns.append(turn)
            print(f"turn {len(turns)}: {turn['plain'] / turn['ours']:.2f} times", flush=True)
    for side in sides.values():
        side.stop()
    return {**summary(options, rows, turns, peaks), "turns": turns, "rows": rows}


def is_within(max_macs: int | None, cost: Cost) -> bool:
    """Say whether a net is of at most so many multiply-adds."""
    return max_macs is None or cost.macs <= max_macs


def summary(
    options: Options,
    rows: Sequence[dict[str, Any]],
    turns: Sequence[dict[str, float]],
    peaks: dict[str, int],
) -> dict[str, Any]:
    """Return the figures of the table."""
    seconds = {name: sum(turn[name] for turn in turns) for name in peaks}
    ratios = sorted(turn["plain"] / turn["ours"] for turn in turns)
    limit = f" under {options.max_macs / 1e6:g}M MACs" if options.max_macs else ""
    found = {
        "space": f"{options.space} {options.shrink}".strip() + limit,
        "n": len(rows),
        "steps": options.steps,
        "images": options.images_per_class,
        "ratio": seconds["plain"] / seconds["ours"],
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "load": os.getloadavg()[0],
    }
    for name, peak in peaks.items():
        found[f"{name}_per_minute"] = 60 * len(rows) * options.seeds / seconds[name]
        found[f"{name}_peak_mb"] = peak / 1e6
    return found | (agreement(rows) if options.seeds > 1 else {})


def agreement(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return how the accuracies of two seeds a side agree, within the loop and with ours."""

    def column(name: str) -> list[float]:
        return [row[name] for row in rows]

    def apart(a: str, b: str) -> float:
        pairs = zip(column(a), column(b), strict=True)
        return statistics.fmean(abs(x - y) for x, y in pairs)

    across = [(f"plain_{i}", f"ours_{j}") for i in (0, 1) for j in (0, 1)]
    means = [[row[f"{side}_0"] + row[f"{side}_1"] for row in rows] for side in ("plain", "ours")]
    return {
        "rank_within_plain": spearman(column("plain_0"), column("plain_1")).value,
        "rank_within_ours": spearman(column("ours_0"), column("ours_1")).value,
        "rank_across": statistics.fmean(spearman(column(a), column(b)).value for a, b in across),
        "apart_within_plain": apart("plain_0", "plain_1"),
        "apart_across": statistics.fmean(apart(*pair) for pair in across),
        "ours_minus_plain": (statistics.fmean(means[1]) - statistics.fmean(means[0])) / 2,
    }


def to_markdown(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Return the table, under a line about the machine."""
    names = {
        "candidates a minute": "{plain_per_minute:.1f} | {ours_per_minute:.1f}",
        "memory at most, MB": "{plain_peak_mb:.0f} | {ours_peak_mb:.0f}",
        "Spearman between two seeds": "{rank_within_plain:.2f} | {rank_within_ours:.2f}",
        "accuracies of two seeds apart": "{apart_within_plain:.3f} | ",
        "Spearman between the two": "{rank_across:.2f} | ",
        "accuracies of the two apart": "{apart_across:.3f} | ",
        "mean accuracy, ours minus the loop's": "{ours_minus_plain:+.3f} | ",
    }
    lines = [
        "# Candidates: ours against a plain loop",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items())
        + f". {found['n']} candidates of {found['space']}, {found['images']} images a class, "
        f"{found['steps']} steps: **{found['ratio']:.2f} times** as many in the same time (turns: "
        f"{found['ratio_min']:.2f} to {found['ratio_max']:.2f}; load {found['load']:.1f}).",
        "",
        "| | plain loop | ours |",
        "|---|---|---|",
    ]
    for name, cells in names.items():
        with suppress(KeyError):  # one seed says nothing about agreement
            lines.append(f"| {name} | {cells.format(**found)} |")
    return "\n".join(lines) + "\n"


def main(options: Options) -> None:
    device = resolve_device(options.device)
    name = f"candidate_speed-{options.space}-{device.type}"
    out = options.out or Path(__file__).parent / "results" / name
    machine = {
        "hardware": hardware(device),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "commit": commit(),
    }
    found = measure(options)
    write_plain_json(out.with_suffix(".json"), {**machine, **found})
    write_atomically(out.with_suffix(".md"), to_markdown(machine, found))
    print(to_markdown(machine, found))


if __name__ == "__main__":
    command.run(main, Options, __file__, __doc__)
