"""Train one net on images in memory, and score it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atom_nas.data.images import ImageSet, Normalization
from atom_nas.storage.files import derive_seed
from atom_nas.training.devices import autocast, memory_format

EVALUATION_BATCH = 500

NUM_PARTS = 30
"""The training loss is averaged over each of so many equal parts of the steps."""

FORWARD, FORWARD_BACKWARD = 1, 3
"""Multiply-adds of an image in units of a forward pass: a backward pass takes two."""


class DivergenceError(RuntimeError):
    """The training loss is not finite."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """SGD with Nesterov momentum on a one-cycle learning rate, images shifted and mirrored."""

    steps: int
    """Updates of the whole schedule, each on one batch."""
    flip: bool
    """Mirror half of the images."""
    stop: float = 1.0
    """End after this share of the schedule, the learning rate as it is then."""
    batch_size: int = 64
    learning_rate: float = 0.1
    """The peak of the one-cycle schedule."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    max_grad_norm: float = 1.0
    """Gradients are clipped to this L2 norm."""
    shift: float = 0.125
    """Images move by up to this share of their side, zero-padded."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError(f"steps, batch_size and learning_rate must be positive: {self}")
        if not 0 < self.stop <= 1:
            raise ValueError(f"stop is {self.stop}; it must be above 0 and at most 1")

    def steps_in(self, epochs: float, num_images: int) -> int:
        """Return how many steps so many passes over `num_images` images are, at least one."""
        return max(1, round(epochs * -(-num_images // self.batch_size)))

    @property
    def steps_taken(self) -> int:
        """The steps up to `stop`."""
        return max(1, round(self.steps * self.stop))

    def images_shown(self, num_images: int) -> int:
        """Return how many images the steps show, repeats counted, of a set of `num_images`."""
        epochs, rest = divmod(self.steps_taken, -(-num_images // self.batch_size))
        return epochs * num_images + rest * min(self.batch_size, num_images)


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


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Normalised images (N, C, H, W) float32 with labels (N,) int64, on one device."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, images: ImageSet, normalization: Normalization, device: torch.device) -> Self:
        """Return `images`, moved to `device` as they are and normalised there."""
        pixels = normalization(images.pixels.to(device))
        return cls(images=pixels, labels=images.labels.to(device))


def fit(net: nn.Module, examples: Examples, training: Training, *, seed: int) -> tuple[float, ...]:
    """Train `net` in place on `examples`, shuffled every epoch; return its loss part by part.

    The order, the augmentation and what the net itself draws (dropout) depend on `seed` alone; the
    global generators are left as they were. Raises DivergenceError when a loss is not finite.
    """
    device = examples.images.device
    layout = memory_format(net, device)
    net = net.to(device, memory_format=layout).train()  # type: ignore[call-overload]
    generator = torch.Generator(device).manual_seed(seed)
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=training.learning_rate,
        total_steps=max(2, training.steps),
        cycle_momentum=False,
    )
    batches = _batches(examples, training, generator)
    curve = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "net"))
        for length in _parts(training.steps_taken):
            total = torch.zeros((), device=device)
            for _ in range(length):
                batch = next(batches)
                images = shift_and_flip(examples.images[batch], training, generator)
                with autocast(device):
                    logits = net(images.contiguous(memory_format=layout))
                loss = F.cross_entropy(logits.float(), examples.labels[batch])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), training.max_grad_norm)
                optimizer.step()
                schedule.step()
                total += loss.detach()
            curve.append(total.item() / length)
            if not math.isfinite(curve[-1]):
                raise DivergenceError("the training loss is not finite")
    return tuple(curve)


def _batches(
    examples: Examples, training: Training, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield the positions (B,) of batch after batch, reshuffled every epoch, without an end."""
    num_images, device = len(examples.labels), examples.images.device
    while True:
        order = torch.randperm(num_images, generator=generator, device=device)
        yield from order.split(training.batch_size)


def _parts(steps: int) -> list[int]:
    """Return the lengths of at most 30 parts of `steps` that differ by one at most."""
    count = min(NUM_PARTS, steps)
    return [steps * (i + 1) // count - steps * i // count for i in range(count)]


def shift_and_flip(images: Tensor, training: Training, generator: torch.Generator) -> Tensor:
    """Move each of `images` (B, C, H, W) by its own whole-pixel shift and mirror half of them."""
    batch, _, height, width = images.shape
    device = images.device

    def positions(side: int, mirror: bool) -> Tensor:
        reach = round(training.shift * side)
        offset = torch.randint(0, 2 * reach + 1, (batch, 1), generator=generator, device=device)
        index = offset + torch.arange(side, device=device)
        if mirror:
            flipped = torch.rand((batch, 1), generator=generator, device=device) < 0.5
            index = torch.where(flipped, index.flip(1), index)
        return index

    pad_y, pad_x = round(training.shift * height), round(training.shift * width)
    padded = F.pad(images, (pad_x, pad_x, pad_y, pad_y))
    rows, columns = positions(height, False), positions(width, training.flip)
    image = torch.arange(batch, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


@torch.inference_mode()
def evaluate(net: nn.Module, examples: Examples) -> Outcome:
    """Score `net` on `examples`."""
    device = examples.images.device
    layout = memory_format(net, device)
    net.eval()
    hits, loss = torch.zeros((), device=device), torch.zeros((), device=device)
    for images, labels in zip(
        examples.images.split(EVALUATION_BATCH),
        examples.labels.split(EVALUATION_BATCH),
        strict=True,
    ):
        with autocast(device):
            logits = net(images.contiguous(memory_format=layout)).float()
        hits += (logits.argmax(1) == labels).sum()
        loss += F.cross_entropy(logits, labels, reduction="sum")
    if not torch.isfinite(loss):
        raise DivergenceError("the loss on held-out images is not finite")
    count = len(examples.labels)
    return Outcome(accuracy=hits.item() / count, loss=loss.item() / count)
