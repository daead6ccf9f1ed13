"""SVHN: 99,289 colour 32x32 photographs of house-number digits."""

from pathlib import Path
from types import SimpleNamespace

from torchvision.datasets import SVHN

from atom_nas.data.sources import _torchvision
from atom_nas.data.splits import Source

CLASS_NAMES = tuple("0123456789")


def load(path: Path) -> Source:
    """Return the 73,257 training and 26,032 test images, kept under `path`."""
    return _torchvision.load(
        path,
        name="svhn",
        dataset=_channels_last,
        files="train_32x32.mat and test_32x32.mat",
        class_names=CLASS_NAMES,
        flip=False,
    )


def _channels_last(root: Path, *, train: bool, download: bool) -> SimpleNamespace:
    # svhn.data is (N, C, H, W)
    svhn = SVHN(root, split="train" if train else "test", download=download)
    return SimpleNamespace(data=svhn.data.transpose(0, 2, 3, 1), targets=svhn.labels)
