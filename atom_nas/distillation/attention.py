"""Attention of feature maps: the descriptors that distillation matches.

A matching method is a function phi from the features of one image to a vector; its loss is the
squared distance of the class means of phi, real and synthetic, summed over the classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def spatial_attention(maps: Tensor, power: float) -> Tensor:
    """Return the normalised spatial attention of `maps`.

    A_s(f)[b, h, w] = sum_c |f[b, c, h, w]|^p, flattened and divided by its L2 norm (Khaki et al.,
    arXiv 2405.01373; Sajedi et al., DataDAM, ICCV 2023).

    `maps` has shape (B, C, H, W), the result (B, H * W), float32 at least.
    """
    return F.normalize(_PowerSums.apply(maps, power, ((1,),))[0].flatten(1), dim=1)


def channel_attention(maps: Tensor, power: float) -> Tensor:
    """Return the normalised channel attention of `maps`.

    A_c(f)[b, c] = sum_{h, w} |f[b, c, h, w]|^p, divided by its L2 norm (Khaki et al.,
    arXiv 2405.01373).

    `maps` has shape (B, C, H, W), the result (B, C), float32 at least.
    """
    return F.normalize(_PowerSums.apply(maps, power, ((2, 3),))[0].flatten(1), dim=1)


def both_attentions(
    maps: Tensor, spatial_power: float, channel_power: float
) -> tuple[Tensor, Tensor]:
    """Return (spatial, channel) attention of `maps`; equal powers are raised to once."""
    if spatial_power != channel_power:
        return spatial_attention(maps, spatial_power), channel_attention(maps, channel_power)
    spatial, channel = _PowerSums.apply(maps, spatial_power, ((1,), (2, 3)))
    return F.normalize(spatial.flatten(1), dim=1), F.normalize(channel.flatten(1), dim=1)


def widen(tensor: Tensor) -> Tensor:
    """Return half precision as float32, and anything wider as it is."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class _PowerSums(torch.autograd.Function):
    """Sums of |maps|^p over several choices of dimensions, which are kept with size 1.

    Half precision is raised and summed in float32: the 4th power overflows float16. Only `maps`
    are kept for the gradient, p |f|^(p-1) sign(f) times the sum of the incoming gradients, where
    autograd would keep every power in float32.
    """

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, power: float, sums: tuple[tuple[int, ...], ...]
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(maps)
        ctx.power = power
        raised = maps.to(torch.promote_types(maps.dtype, torch.float32), copy=True)
        if power == 4:
            raised.square_().square_()
        elif power == 1:
            raised.abs_()
        else:
            raised.abs_().pow_(power)
        return tuple(raised.sum(dims, keepdim=True) for dims in sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (maps,) = ctx.saved_tensors
        wide = maps.to(gradients[0].dtype)
        if ctx.power == 4:
            slope = wide.square().mul_(wide)
        elif ctx.power == 1:
            slope = wide.sign()
        else:
            slope = wide.abs().pow_(ctx.power - 1).copysign_(wide)
        # Their sum would lie in another memory layout, in which products take 3 times as long.
        first, *others = (ctx.power * gradient for gradient in gradients)
        to_maps = slope * first
        for gradient in others:
            to_maps.addcmul_(slope, gradient)
        return to_maps.to(maps.dtype), None, None


def class_means(descriptors: Tensor, num_classes: int) -> Tensor:
    """Average `descriptors` (num_classes * B, D), sorted by class, to (num_classes, D)."""
    means: Tensor = descriptors.unflatten(0, (num_classes, -1)).mean(1)
    return means


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
