"""CIFAR-10: 60,000 colour 32x32 photographs of ten classes."""

from dataclasses import replace
from pathlib import Path

from atom_nas.data.sources import _torchvision
from atom_nas.data.splits import Source

ABOUT = "CIFAR-10, Krizhevsky 2009; no licence stated, cite the technical report"
FILES = "cifar-10-batches-py/"
CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def load(path: Path) -> Source:
    """Return the 50,000 training and 10,000 test images, kept under `path`."""
    from torchvision.datasets import CIFAR10  # it takes seconds, and the box reads `FILES` alone

    found = _torchvision.load(
        path,
        name="cifar10",
        dataset=CIFAR10,
        files=FILES,
        class_names=CLASS_NAMES,
        flip=True,
        whiten=True,
    )
    return replace(found, about=ABOUT)
