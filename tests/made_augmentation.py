"""Augmentations of one operation, and images to try them on."""

from dataclasses import replace

import torch
from torch import Tensor

from atom_nas.data.augmentation import Augmentation, Operation, Transforms, sample_transforms

PUBLISHED = Augmentation()
NONE = Augmentation(
    brightness=0, saturation=0, contrast=0, crop=0, cutout=0, flip=0, scale=1, rotate=0
)
OPERATIONS = [operation for operation in Operation if operation is not Operation.NONE]
SIZES = [(8, 8), (12, 8), (7, 9)]


def only(operation: Operation) -> Augmentation:
    """The published strengths of one operation, the others off."""
    names = {Operation.COLOR: ("brightness", "saturation", "contrast")}
    kept = names.get(operation, (operation.name.lower(),))
    return replace(NONE, **{name: getattr(PUBLISHED, name) for name in kept})


def transforms_of(operation: Operation, num_classes: int, seed: int = 0) -> Transforms:
    return sample_transforms(only(operation), num_classes, torch.Generator().manual_seed(seed))


def random_images(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (3 * torch.randn(shape, generator=generator, dtype=torch.float64) + 1).to(dtype)
