"""Images in memory that several processes map and none copies; no end of one leaves them behind."""

import mmap
import os
import sys
import tempfile
import weakref

import torch

from atom_nas.training.batches import Examples


class Shared:
    """Examples on the CPU in a file without a name, which is gone with its last process."""

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
