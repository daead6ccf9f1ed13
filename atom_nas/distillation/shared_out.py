"""A distillation by several processes: each moves the images of its own classes.

The loss is a sum over classes, and the term of a class depends on the images of that class and on
what the seed draws for the step (the net, the real batch, the augmentation). So each process draws
for all classes and computes its own terms: an update needs nothing of the others. What they have is
put together about once a second, for the loss that is shown and the checkpoint, and at the end.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import torch
import torch.distributed as group
from torch import Tensor

from atom_nas.distillation import launch
from atom_nas.errors import UserError
from atom_nas.training.devices import resolve_device

MEETING_SECONDS = 1.0
"""Between two times at which the processes put together what they have, roughly."""


class Share:
    """What one process has to do of a distillation: without `count`, all of it."""

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        """Take part as number `rank` of `count`, with tensors on `device`."""
        self.rank, self.count, self._device = rank, count, device
        self._last, self._next, self._met = 0, 0, 0.0

    @property
    def is_first(self) -> bool:
        """Whether this process alone reads and writes files and tells of progress."""
        return self.rank == 0

    def classes(self, num_classes: int) -> slice:
        """Return the classes of this process, which lie one after the other."""
        return slice(*(rank * num_classes // self.count for rank in (self.rank, self.rank + 1)))

    def require_fit(self, num_classes: int, norm: str) -> None:
        """Raise UserError where classes cannot be shared out, or shared out give other images."""
        problem = ""
        if self.count > num_classes:
            problem = f"there are {num_classes} classes, so start at most as many"
        elif self.count > 1 and norm == "batch":
            problem = (
                "batch normalisation mixes classes; take one process, or --adjust norm=instance"
            )
        if problem:
            raise UserError(f"{self.count} processes cannot share this distillation: {problem}.")

    def own(self, images: Tensor, num_classes: int) -> Tensor:
        """Return those of `images` (K * M, ...), sorted by class, that are of own classes."""
        by_class: Tensor = images.unflatten(0, (num_classes, -1))
        return by_class[self.classes(num_classes)].flatten(0, 1)

    def together(self, images: Tensor, num_classes: int) -> Tensor:
        """Return the images of all classes, (K * M, ...), from the own ones of each process."""
        if self.count == 1:
            return images
        mine = self.classes(num_classes)
        by_class = images.unflatten(0, (mine.stop - mine.start, -1))
        every = by_class.new_zeros((num_classes, *by_class.shape[1:]))
        every[mine] = by_class
        return self.total(every).flatten(0, 1)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over the processes."""
        if self.count > 1:
            with self._others():
                group.all_reduce(values)
        return values

    def from_first(self, values: Tensor) -> Tensor:
        """Return the `values` of the first process."""
        if self.count > 1:
            with self._others():
                group.broadcast(values, 0)
        return values

    def agrees(self, is_so: bool) -> bool:
        """Return what the first process says, whatever the others do; they wait for it."""
        return bool(self.from_first(torch.tensor(float(is_so), device=self._device)))

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Let the first process do this before the others begin with it."""
        if not self.is_first:
            self.agrees(True)
        yield
        if self.is_first:
            self.agrees(True)

    def clock(self) -> float:
        """Return the latest time of all processes, in seconds, so that all decide alike."""
        now = time.perf_counter()
        if self.count == 1:
            return now
        latest = torch.tensor(now, dtype=torch.float64, device=self._device)
        with self._others():
            group.all_reduce(latest, group.ReduceOp.MAX)
        return latest.item()

    def meets_after(self, step: int) -> bool:
        """Say whether the processes put together what they have after `step`; alone, always."""
        return self.count == 1 or step >= self._next

    def plan_next(self, step: int, now: float) -> None:
        """Agree at a meeting after `step` on the next, by the pace since the last."""
        pace = (now - self._met) / max(1, step - self._last)
        self._next = step + max(1, int(MEETING_SECONDS / max(pace, 1e-6)))
        self._last, self._met = step, now

    @contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise UserError(_ended(self.count)) from error


def own_device(name: str) -> torch.device:
    """Return the device called `name`; of several processes each takes the GPU of its number."""
    device = resolve_device(name)
    if launch.num_processes() == 1:
        return device
    if device.type == "mps" or device.index is not None:
        raise UserError(
            f"{launch.num_processes()} processes cannot share {device}; give --device cpu, or "
            "--device cuda, where each takes a GPU of its own."
        )
    return resolve_device(f"cuda:{launch.local_rank()}") if device.type == "cuda" else device


@contextmanager
def joined(device: torch.device) -> Iterator[Share]:
    """Meet the processes that torchrun started with this one, each with its own `device`.

    They part at the end. Where one ends before, the others raise UserError when they next meet.
    """
    count = launch.num_processes()
    if count == 1:
        yield Share()
        return
    signal.signal(signal.SIGTERM, _end)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    share = Share(launch.rank(), count, device)
    with share._others():
        group.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=launch.meeting_place(),
            rank=share.rank,
            world_size=count,
            timeout=timedelta(days=1),  # one may be downloading; what has ended is noticed at once
        )
    yield share
    group.destroy_process_group()


def _end(number: int, frame: FrameType | None) -> None:
    """Take the signal by which torchrun ends the other processes where one has ended.

    Where an error is being handled already, it is what ends this process, or the next meeting does.
    """
    if sys.exc_info()[1] is None:
        raise UserError(_ended(launch.num_processes()))


def _ended(count: int) -> str:
    return (
        f"one of the {count} processes was ended, so all end; the same command goes on from the "
        "last checkpoint"
    )
