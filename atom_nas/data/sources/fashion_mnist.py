"""Fashion-MNIST: 70,000 grey 28x28 pictures of ten kinds of clothing."""

from pathlib import Path

from torchvision.datasets import FashionMNIST

from atom_nas.data.sources import _torchvision
from atom_nas.data.splits import Source

CLASS_NAMES = tuple(FashionMNIST.classes)


def load(path: Path) -> Source:
    """Return the 60,000 training and 10,000 test images, kept under `path`."""
    return _torchvision.load(
        path,
        name="fashion_mnist",
        dataset=FashionMNIST,
        files="FashionMNIST/raw/",
        class_names=CLASS_NAMES,
        flip=True,
    )
