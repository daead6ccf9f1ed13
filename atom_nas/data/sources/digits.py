"""1,797 grey 8x8 images of handwritten digits, embedded in scikit-learn: nothing to download."""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Source

CLASS_NAMES = tuple("0123456789")
MAX_GREY = 16
ABOUT = "UCI/scikit-learn digits, CC BY 4.0"

DISTIL_STEPS = 100
"""An ATOM set then ranks nets as after 300 (benchmarks/README.md)."""

FULL_STEPS = 480
"""They rank nets as 960 steps do (benchmarks/README.md)."""

MAX_MACS = 1_000_000
"""375 of the 720 ConvNets have no more; the others would take most of the time of a first run."""


def load(path: Path) -> Source:
    """Return all the digits as training images; `path` is not read."""
    digits = load_digits()
    # digits.images is (N, 8, 8), 0..16
    grey = torch.from_numpy(digits.images)[:, None] * (255 / MAX_GREY)
    labels = torch.from_numpy(digits.target).long()
    train = ImageSet(pixels=grey.round().to(torch.uint8), labels=labels, class_names=CLASS_NAMES)
    return Source(
        train=train,
        flip=False,
        max_macs=MAX_MACS,
        distil_steps=DISTIL_STEPS,
        full_steps=FULL_STEPS,
        about=ABOUT,
    )
