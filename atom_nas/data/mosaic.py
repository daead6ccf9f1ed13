"""Colour images kept as one picture: a row a class, so that no file of labels lies beside it."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from atom_nas.data.images import ImageSet
from atom_nas.storage.files import read_file, write_atomically


def save_mosaic(images: ImageSet, path: Path) -> None:
    """Write uint8 RGB `images`, as many of each class, to the PNG file `path`, without loss."""
    order = torch.argsort(images.labels, stable=True)
    rows = images.pixels[order].unflatten(0, (images.num_classes, -1))
    # (class, image, C, H, W) -> (class, H, image, W, C)
    picture = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    buffer = io.BytesIO()
    Image.fromarray(picture.contiguous().numpy()).save(buffer, "png", optimize=True)
    write_atomically(path, buffer.getvalue())


def load_mosaic(path: Path, class_names: tuple[str, ...]) -> ImageSet:
    """Return the images of a file of `save_mosaic`, sorted by class; they are square."""
    picture = torch.from_numpy(np.array(Image.open(io.BytesIO(read_file(path)))))
    side = len(picture) // len(class_names)
    rows = picture.unflatten(0, (-1, side)).unflatten(2, (-1, side))
    per_class = rows.shape[2]
    return ImageSet(
        pixels=rows.permute(0, 2, 4, 1, 3).flatten(0, 1).contiguous(),
        labels=torch.arange(len(class_names)).repeat_interleave(per_class),
        class_names=class_names,
    )
