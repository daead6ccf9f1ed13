"""Candidates trained and measured, here or in worker processes: the one way for all who ask."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from atom_nas import plugins
from atom_nas.data.images import ImageSet, Normalization
from atom_nas.errors import UserError, explain
from atom_nas.scoring.space import Space, architecture_json, no_exit
from atom_nas.storage.progress import tell
from atom_nas.storage.tensors import pack_tensors
from atom_nas.training.batches import Examples
from atom_nas.training.devices import is_device_failure
from atom_nas.training.fit import (
    FORWARD_BACKWARD,
    UNKNOWN,
    DivergenceError,
    Outcome,
    evaluate,
    fit_in_parts,
)
from atom_nas.training.pool import CAN_START, Lost, Pool, num_cores
from atom_nas.training.schedule import Training
from atom_nas.training.shared import Shared, Store
from atom_nas.training.turns import finish, in_turn

WORTH = 20.0
"""Seconds of work left for which `auto` starts workers: each takes 4 s of a core to start."""

PACE = 1e10
"""Multiply-adds a second of a core, until a training was timed (small nets, AVX-512 at 2.5 GHz)."""

STREAMS = 4
"""Trainings under way on a GPU where it is left open (not measured yet)."""

Kind = TypeVar("Kind", Examples, Shared)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training that is wanted."""

    space: Space
    architecture: Any
    seed: int
    training: Training
    train: ImageSet
    held_out: tuple[ImageSet, ...]
    """What the trained net is measured on. The first decides; where the loss on another is not
    finite, the figures of that one are NaN, and the candidate has not failed."""
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
    code: bytes
    """Of the space, which its file may no longer hold."""
    image_shape: tuple[int, int, int]
    num_classes: int
    settings: dict[str, int]
    architecture: str
    """As JSON."""
    seed: int
    training: Training
    keeps_weights: bool


class Trainer:
    """Does the trainings that are wanted, one by one or several at once, all to the same end.

    On a CPU several are done in processes of one thread each (and so is one in this process, where
    there may be several), on a GPU in turn. What comes out depends neither on their number nor on
    who does it. A candidate fails for itself alone.
    """

    def __init__(
        self, normalization: Normalization, device: torch.device, *, workers: str = "1"
    ) -> None:
        """Train so many at once on `device`: a number, or auto.

        Auto is as many as have a core on a CPU, and `STREAMS` on a GPU. On Windows a CPU has one,
        and a line says so. Raises UserError for more than one on any other device.
        """
        most = {"cpu": num_cores(), "cuda": STREAMS}.get(device.type, 1)
        self._is_auto = workers == "auto"
        self.num_workers = most if self._is_auto else int(workers)
        if self.num_workers > 1 and device.type not in ("cpu", "cuda"):
            raise UserError(
                f"--workers is {workers}, and candidates are trained on {device}, one after the "
                "other; give auto or 1."
            )
        if self.num_workers > 1 and device.type == "cpu" and not CAN_START:
            tell("candidates are trained in one process: workers need Linux or macOS.")
            self.num_workers = 1
        self._device, self._store = device, Store(normalization, device)
        self._pool = Pool(_carry_out, self.num_workers)

    def run(
        self, jobs: Sequence[Job], may_begin: Callable[[int], bool] = lambda position: True
    ) -> Iterator[tuple[int, Trained]]:
        """Yield (position, what it came to) for each of `jobs`, as they end.

        Those of whose position `may_begin` says no are left; it is asked when one would begin.
        """
        if self._device.type != "cpu":
            trainings = [self._training(job) for job in jobs]
            yield from in_turn(trainings, self.num_workers, self._device, may_begin)
            return
        done, seconds = 0, sum(map(_macs, jobs)) / PACE / max(1, len(jobs))
        while done < len(jobs) and not self._is_worth(len(jobs) - done, seconds):
            position, done = done, done + 1
            if may_begin(position):
                start = time.perf_counter()
                yield position, self._train_here(jobs[position])
                seconds = time.perf_counter() - start
        # the longest first, so that the workers end together
        left = sorted(range(done, len(jobs)), key=lambda number: -_macs(jobs[number]))
        orders = [
            (_order(jobs[number]), self._sets(jobs[number], self._store.shared)) for number in left
        ]
        for position, found in self._pool.run(orders, lambda each: may_begin(left[each])):
            is_lost = isinstance(found, Lost)
            yield left[position], Trained(failure=found.reason) if is_lost else found

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()

    def _is_worth(self, num_jobs: int, seconds: float) -> bool:
        """Say whether workers are to do so many jobs, of which one takes about so many seconds."""
        if self.num_workers == 1:
            return False
        return not self._is_auto or self._pool.is_running or num_jobs * seconds > WORTH

    def _train_here(self, job: Job) -> Trained:
        num_threads = torch.get_num_threads()
        try:
            if self.num_workers > 1:
                torch.set_num_threads(1)
            return finish(self._training(job))
        finally:
            torch.set_num_threads(num_threads)

    def _training(self, job: Job) -> Generator[None, None, Trained]:
        return _train(
            job.space,
            job.architecture,
            *self._sets(job, self._store.examples),
            seed=job.seed,
            training=job.training,
            keeps_weights=job.keeps_weights,
        )

    def _sets(self, job: Job, take: Callable[[ImageSet, tuple[int, int]], Kind]) -> list[Kind]:
        """Return what the job trains on and is measured on, in the size that its nets take."""
        height, width = job.space.image_shape[1:]
        return [take(images, (height, width)) for images in (job.train, *job.held_out)]


def _train(
    space: Space,
    architecture: Any,
    train: Examples,
    *held_out: Examples,
    seed: int,
    training: Training,
    keeps_weights: bool,
) -> Generator[None, None, Trained]:
    """Build, train and measure one candidate; whatever its own code leads to is its failure.

    What the device fails at is not: it is raised.
    """
    start = time.perf_counter()
    try:
        net = space.build(architecture, seed=seed)
        with no_exit():
            curve = yield from fit_in_parts(net, train, training, seed=seed)
            seconds = time.perf_counter() - start
            measured = [evaluate(net, examples) for examples in held_out[:1]]
            measured += [_evaluate_aside(net, examples) for examples in held_out[1:]]
        weights = pack_tensors(net.state_dict()) if keeps_weights else b""
    except Exception as error:
        if is_device_failure(error):
            raise
        return Trained(seconds=time.perf_counter() - start, failure=explain(error))
    outcomes = tuple(replace(each, seconds=seconds, curve=curve) for each in measured)
    return Trained(outcomes=outcomes, seconds=seconds, weights=weights)


def _evaluate_aside(net: nn.Module, examples: Examples) -> Outcome:
    """Score `net` on what decides nothing, so that a loss that is not finite fails nothing."""
    try:
        return evaluate(net, examples)
    except DivergenceError:
        return UNKNOWN


def _carry_out(order: _Order, *sets: Examples) -> Trained:
    """Do in a worker what `order` says."""
    space = Space(
        name="",
        module=_load_file(Path(order.source), kind="search space", code=order.code),
        image_shape=order.image_shape,
        num_classes=order.num_classes,
        settings=order.settings,
    )
    return finish(
        _train(
            space,
            space.restore(order.architecture),
            *sets,
            seed=order.seed,
            training=order.training,
            keeps_weights=order.keeps_weights,
        )
    )


_load_file = cache(plugins.load_file)


def _macs(job: Job) -> int:
    """Return the multiply-adds of a training, 0 where nobody has counted those of the net yet."""
    cost = job.space.known_cost(job.architecture)
    shown = FORWARD_BACKWARD * job.training.images_shown(len(job.train))
    return cost.macs * shown if cost else 0


def _order(job: Job) -> _Order:
    space = job.space
    return _Order(
        source=str(space.source.resolve()),
        code=space.code,
        image_shape=space.image_shape,
        num_classes=space.num_classes,
        settings=space.settings,
        architecture=architecture_json(job.architecture),
        seed=job.seed,
        training=job.training,
        keeps_weights=job.keeps_weights,
    )
