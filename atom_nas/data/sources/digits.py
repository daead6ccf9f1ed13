"""1,797 grey 8x8 images of handwritten digits, embedded in scikit-learn: nothing to download."""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Defaults, Source

CLASS_NAMES = tuple("0123456789")
MAX_GREY = 16
ABOUT = "UCI/scikit-learn digits, CC BY 4.0"

DEFAULTS = Defaults(max_macs=1_000_000, distil_steps=100, full_steps=480)
"""375 of the 720 ConvNets have no more multiply-adds, and the others would take most of the time of
a run; an ATOM set ranks nets as after 300 steps, and full trainings as 960 (benchmarks/README.md).
"""


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
        defaults=DEFAULTS,
        about=ABOUT,
    )
