"""Attention of feature maps: the descriptors that distillation matches.

A matching method is a function phi from the features of one image to a vector; its loss is the
squared distance of the class means of phi, real and synthetic, summed over the classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def spatial_attention(maps: Tensor, power: float) -> Tensor:
    """Return the normalised spatial attention of `maps`.

    A_s(f)[b, h, w] = sum_c |f[b, c, h, w]|^p, flattened and divided by its L2 norm (Khaki et al.,
    arXiv 2405.01373; Sajedi et al., DataDAM, ICCV 2023).

    `maps` has shape (B, C, H, W), the result (B, H * W), float32.
    """
    return F.normalize(_raise(maps, power).sum(1).flatten(1), dim=1)


def channel_attention(maps: Tensor, power: float) -> Tensor:
    """Return the normalised channel attention of `maps`.

    A_c(f)[b, c] = sum_{h, w} |f[b, c, h, w]|^p, divided by its L2 norm (Khaki et al.,
    arXiv 2405.01373).

    `maps` has shape (B, C, H, W), the result (B, C), float32.
    """
    return F.normalize(_raise(maps, power).sum((2, 3)), dim=1)


def _raise(maps: Tensor, power: float) -> Tensor:
    """Return |maps|^power in float32: the 4th power of a half-precision number overflows."""
    maps = maps.float()
    if power == 4:
        return maps.square().square()
    return maps.abs() if power == 1 else maps.abs().pow(power)


def class_means(descriptors: Tensor, num_classes: int) -> Tensor:
    """Average `descriptors` (num_classes * B, D), sorted by class, to (num_classes, D)."""
    return descriptors.unflatten(0, (num_classes, -1)).mean(1)


def matching_loss(real_means: Sequence[Tensor], synthetic_means: Sequence[Tensor]) -> Tensor:
    """Return sum_j sum_k ||real_j[k] - synthetic_j[k]||^2 over descriptors j and classes k.

    Each sequence holds one tensor (K, D_j) a descriptor, already scaled by the square root of its
    weight in the loss.
    """
    terms = [
        (real - synthetic).square().sum()
        for real, synthetic in zip(real_means, synthetic_means, strict=True)
    ]
    return torch.stack(terms).sum()
