"""Made images, as arrays and as files, for the tests of data sets."""

import numpy as np
from PIL import Image


def arrays(num_classes=3, *, per_class=6, splits=("train", "test"), shape=(8, 8, 3)):
    """MedMNIST's keys, random pixels, labels 0, 1, .., K-1, 0, 1, ..."""
    generator = np.random.default_rng(0)
    made = {}
    for split in splits:
        labels = np.tile(np.arange(num_classes, dtype=np.uint8), per_class)
        made[f"{split}_labels"] = labels[:, None]
        made[f"{split}_images"] = generator.integers(0, 256, (len(labels), *shape), np.uint8)
    return made


def save_images(root, classes=("cat", "dog"), *, per_class=6, size=(10, 9), mode="RGB"):
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            colour = (40 * k + i) if mode == "L" else (40 * k + i, 100, 200)
            Image.new(mode, size, colour).save(root / name / f"{i}.png")
    return root


def one_line(caught, *culprits):
    message = str(caught.value)
    assert "\n" not in message
    for culprit in culprits:
        assert str(culprit) in message
    return message
