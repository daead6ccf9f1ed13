"""Sets of images as nets take them: kept, and mapped by other processes without a copy."""

import mmap
import os
import sys
import tempfile
import weakref

import torch

from atom_nas.data.images import ImageSet, Normalization
from atom_nas.training.batches import Examples

NUM_KEPT = 8
"""Sets of images that stay normalised: the splits, and some proxies."""


class Store:
    """Sets of images as nets take them; those used last are kept."""

    def __init__(self, normalization: Normalization, device: torch.device) -> None:
        """Normalise sets on `device`."""
        self._normalization, self._device = normalization, device
        self._kept: dict[tuple[str, tuple[int, int]], Examples | Shared] = {}

    def examples(self, images: ImageSet, size: tuple[int, int]) -> Examples:
        """Return `images` in the `size` (H, W)."""
        found = self._kept.pop(key := (images.digest, size), None)
        if found is None:
            found = Examples.of(images, self._normalization, self._device, size)
        self._kept[key] = found
        if len(self._kept) > NUM_KEPT:
            del self._kept[next(iter(self._kept))]
        return found.examples if isinstance(found, Shared) else found

    def shared(self, images: ImageSet, size: tuple[int, int]) -> "Shared":
        """Return the same for other processes."""
        examples = self.examples(images, size)
        found = self._kept[key := (images.digest, size)]
        if not isinstance(found, Shared):
            self._kept[key] = found = Shared(examples)
        return found


class Shared:
    """Examples on the CPU in a file without a name, which is gone with its last process, however
    that ends."""

    def __init__(self, examples: Examples) -> None:
        """Write `examples` to memory on Linux, to a temporary file elsewhere."""
        assert examples.images.dtype == torch.float32, examples.images.dtype
        if sys.platform == "linux":
            self.handle = os.memfd_create("examples")
        else:
            with tempfile.TemporaryFile() as temporary:
                self.handle = os.dup(temporary.fileno())
        weakref.finalize(self, os.close, self.handle)
        self.shape = tuple(examples.images.shape)
        with open(self.handle, "wb", closefd=False) as file:
            file.write(examples.images.contiguous().numpy().data)
            file.seek(_labels_at(self.shape))
            file.write(examples.labels.contiguous().numpy().data)
        self.examples = attach(self.handle, self.shape)


def attach(handle: int, shape: tuple[int, ...]) -> Examples:
    """Return the examples in the file descriptor `handle`, images of `shape` (N, C, H, W).

    What is written to them stays in this process.
    """
    content = mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)
    images = torch.frombuffer(content, dtype=torch.float32, count=torch.Size(shape).numel())
    labels = torch.frombuffer(content, dtype=torch.int64, offset=_labels_at(shape), count=shape[0])
    return Examples(images=images.view(shape), labels=labels)


def _labels_at(shape: tuple[int, ...]) -> int:
    """Return where the labels begin: behind the images, at a multiple of 8 bytes."""
    return -(-4 * torch.Size(shape).numel() // 8) * 8
