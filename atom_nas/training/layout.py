"""Layers between channels_last convolutions, at the speed of these."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


@contextmanager
def in_channels_last(net: nn.Module) -> Iterator[None]:
    """Have `net`, which is channels_last, compute in that layout while this lasts.

    Convolutions and pooling are faster there, on a CPU up to ten times, but torch's own layer and
    instance norm are slow or return the other layout, and so does the gradient of flattened maps.
    What the layers compute, their parameters and their hooks stay as they are.
    """
    plain = [(module, type(module)) for module in net.modules() if type(module) in _FASTER]
    for module, kind in plain:
        module.__class__ = _FASTER[kind]
    try:
        yield
    finally:
        for module, kind in plain:
            module.__class__ = kind


class InstanceNorm(torch.autograd.Function):
    """weight (x - mean) / sqrt(variance + eps) + bias, statistics per image and channel.

    Like GroupNorm with as many groups as channels, then ReLU where it is to `cut`; half precision
    is normalised in float32. Where torch's group_norm is slow, channels_last, its work is done
    here: below 32 x 32 pixels (32 against 1380 us for an image at 128 x 16 x 16) and in the
    gradient (6.1 ms at 128 x 32 x 32, for which two sums over the pixels suffice).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, cut: bool) -> Tensor:
        """Normalise `x` (B, C, H, W), and set what is below zero to zero where it is to be cut."""
        num_images, channels, height, width = x.shape
        if x.device.type == "cpu" and height * width >= 1024:
            y, mean, rstd = torch.native_group_norm(
                x, weight, bias, num_images, channels, height * width, channels, eps
            )
            mean, rstd = mean[..., None, None], rstd[..., None, None]
        else:
            wide = x.to(weight.dtype)
            mean = wide.mean((2, 3), keepdim=True)
            wide = wide - mean
            rstd = wide.square().mean((2, 3), keepdim=True).add_(eps).rsqrt_()
            rstd.masked_fill_(rstd == 0, torch.nan)  # the variance overflowed: show it
            y = wide.mul_(rstd * weight[:, None, None]).add_(bias[:, None, None]).to(x.dtype)
        ctx.save_for_backward(x, y.relu_() if cut else None, weight, mean, rstd)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Return the gradients for `x`, `weight` and `bias`."""
        x, y, weight, mean, rstd = ctx.saved_tensors
        if y is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        gradient = gradient.to(weight.dtype)
        wide = x.to(weight.dtype)
        total = gradient.sum((2, 3), keepdim=True)
        product = gradient * wide
        along = (product.sum((2, 3), keepdim=True) - mean * total) * rstd
        scale = rstd * weight[:, None, None]
        count = x.shape[2] * x.shape[3]
        slope = -scale * along * rstd / count
        offset = -scale * total / count - slope * mean
        to_x = torch.addcmul(offset, wide, slope, out=product).addcmul_(gradient, scale)
        return to_x.to(x.dtype), along.sum((0, 2, 3)), total.sum((0, 2, 3)), None, None


class _LayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        """Normalise over (C, H, W) as over (H, W, C), which is how `x` lies in memory."""
        if x.ndim != 4 or len(self.normalized_shape) != 3:
            return super().forward(x)
        channels, height, width = self.normalized_shape
        weight, bias = (
            None if each is None else each.permute(1, 2, 0) for each in (self.weight, self.bias)
        )
        shape = [height, width, channels]
        y = F.layer_norm(x.permute(0, 2, 3, 1), shape, weight, bias, self.eps)
        return y.permute(0, 3, 1, 2)


class _GroupNorm(nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel by itself, where that is what the groups are."""
        if x.ndim != 4 or self.num_groups != self.num_channels or self.bias is None:
            return super().forward(x)
        y: Tensor = InstanceNorm.apply(x, self.weight, self.bias, self.eps, False)
        return y


class _Flatten(nn.Flatten):
    def forward(self, x: Tensor) -> Tensor:
        """Flatten as ever, with a gradient in the layout of `x`."""
        if x.ndim != 4 or (self.start_dim, self.end_dim) != (1, -1):
            return super().forward(x)
        y: Tensor = _FlattenMaps.apply(x)
        return y


class _FlattenMaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.reshape(len(x), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Mixed with maps of the other layout, it would slow the next layer down six times.
        return gradient.view(ctx.shape).contiguous(memory_format=torch.channels_last)


_FASTER: dict[type[nn.Module], type[nn.Module]] = {
    nn.LayerNorm: _LayerNorm,
    nn.GroupNorm: _GroupNorm,
    nn.Flatten: _Flatten,
}
