"""A .npz file with MedMNIST's keys: train_images, train_labels, optional val_* and test_*.

Images are uint8 of shape (N, H, W) or (N, H, W, C) with C 1 or 3, labels are integers 0..K-1 of
shape (N,) or (N, 1). An optional key `class_names` holds K strings. Mirrored images are taken to
keep their class, and nothing is whitened, whatever the file's name; `--adjust flip=false` and
`--adjust whiten=true` change that for the distillation.
"""

from pathlib import Path
from textwrap import shorten

import numpy as np
import torch

from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Source
from atom_nas.errors import UserError, explain, require_regular
from atom_nas.storage.progress import tell

SPLITS = ("train", "val", "test")
REQUIRED = ("train_images", "train_labels")
OPTIONAL = ("val_images", "val_labels", "test_images", "test_labels", "class_names")


def load(path: Path, *, class_names: tuple[str, ...] = ()) -> Source:
    """Read the file `path`; `class_names`, where given, are used in place of the file's own.

    Raises UserError where the file is unreadable or does not hold what the module states.
    """
    try:
        require_regular(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            present = list(file)
            arrays = {key: file[key] for key in REQUIRED + OPTIONAL if key in file}
    except Exception as error:  # numpy, zipfile and zlib share no base class
        raise UserError(
            f"data file {str(path)!r} cannot be read ({explain(error, 160)}); give the path of a "
            "whole .npz file, its arrays numbers or text (np.array(names, dtype=str)), not objects."
        ) from error
    if others := [key for key in present if key not in REQUIRED + OPTIONAL]:
        tell(f"of {path} these arrays are left out: {shorten(', '.join(others), 120)}.")
    try:
        splits = _parse(arrays, present, class_names)
    except UserError as error:
        raise UserError(f"data file {str(path)!r}: {error}") from None
    return Source(train=splits["train"], validation=splits.get("val"), test=splits.get("test"))


def to_image_set(images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> ImageSet:
    """Return uint8 `images` (N, H, W) or (N, H, W, C) and integer `labels` as tensors."""
    pixels = torch.from_numpy(images.reshape(*images.shape[:3], -1)).permute(0, 3, 1, 2)
    return ImageSet(
        pixels=pixels.contiguous(),
        labels=torch.from_numpy(labels.reshape(-1).astype(np.int64)),
        class_names=class_names,
    )


def _parse(
    arrays: dict[str, np.ndarray], present: list[str], class_names: tuple[str, ...]
) -> dict[str, ImageSet]:
    needed = list(REQUIRED)
    for split in SPLITS[1:]:
        pair = [f"{split}_images", f"{split}_labels"]
        needed += pair if any(key in arrays for key in pair) else []
    if missing := [key for key in needed if key not in arrays]:
        raise UserError(
            f"lacks {', '.join(missing)}; it has {shorten(', '.join(present), 160) or 'nothing'}; "
            f"needed are {', '.join(REQUIRED)}, optional {', '.join(OPTIONAL)}."
        )
    names = class_names or _class_names(arrays)
    sets = {}
    for split in SPLITS:
        if f"{split}_images" in arrays:
            images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
            _check_images(f"{split}_images", images, arrays["train_images"].shape[1:])
            _check_labels(f"{split}_labels", labels, len(images), len(names))
            sets[split] = to_image_set(images, labels, names)
    counts = sets["train"].labels.bincount(minlength=len(names))
    if not counts.all():
        empty = int(counts.argmin())
        raise UserError(
            f"train_labels has no image of class {empty} ({names[empty]!r}); "
            f"each of the {len(names)} classes needs training images."
        )
    return sets


def _class_names(arrays: dict[str, np.ndarray]) -> tuple[str, ...]:
    if "class_names" in arrays:
        names = arrays["class_names"]
        if names.dtype.kind != "U" or names.ndim != 1:
            raise UserError(
                f"class_names is {names.dtype} of shape {names.shape}; "
                "it must be a one-dimensional array of str."
            )
        return tuple(names.tolist())
    images, labels = arrays["train_images"], arrays["train_labels"]
    _check_images("train_images", images, images.shape[1:])
    _check_labels("train_labels", labels, len(images), num_classes=len(images))
    return tuple(str(k) for k in range(int(labels.max()) + 1))


def _check_images(key: str, images: np.ndarray, train_shape: tuple[int, ...]) -> None:
    if images.dtype != np.uint8:
        raise UserError(f"{key} is {images.dtype}; it must be uint8, 0..255.")
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))) or (
        images.size == 0
    ):
        raise UserError(
            f"{key} is of shape {images.shape}; it must be (N, H, W) or (N, H, W, C), C 1 or 3."
        )
    if images.shape[1:] != train_shape:
        raise UserError(
            f"{key} holds images of shape {images.shape[1:]} and train_images of {train_shape}; "
            "all splits must have one shape."
        )


def _check_labels(key: str, labels: np.ndarray, num_images: int, num_classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise UserError(f"{key} is {labels.dtype}; it must be of integers.")
    if labels.shape not in ((num_images,), (num_images, 1)):
        raise UserError(
            f"{key} is of shape {labels.shape}; "
            f"it must be ({num_images},) or ({num_images}, 1), one label an image."
        )
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        raise UserError(f"{key} has the label {outside[0]}; it must be 0..{num_classes - 1}.")
