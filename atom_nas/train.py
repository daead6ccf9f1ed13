"""Train one net on images in memory, and score it."""

import time
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atom_nas.devices import autocast, memory_format

EVALUATION_BATCH = 500


class DivergenceError(RuntimeError):
    """The training loss is not finite."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """SGD with Nesterov momentum on a one-cycle learning rate, images shifted and mirrored."""

    epochs: int
    """Passes over the training images."""
    flip: bool
    """Mirror half of the images."""
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
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError(f"epochs, batch_size and learning_rate must be positive: {self}")


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a net classifies: accuracy (fraction), cross-entropy in nats, training seconds."""

    accuracy: float
    loss: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Normalised images (N, C, H, W) float32 with labels (N,) int64, on one device."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the same examples on `device`."""
        return type(self)(images=self.images.to(device), labels=self.labels.to(device))


def fit(net: nn.Module, examples: Examples, training: Training, *, seed: int) -> nn.Module:
    """Train `net` in place on `examples`, shuffled every epoch, and return it.

    The order and the augmentation depend on `seed` alone. Raises DivergenceError when a loss is not
    finite.
    """
    device = examples.images.device
    layout = memory_format(net, device)
    net = net.to(device, memory_format=layout).train()  # type: ignore[call-overload]
    generator = torch.Generator(device).manual_seed(seed)
    num_images = len(examples.labels)
    steps_per_epoch = -(-num_images // training.batch_size)
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
        total_steps=max(2, training.epochs * steps_per_epoch),
        cycle_momentum=False,
    )
    for _ in range(training.epochs):
        order = torch.randperm(num_images, generator=generator, device=device)
        total = torch.zeros((), device=device)
        for batch in order.split(training.batch_size):
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
        if not torch.isfinite(total):
            raise DivergenceError("the training loss is not finite")
    return net


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
def evaluate(net: nn.Module, examples: Examples, *, seconds: float = 0.0) -> Score:
    """Score `net` on `examples`; `seconds` is passed on."""
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
        raise DivergenceError("the validation loss is not finite")
    count = len(examples.labels)
    return Score(accuracy=hits.item() / count, loss=loss.item() / count, seconds=seconds)


def fit_and_score(
    net: nn.Module, train: Examples, held_out: Examples, training: Training, *, seed: int
) -> Score:
    """Train `net` on `train` and score it on `held_out`; `seconds` is the training's."""
    start = time.perf_counter()
    fit(net, train, training, seed=seed)
    return evaluate(net, held_out, seconds=time.perf_counter() - start)
