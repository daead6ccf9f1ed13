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
    pack = _pack(tensors, pin_memory=True)
    return _unpack(pack.to(device, non_blocking=True), tensors)


def _pack(tensors: Sequence[Tensor], *, pin_memory: bool) -> Tensor:
    """Return the bytes of `tensors`, one after the other."""
    pack = torch.empty(sum(map(_size, tensors)), dtype=torch.uint8, pin_memory=pin_memory)
    for place, tensor in zip(_unpack(pack, tensors), tensors, strict=True):
        place.copy_(tensor)
    return pack


def _unpack(pack: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Return views of the bytes in `pack` as tensors of the types and shapes of those in `like`."""
    parts = zip(pack.split([_size(each) for each in like]), like, strict=True)
    return [part[: each.nbytes].view(each.dtype).view(each.shape) for part, each in parts]


def _size(tensor: Tensor) -> int:
    return -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
