"""Images as tensors: pixels, labels, normalisation."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from atom_nas.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Labelled images in memory.

    `pixels` has shape (N, C, H, W): uint8 in 0..255, or floating point in the same picture at
    0..1 (a distilled image may leave that range). `labels` has shape (N,), int64, the index into
    `class_names`.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.pixels.ndim == 4 and len(self.pixels) == len(self.labels), self.pixels.shape
        assert self.labels.dtype == torch.int64, self.labels.dtype
        if len(self.class_names) < 2:
            raise UserError(
                f"the data set has {len(self.class_names)} class; at least 2 are needed."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """The number of class names."""
        return len(self.class_names)

    def select(self, indices: Tensor) -> Self:
        """Return the images at `indices`, shape (M,), in that order."""
        return replace(self, pixels=self.pixels[indices], labels=self.labels[indices])

    def class_indices(self) -> list[Tensor]:
        """Return for each class the positions of its images."""
        return [torch.nonzero(self.labels == k).flatten() for k in range(self.num_classes)]

    @property
    def absent_classes(self) -> list[str]:
        """The names of the classes that have no image here."""
        counts = self.labels.bincount(minlength=self.num_classes)
        return [name for name, count in zip(self.class_names, counts, strict=True) if not count]

    @property
    def smallest_class(self) -> int:
        """The number of images of the class that has the fewest."""
        return min(map(len, self.class_indices()))

    def join(self, other: "ImageSet") -> Self:
        """Return the images of both, these first; as floats where one of them has these."""
        pixels = [self.pixels, other.pixels]
        if pixels[0].dtype != pixels[1].dtype:
            pixels = [unit_range(each) for each in pixels]
        return replace(
            self,
            pixels=torch.cat(pixels),
            labels=torch.cat([self.labels, other.labels]),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels, labels and class names."""
        sha = hashlib.sha256("\0".join(self.class_names).encode())
        for tensor in (self.pixels, self.labels):
            sha.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            sha.update(tensor.cpu().contiguous().numpy().data)
        return sha.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """Per-channel standardisation of pictures at 0..1: (x - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, images: ImageSet) -> Self:
        """Measure mean and standard deviation of each channel of `images`."""
        channels = (unit_range(channel) for channel in images.pixels.unbind(1))
        std, mean = torch.tensor([torch.std_mean(channel) for channel in channels]).unbind(1)
        return cls(mean=tuple(mean.tolist()), std=tuple(std.clamp_min(1e-3).tolist()))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Standardise `pixels` (N, C, H, W), uint8 or floating point, to float32."""
        mean, std = self._columns(pixels.device)
        return (unit_range(pixels) - mean) / std

    def invert(self, images: Tensor) -> Tensor:
        """Return standardised `images` to pictures at 0..1."""
        mean, std = self._columns(images.device)
        return images * std + mean

    def _columns(self, device: torch.device) -> tuple[Tensor, Tensor]:
        column = torch.tensor([self.mean, self.std], device=device)[:, None, :, None, None]
        return column[0], column[1]


def unit_range(pixels: Tensor) -> Tensor:
    """Return `pixels` as float32 at 0..1."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
