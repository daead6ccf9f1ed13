"""Train one net on images in memory, and score it."""

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from atom_nas.training.batches import Examples
from atom_nas.training.course import Course
from atom_nas.training.devices import autocast
from atom_nas.training.layout import in_channels_last
from atom_nas.training.schedule import Training
from atom_nas.training.turns import finish

EVALUATION_BATCH = 250

NUM_PARTS = 30
"""The training loss is averaged over each of so many equal parts of the steps."""

FORWARD, FORWARD_TO_IMAGES, FORWARD_BACKWARD = 1, 2, 3
"""Multiply-adds of an image in units of a forward pass. A backward pass takes one for the gradient
of the images, which is all that a frozen net needs, and one for that of the weights."""


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


UNKNOWN = Outcome(accuracy=math.nan, loss=math.nan)
"""Of a net that could not be measured."""


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
    course = Course(net, examples, training, seed=seed)
    curve = []
    for length in _parts(training.steps_taken):
        total = course.go_on(length)
        yield
        curve.append(total.item() / length)
        if not math.isfinite(curve[-1]):
            raise DivergenceError("the training loss is not finite")
    return tuple(curve)


def _parts(steps: int) -> list[int]:
    """Return the lengths of at most 30 parts of `steps` that differ by one at most."""
    count = min(NUM_PARTS, steps)
    return [steps * (i + 1) // count - steps * i // count for i in range(count)]


@torch.inference_mode()
def evaluate(net: nn.Module, examples: Examples) -> Outcome:
    """Score `net` on `examples`; DivergenceError where its loss on them is not finite."""
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
