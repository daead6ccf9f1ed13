"""MNIST: 70,000 grey 28x28 images of handwritten digits."""

from pathlib import Path

from torchvision.datasets import MNIST

from atom_nas.data.sources import _torchvision
from atom_nas.data.splits import Source

CLASS_NAMES = tuple(MNIST.classes)


def load(path: Path) -> Source:
    """Return the 60,000 training and 10,000 test images, kept under `path`."""
    return _torchvision.load(
        path,
        name="mnist",
        dataset=MNIST,
        files="MNIST/raw/",
        class_names=CLASS_NAMES,
        flip=False,
    )
