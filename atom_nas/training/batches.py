"""Examples on a device, shown batch by batch, shifted and mirrored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from atom_nas.data.images import ImageSet, Normalization
from atom_nas.training.schedule import Training

MOVED_AT_ONCE = 1024
"""Images that are shifted and mirrored in one go, the whole batches that fit into it."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Normalised images (N, C, H, W) float32 with labels (N,) int64, on one device."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(
        cls,
        images: ImageSet,
        normalization: Normalization,
        device: torch.device,
        size: tuple[int, int] | None = None,
    ) -> Self:
        """Return `images`, moved to `device` as they are and normalised there.

        Where another `size` (H, W) is given, a pixel is the mean of those that it covers.
        """
        pixels = normalization(images.pixels.to(device))
        if size and size != pixels.shape[2:]:
            pixels = F.adaptive_avg_pool2d(pixels, size)
        return cls(images=pixels, labels=images.labels.to(device))


def batches(
    examples: Examples, training: Training, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images (B, C, H, W) and labels (B,), moved and reshuffled every epoch, without an end.

    Many batches are moved at once: on a GPU their kernels would cost as much time as the step's.
    """
    num_images, size = len(examples.labels), training.batch_size
    at_once = size * max(1, MOVED_AT_ONCE // size)
    while True:
        order = torch.randperm(num_images, generator=generator, device=examples.labels.device)
        for chosen in order[: training.images_of_epoch(num_images)].split(at_once):
            images = shift_and_flip(examples.images[chosen], training, generator)
            images = images.contiguous(memory_format=torch.channels_last)
            labels = examples.labels[chosen]
            yield from zip(images.split(size), labels.split(size), strict=True)


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
