"""Candidates trained and measured, here or in worker processes: the one way for all who ask."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from atom_nas.data.images import ImageSet, Normalization
from atom_nas.errors import UserError, explain
from atom_nas.scoring.space import Space, architecture_json, load_space, no_exit
from atom_nas.storage.tensors import pack_tensors
from atom_nas.training.batches import Examples
from atom_nas.training.devices import is_device_failure
from atom_nas.training.fit import Outcome, evaluate, fit
from atom_nas.training.pool import Lost, Pool, num_cores
from atom_nas.training.schedule import Training
from atom_nas.training.shared import Shared

WORTH = 20.0
"""Seconds of work left for which `auto` starts workers: each takes 4 s of a core to start."""

NUM_KEPT = 8
"""Sets of images that stay normalised: the splits, and some proxies."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training that is wanted."""

    space: Space
    architecture: Any
    seed: int
    training: Training
    train: ImageSet
    held_out: tuple[ImageSet, ...]
    """What the trained net is measured on."""
    keeps_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training came to."""

    outcomes: tuple[Outcome, ...] = ()
    """On each of the sets held out, with the curve and the seconds; none where it failed."""
    seconds: float = 0.0
    """Of the training, or up to the failure."""
    weights: bytes = b""
    """As safetensors, where they were to be kept."""
    failure: str = ""
    """Why the candidate failed, or empty."""


@dataclass(frozen=True, kw_only=True)
class _Order:
    """A job but for its images, as another process can read it."""

    source: str
    image_shape: tuple[int, int, int]
    num_classes: int
    settings: dict[str, int]
    architecture: str
    """As JSON."""
    seed: int
    training: Training
    keeps_weights: bool


class Trainer:
    """Does the trainings that are wanted, in this process or in several, all to the same end.

    Where it may use several, each has one thread, and so has a training in this one: what comes out
    depends neither on their number nor on who does it. A candidate fails for itself alone.
    """

    def __init__(
        self, normalization: Normalization, device: torch.device, *, workers: str = "1"
    ) -> None:
        """Train on `device` in so many `workers`: a number, or auto for as many as have a core.

        Raises UserError for more than one where the device is no CPU.
        """
        is_cpu, self._is_auto = device.type == "cpu", workers == "auto"
        if self._is_auto:
            workers = str(num_cores() if is_cpu else 1)
        if int(workers) > 1 and not is_cpu:
            raise UserError(
                f"--workers is {workers}, and candidates are trained on {device}: several "
                "processes are for a CPU; give auto or 1."
            )
        self._normalization, self._device = normalization, device
        self.num_workers = int(workers)
        self._pool = Pool(_carry_out, self.num_workers)
        self._kept: dict[str, Examples | Shared] = {}

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Trained]]:
        """Yield (position, what it came to) for each of `jobs`, as they end."""
        done, seconds = 0, 0.0
        while done < len(jobs) and not self._is_worth(len(jobs) - done, seconds):
            start = time.perf_counter()
            yield done, self._train_here(jobs[done])
            done, seconds = done + 1, time.perf_counter() - start
        rest = jobs[done:]
        sets = {each.digest: each for job in rest for each in _sets(job)}
        shared = {digest: self._shared(each) for digest, each in sets.items()}
        orders = [(_order(job), [shared[each.digest] for each in _sets(job)]) for job in rest]
        for position, found in self._pool.run(orders):
            is_lost = isinstance(found, Lost)
            yield done + position, Trained(failure=found.reason) if is_lost else found

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()

    def _is_worth(self, num_jobs: int, seconds: float) -> bool:
        """Say whether workers are to do so many jobs, after one that took so many seconds."""
        if self.num_workers == 1:
            return False
        return not self._is_auto or self._pool.is_running or num_jobs * seconds > WORTH

    def _train_here(self, job: Job) -> Trained:
        sets = map(self._examples, _sets(job))
        num_threads = torch.get_num_threads()
        try:
            if self.num_workers > 1:
                torch.set_num_threads(1)
            return _train(
                job.space,
                job.architecture,
                *sets,
                seed=job.seed,
                training=job.training,
                keeps_weights=job.keeps_weights,
            )
        finally:
            torch.set_num_threads(num_threads)

    def _examples(self, images: ImageSet) -> Examples:
        """Return `images` as nets take them; the sets used last are kept."""
        found = self._kept.pop(images.digest, None)
        if found is None:
            found = Examples.of(images, self._normalization, self._device)
        self._keep(images, found)
        return found.examples if isinstance(found, Shared) else found

    def _shared(self, images: ImageSet) -> Shared:
        """Return the same for other processes."""
        examples = self._examples(images)
        found = self._kept[images.digest]
        if not isinstance(found, Shared):
            self._keep(images, found := Shared(examples))
        return found

    def _keep(self, images: ImageSet, found: Examples | Shared) -> None:
        self._kept[images.digest] = found
        if len(self._kept) > NUM_KEPT:
            del self._kept[next(iter(self._kept))]


def _train(
    space: Space,
    architecture: Any,
    train: Examples,
    *held_out: Examples,
    seed: int,
    training: Training,
    keeps_weights: bool,
) -> Trained:
    """Build, train and measure one candidate; whatever its own code leads to is its failure.

    What the device fails at is not: it is raised.
    """
    start = time.perf_counter()
    try:
        net = space.build(architecture, seed=seed)
        with no_exit():
            curve = fit(net, train, training, seed=seed)
            seconds = time.perf_counter() - start
            measured = [evaluate(net, examples) for examples in held_out]
        weights = pack_tensors(net.state_dict()) if keeps_weights else b""
    except Exception as error:
        if is_device_failure(error):
            raise
        return Trained(seconds=time.perf_counter() - start, failure=explain(error))
    outcomes = tuple(replace(each, seconds=seconds, curve=curve) for each in measured)
    return Trained(outcomes=outcomes, seconds=seconds, weights=weights)


def _carry_out(order: _Order, *sets: Examples) -> Trained:
    """Do in a worker what `order` says."""
    space = _load_space(order.source, order.image_shape, order.num_classes)
    space = replace(space, settings=order.settings)
    return _train(
        space,
        space.restore(order.architecture),
        *sets,
        seed=order.seed,
        training=order.training,
        keeps_weights=order.keeps_weights,
    )


_load_space = cache(load_space)


def _order(job: Job) -> _Order:
    space = job.space
    return _Order(
        source=str(space.source.resolve()),
        image_shape=space.image_shape,
        num_classes=space.num_classes,
        settings=space.settings,
        architecture=architecture_json(job.architecture),
        seed=job.seed,
        training=job.training,
        keeps_weights=job.keeps_weights,
    )


def _sets(job: Job) -> tuple[ImageSet, ...]:
    return job.train, *job.held_out
