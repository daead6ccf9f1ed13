"""Steps a second of the distillation against a plain loop in the manner of the published code.

The plain loop is plain_distillation.py's, the other `atom_nas.distillation.matching.distill` as the
command line runs it.
Both sides distil the same noise at CIFAR-10's shape (the pixels do not change the speed) with the
same net, batches and threads. Each lives in a process of its own, so that neither inherits the
settings of the other; they take turns, and a pair of turns gives one ratio.

    python benchmarks/distillation_speed.py --device cpu --threads 2
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import command
import torch
from machine import commit, hardware
from plain_distillation import plain_step
from sides import Side
from torch import Tensor

from atom_nas.distillation.matching import Matching, distill
from atom_nas.distillation.names import load_method
from atom_nas.distillation.recipes import Recipe
from atom_nas.storage.files import write_atomically, write_plain_json
from atom_nas.training.devices import peak_memory
from atom_nas.training.memory import keep_freed_memory

NUM_CLASSES, IMAGE_SHAPE, IMAGES_PER_CLASS = 10, (3, 32, 32), 500

CONFIGURATIONS = {
    "released": ("datadam", Recipe(steps=10**9, learning_rate=1.0, norm="batch", spatial_power=1)),
    "paper": ("atom", Recipe(steps=10**9, learning_rate=1.0)),
}
"""Recipe name -> (method, settings at 32x32)."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to time."""

    recipes: tuple[str, ...] = tuple(CONFIGURATIONS)
    images_per_class: tuple[int, ...] = (10, 50)
    device: str = "cpu"
    threads: int = 2
    """Of PyTorch on the host, for both sides."""
    steps: int = 2
    """Steps of each side in a turn."""
    pairs: int = 5
    """Turns of each side that count; one more comes before, as a warm-up."""
    out: Path | None = None
    """Path without suffix; default benchmarks/results/distillation_speed-<device>."""


def run_plain(job: "Job", end_step: Callable[[], None]) -> None:
    """Step the plain loop for ever."""
    real, images = job.data()
    images.requires_grad_()
    optimizer = torch.optim.SGD([images], lr=job.recipe.learning_rate, momentum=0.5)
    while True:
        plain_step(real, images, optimizer, job.recipe, job.method, NUM_CLASSES)
        end_step()


def run_ours(job: "Job", end_step: Callable[[], None]) -> None:
    """Run atom_nas.distillation.matching as the command line does, checkpoints included."""
    keep_freed_memory(torch.device(job.device))
    matching = Matching(
        real=job.data()[0],
        class_indices=list(torch.arange(NUM_CLASSES * IMAGES_PER_CLASS).chunk(NUM_CLASSES)),
        describe=load_method(job.method).describe,
        recipe=job.recipe,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        distill(
            matching,
            job.images_per_class,
            checkpoint=Path(folder, "checkpoint"),
            watch=lambda _step, _loss, _images: end_step(),
        )


@dataclass(frozen=True, kw_only=True)
class Job:
    """One configuration, the same for both sides."""

    method: str
    recipe: Recipe
    images_per_class: int
    device: str
    threads: int
    steps_per_turn: int

    def data(self) -> tuple[Tensor, Tensor]:
        """Return the real images, sorted by class, and first synthetic images."""
        real = torch.randn(
            NUM_CLASSES, IMAGES_PER_CLASS, *IMAGE_SHAPE, generator=torch.Generator().manual_seed(0)
        ).to(self.device)
        return real.flatten(0, 1), real[:, : self.images_per_class].flatten(0, 1).clone()


def serve(loop: Callable[[Job, Callable[[], None]], None], job: Job, turns: Connection) -> None:
    """Step `loop`, and before each turn wait for a message on `turns`."""
    torch.set_num_threads(job.threads)
    device, count, start = torch.device(job.device), 0, (0.0, 0.0)

    def end_step() -> None:
        nonlocal count, start
        count += 1
        if count % job.steps_per_turn:
            return
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        end = (time.perf_counter(), time.process_time())
        wall, cpu = ((b - a) / job.steps_per_turn for a, b in zip(start, end, strict=True))
        turns.send({"wall": wall, "cpu": cpu, "peak_memory_bytes": peak_memory(device)})
        turns.recv()
        start = (time.perf_counter(), time.process_time())

    turns.recv()
    start = (time.perf_counter(), time.process_time())
    loop(job, end_step)


def measure(recipe_name: str, images_per_class: int, options: Options) -> dict[str, object]:
    """Time one configuration and return its row of the table."""
    method, recipe = CONFIGURATIONS[recipe_name]
    job = Job(
        method=method,
        recipe=recipe,
        images_per_class=images_per_class,
        device=options.device,
        threads=options.threads,
        steps_per_turn=options.steps,
    )
    sides = Side(serve, run_plain, job), Side(serve, run_ours, job)
    turns = [[side.take_turn() for side in sides] for _ in range(1 + options.pairs)][1:]
    for side in sides:
        side.stop()
    ratios = sorted(plain["wall"] / ours["wall"] for plain, ours in turns)
    row: dict[str, object] = {
        "recipe": recipe_name,
        "method": method,
        "images_per_class": images_per_class,
        "pairs": len(turns),
        "steps_per_turn": options.steps,
        "ratio": statistics.median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "cpu_ratio": statistics.median(plain["cpu"] / ours["cpu"] for plain, ours in turns),
        "load": os.getloadavg()[0],
    }
    for name, of_side in zip(("plain", "ours"), zip(*turns, strict=True), strict=True):
        row[f"{name}_steps_per_second"] = 1 / statistics.median(turn["wall"] for turn in of_side)
        row[f"{name}_peak_mb"] = max(turn["peak_memory_bytes"] for turn in of_side) / 1e6
    return row


def describe_machine(options: Options) -> dict[str, object]:
    """Return what the figures depend on besides the code."""
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    return {
        "hardware": hardware(device),
        "bfloat16": device.type == "cuda" or torch.cpu._is_avx512_bf16_supported(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "commit": commit(),
    }


def to_markdown(machine: dict[str, object], rows: list[dict[str, object]]) -> str:
    """Return the table, under a line about the machine."""
    lines = [
        "# Distillation: steps a second, ours against a plain loop",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items())
        + ". Ten classes of 3 x 32 x 32, ConvNet-3, width 128, 64 real images a class. Ratio: "
        "median of alternating pairs of turns [least, greatest]. CPU ratio: of processor seconds. "
        "Load: the system's one-minute load at the end, both sides included.",
        "",
        "| recipe | method | images per class | ratio | CPU ratio | plain, steps/s | ours, steps/s "
        "| plain, MB | ours, MB | pairs x steps | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    template = (
        "| {recipe} | {method} | {images_per_class} | {ratio:.2f} [{ratio_min:.2f}, "
        "{ratio_max:.2f}] | {cpu_ratio:.2f} | {plain_steps_per_second:.3f} "
        "| {ours_steps_per_second:.3f} | {plain_peak_mb:.0f} | {ours_peak_mb:.0f} "
        "| {pairs} x {steps_per_turn} | {load:.1f} |"
    )
    return "\n".join(lines + [template.format(**row) for row in rows]) + "\n"


def main(options: Options) -> None:
    name = f"distillation_speed-{options.device.partition(':')[0]}"
    out = options.out or Path(__file__).parent / "results" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    machine, rows = describe_machine(options), []
    for recipe in options.recipes:
        for images_per_class in options.images_per_class:
            rows.append(measure(recipe, images_per_class, options))
            write_plain_json(out.with_suffix(".json"), {**machine, "rows": rows})
            write_atomically(out.with_suffix(".md"), to_markdown(machine, rows))
            print(to_markdown(machine, rows[-1:]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    command.run(main, Options, __file__, __doc__)
