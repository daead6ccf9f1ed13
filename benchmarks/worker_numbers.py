"""How many workers are best on a CPU: alone, and beside processes that keep its cores busy.

The same candidates are trained from the same seeds by every number of workers, with so many busy
processes beside them; turns alternate, and a turn of one worker is one process with one thread.

    python benchmarks/worker_numbers.py --workers 1,2,3,4 --busy 0,2
"""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import command
import optuna
import torch
from machine import commit, hardware

from atom_nas.data.sources import open_dataset
from atom_nas.distillation.methods import random
from atom_nas.scoring.space import load_space, uniform_architectures
from atom_nas.scoring.trainer import Job, Trainer
from atom_nas.storage.files import write_atomically
from atom_nas.training.memory import keep_freed_memory
from atom_nas.training.schedule import Training

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to time."""

    workers: tuple[int, ...] = (1, 2, 3, 4)
    busy: tuple[int, ...] = (0, 2)
    """Processes beside, each of which multiplies matrices on one thread."""
    num_candidates: int = 12
    steps: int = 120
    rounds: int = 3
    """Turns of each pair; one more comes before, as a warm-up."""
    dataset: str = "digits"
    max_macs: int = 1_000_000
    data_dir: Path = Path("~/.cache/atom_nas")
    out: Path = Path(__file__).parent / "results" / "worker_numbers.md"

    def open(self) -> tuple[list[Job], dict[int, Trainer]]:
        """Return the trainings, of uniform draws of the ConvNets, and a trainer a number."""
        dataset = open_dataset(self.dataset, self.data_dir.expanduser(), seed=0)
        space = load_space("convnet", dataset.image_shape, dataset.num_classes)
        drawn = uniform_architectures(
            space, seed=0, is_allowed=lambda cost: cost.macs <= self.max_macs
        )
        train = dataset.train.select(random.select(dataset.train, 50, seed=0, device=CPU))
        jobs = [
            Job(
                space=space,
                architecture=architecture,
                seed=0,
                training=Training(steps=self.steps, flip=dataset.flip),
                train=train,
                held_out=(dataset.validation,),
            )
            for architecture in islice(drawn, self.num_candidates)
        ]
        return jobs, {
            number: Trainer(dataset.normalization, CPU, workers=str(number))
            for number in self.workers
        }


def keep_busy() -> None:
    """Multiply matrices for ever on one thread."""
    torch.set_num_threads(1)
    matrix = torch.rand(512, 512)
    while True:
        matrix = (matrix @ matrix).clamp_(0, 1)


@contextmanager
def beside(number: int) -> Iterator[None]:
    """Have so many busy processes beside."""
    processes = [get_context("spawn").Process(target=keep_busy) for _ in range(number)]
    for process in processes:
        process.start()
    time.sleep(8 * (number > 0))  # until they have imported what they need
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def measure(options: Options) -> dict[tuple[int, int], list[float]]:
    """Return the seconds of the turns by (busy, workers)."""
    jobs, trainers = options.open()
    seconds: dict[tuple[int, int], list[float]] = {}
    for busy in options.busy:
        with beside(busy):
            for turn in range(1 + options.rounds):
                for number, trainer in trainers.items():
                    start = time.perf_counter()
                    failed = [
                        trained.failure for _, trained in trainer.run(jobs) if trained.failure
                    ]
                    assert not failed, failed
                    if turn:
                        took = time.perf_counter() - start
                        seconds.setdefault((busy, number), []).append(took)
                        print(f"{busy} busy, {number} workers: {took:.1f} s", flush=True)
    for trainer in trainers.values():
        trainer.close()
    return seconds


def to_markdown(options: Options, seconds: dict[tuple[int, int], list[float]]) -> str:
    """Return the table: candidates a minute, the median and the range of turns."""
    lines = [
        "# Candidates a minute by the number of workers",
        "",
        f"hardware {hardware(CPU)}, cores {os.cpu_count()}, commit {commit()}. "
        f"{options.num_candidates} ConvNets under {options.max_macs:,} MACs on {options.dataset}, "
        f"{options.steps} steps; median of {options.rounds} alternating turns [least, greatest].",
        "",
        "| busy processes beside | " + " | ".join(f"{n} workers" for n in options.workers) + " |",
        "|---|" + "---|" * len(options.workers),
    ]
    for busy in options.busy:
        cells = []
        for number in options.workers:
            rates = sorted(60 * options.num_candidates / took for took in seconds[busy, number])
            median = statistics.median(rates)
            cells.append(f"{median:.1f} [{rates[0]:.1f}, {rates[-1]:.1f}]")
        lines.append(f"| {busy} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(options: Options) -> None:
    torch.set_num_threads(1)
    keep_freed_memory(CPU)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = to_markdown(options, measure(options))
    write_atomically(options.out, table)
    print(table)


if __name__ == "__main__":
    command.run(main, Options, __file__, __doc__)
