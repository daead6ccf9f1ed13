"""Random real images, the same number of each class."""

import torch
from torch import Tensor

from atom_nas.data.images import ImageSet

KIND = "random"


def select(train: ImageSet, images_per_class: int, *, seed: int, device: torch.device) -> Tensor:
    """Return the positions of `images_per_class` distinct images of each class."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat(
        [
            indices[torch.randperm(len(indices), generator=generator)[:images_per_class]]
            for indices in train.class_indices()
        ]
    )
