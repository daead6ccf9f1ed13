"""Herding: real images whose running mean embedding follows the class mean (Welling, 2009)."""

import torch
from torch import Tensor

from atom_nas.data.images import ImageSet
from atom_nas.distillation.embedding import embed
from atom_nas.distillation.macs import count_embedding as count_macs

__all__ = ["count_macs", "select"]


def select(train: ImageSet, images_per_class: int, *, seed: int, device: torch.device) -> Tensor:
    """Return positions chosen greedily: each brings the chosen mean nearest to the class mean."""
    embeddings = embed(train, seed=seed, device=device)
    return torch.cat(
        [indices[_herd(embeddings[indices], images_per_class)] for indices in train.class_indices()]
    )


def _herd(points: Tensor, count: int) -> Tensor:
    """Return `count` row numbers of `points` (N, D) in the order of herding."""
    mean, total = points.mean(0), torch.zeros_like(points[0])
    free = torch.ones(len(points), dtype=torch.bool)
    chosen = []
    for k in range(1, count + 1):
        distance = (mean - (total + points) / k).square().sum(1)
        best = int(distance.masked_fill(~free, torch.inf).argmin())
        free[best] = False
        total = total + points[best]
        chosen.append(best)
    return torch.tensor(chosen)
