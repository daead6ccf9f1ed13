"""Small tensors on their way to a device, without waiting for it."""

from collections.abc import Sequence

import torch
from torch import Tensor

ALIGNMENT = 16
"""Tensors of a pack begin at multiples of so many bytes, as reading them in their type demands."""


def move(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return `tensors`, which are on the CPU, on `device`.

    To a GPU they go in one pack, by one copy from page-locked memory: a copy from any other memory
    makes the process wait until all work that was given to the GPU is done.
    """
    if device.type != "cuda":
        return [tensor.to(device) for tensor in tensors]
    sizes = [-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in tensors]
    pack = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=True)
    for tensor, part in zip(tensors, pack.split(sizes), strict=True):
        _read(part, tensor).copy_(tensor)
    parts = pack.to(device, non_blocking=True).split(sizes)
    return [_read(part, tensor) for tensor, part in zip(tensors, parts, strict=True)]


def _read(part: Tensor, like: Tensor) -> Tensor:
    """Return the bytes in `part` as a tensor of the type and shape of `like`."""
    return part[: like.nbytes].view(like.dtype).view(like.shape)
