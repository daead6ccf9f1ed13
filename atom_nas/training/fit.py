"""Train one net on images in memory, and score it."""

import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atom_nas.storage.files import derive_seed
from atom_nas.training.batches import Examples, batches
from atom_nas.training.devices import autocast
from atom_nas.training.layout import in_channels_last
from atom_nas.training.schedule import Training
from atom_nas.training.step import Step, record_graph
from atom_nas.training.turns import finish

EVALUATION_BATCH = 250

NUM_PARTS = 30
"""The training loss is averaged over each of so many equal parts of the steps."""

FORWARD, FORWARD_BACKWARD = 1, 3
"""Multiply-adds of an image in units of a forward pass: a backward pass takes two."""


class DivergenceError(RuntimeError):
    """The training loss is not finite."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How well a net classifies, and how it learnt to."""

    accuracy: float
    """A fraction."""
    loss: float
    """Cross-entropy in nats, as the next."""
    seconds: float = 0.0
    """Of the training."""
    curve: tuple[float, ...] = ()
    """The mean training loss of each of at most 30 equal parts of the steps."""


def fit(net: nn.Module, examples: Examples, training: Training, *, seed: int) -> tuple[float, ...]:
    """Train `net` in place on `examples`, shuffled every epoch; return its loss part by part.

    The order, the augmentation and what the net itself draws (dropout) depend on `seed` alone; the
    global generators are left as they were. Raises DivergenceError when a loss is not finite.
    """
    return finish(fit_in_parts(net, examples, training, seed=seed))


def fit_in_parts(
    net: nn.Module, examples: Examples, training: Training, *, seed: int
) -> Generator[None, None, tuple[float, ...]]:
    """Do what `fit` does, and pause after each part, so that other nets can be trained meanwhile.

    On a GPU the part may still be running then; its loss is read when this goes on.
    """
    device = examples.images.device
    # Once: a recorded step writes to the parameters where they lie now.
    net = net.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    generator = torch.Generator(device).manual_seed(seed)
    is_cuda = device.type == "cuda"
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=True,
        fused=True,
    )
    if is_cuda:  # a recorded step reads the rate of now from the device
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(training.learning_rate, device=device)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=training.learning_rate,
        total_steps=max(2, training.steps),
        cycle_momentum=False,
    )
    step = Step(
        net,
        optimizer,
        max_grad_norm=training.max_grad_norm,
        device=device,
        record=record_graph if is_cuda else None,
    )
    shown, draws = batches(examples, training, generator), _Draws(device, seed)
    curve = []
    for length in _parts(training.steps_taken):
        with in_channels_last(net), draws.go_on():
            for _ in range(length):
                step(*next(shown))
                schedule.step()
        total = step.total.clone()
        step.total.zero_()
        yield
        curve.append(total.item() / length)
        if not math.isfinite(curve[-1]):
            raise DivergenceError("the training loss is not finite")
    return tuple(curve)


class _Draws:
    """What the global generators draw for one net, whatever else draws from them between."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=self._devices):
            torch.manual_seed(derive_seed(seed, "net"))
            self._states = self._read()

    @contextmanager
    def go_on(self) -> Iterator[None]:
        """Draw from where it stopped; leave the global generators as they were."""
        with torch.random.fork_rng(devices=self._devices):
            torch.set_rng_state(self._states[0])
            for device, state in zip(self._devices, self._states[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            self._states = self._read()

    def _read(self) -> list[Tensor]:
        states = [torch.cuda.get_rng_state(device) for device in self._devices]
        return [torch.get_rng_state(), *states]


def _parts(steps: int) -> list[int]:
    """Return the lengths of at most 30 parts of `steps` that differ by one at most."""
    count = min(NUM_PARTS, steps)
    return [steps * (i + 1) // count - steps * i // count for i in range(count)]


@torch.inference_mode()
def evaluate(net: nn.Module, examples: Examples) -> Outcome:
    """Score `net` on `examples`."""
    device = examples.images.device
    net.to(memory_format=torch.channels_last).eval()
    hits, loss = torch.zeros((), device=device), torch.zeros((), device=device)
    with in_channels_last(net):
        for images, labels in zip(
            examples.images.split(EVALUATION_BATCH),
            examples.labels.split(EVALUATION_BATCH),
            strict=True,
        ):
            with autocast(device):
                logits = net(images.contiguous(memory_format=torch.channels_last)).float()
            hits += (logits.argmax(1) == labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum")
    if not torch.isfinite(loss):
        raise DivergenceError("the loss on held-out images is not finite")
    count = len(examples.labels)
    return Outcome(accuracy=hits.item() / count, loss=loss.item() / count)
