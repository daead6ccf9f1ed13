"""A folder with one sub-folder a class; its images become squares of one size.

Where the folder has `train` and beside it `val` or `test`, or both, these are the splits, each with
one sub-folder a class (also `training`, `valid`, `validation`, `testing`, in capitals or not); else
all the images are training images. The classes are the
sub-folders of the training images in alphabetical order; mirrored images are taken to keep them.

The size: of up to 1,000 training images, evenly spaced, the median of the shorter sides, moved to
the nearest of 8, 16, 28, 32, 48, 64, 96 and 128 pixels (the smaller of two as near). The central
square of every image is resized to it, bilinear and antialiased; what is transparent is white. All
images are grey if those 1,000 are, else RGB.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from textwrap import shorten

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.datasets.folder import IMG_EXTENSIONS

from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Source
from atom_nas.errors import UserError, explain, require_regular
from atom_nas.storage.progress import tell

SIDES = (8, 16, 28, 32, 48, 64, 96, 128)
MAX_SAMPLED = 1_000

SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""What the folder of a split may be called, of several the first."""

ENDINGS = (*IMG_EXTENSIONS, ".jfif", ".gif")


def load(path: Path) -> Source:
    """Read every image under the folder `path`.

    Raises UserError for fewer than two classes, a class without images, a class that only a
    held-out split has, and an unreadable image.
    """
    roots = _roots(path)
    files = {split: _files_by_class(root) for split, root in roots.items()}
    names = tuple(files["train"])
    if len(names) < 2:
        raise UserError(
            f"folder {str(roots['train'])!r} has {len(names)} class folder(s) {names}; "
            "at least 2 are needed, one sub-folder a class."
        )
    for split, classes in files.items():
        if not classes:
            raise UserError(
                f"folder {str(roots[split])!r} has no class folder; delete it, "
                f"or fill it with those of {shorten(', '.join(names), 160)}."
            )
        if strangers := [name for name in classes if name not in names]:
            raise UserError(
                f"folder {str(roots[split] / strangers[0])!r} is of a class that has no folder "
                f"in {str(roots['train'])!r}; its classes are {shorten(', '.join(names), 160)}."
            )
    side, mode = _common_format([file for group in files["train"].values() for file in group])
    sets = {split: _read(classes, names, side, mode) for split, classes in files.items()}
    return Source(train=sets["train"], validation=sets.get("validation"), test=sets.get("test"))


def _roots(path: Path) -> dict[str, Path]:
    """Return the folder of each split, that of the training images `path` itself if it has none."""
    if not path.is_dir():
        return {"train": path}
    folders = {each.name.lower(): each for each in _folders(path)}
    found = {
        split: next(folders[name] for name in names if name in folders)
        for split, names in SPLITS.items()
        if not folders.keys().isdisjoint(names)
    }
    if not found:
        return {"train": path}
    if "train" not in found:
        raise UserError(
            f"folder {str(path)!r} has {' and '.join(each.name for each in found.values())} and no "
            "train; put the class folders of the training images in one called train, or give a "
            "class that is called so another name."
        )
    others = [each.name for each in folders.values() if each not in found.values()]
    if others and len(found) == 1:
        raise UserError(
            f"folder {str(path)!r} has {found['train'].name} beside "
            f"{shorten(', '.join(others), 80)}; call the splits train, val and test, or give "
            "classes other names."
        )
    if others:
        tell(f"of {path} these folders are no split and left out: {', '.join(others)}.")
    return found


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and each.name[0] != ".")


def _files_by_class(root: Path) -> dict[str, list[Path]]:
    if not root.is_dir():
        raise UserError(f"folder {str(root)!r} does not exist; give one with a sub-folder a class.")
    files = {folder.name: _files(folder) for folder in _folders(root)}
    found = {name: [file for file in group if _is_image(file)] for name, group in files.items()}
    for name, group in found.items():
        if not group:
            raise UserError(
                f"class folder {str(root / name)!r} has no image; fill or delete it "
                f"(images end in {', '.join(ENDINGS)})."
            )
    others = [file.suffix for group in files.values() for file in group if not _is_image(file)]
    if others:
        counts = Counter(others).most_common()
        what = ", ".join(f"{count} of {ending or 'no ending'}" for ending, count in counts)
        tell(f"in {root} these files are left out, as they are no images: {shorten(what, 120)}.")
    return found


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS


def _files(folder: Path) -> list[Path]:
    walk = os.walk(folder, onerror=_refuse)
    found = (Path(place, name) for place, _, names in walk for name in names)
    return sorted(file for file in found if not file.name.startswith("."))


def _refuse(error: OSError) -> None:
    raise UserError(
        f"folder {str(error.filename)!r} cannot be read ({error.strerror}); make it readable, or "
        "move it elsewhere."
    ) from error


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        require_regular(file)
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"its mode is {image.mode}, 8 bits a channel are needed")
            yield image
    except Exception as error:  # Pillow's decoders share no base class
        raise UserError(
            f"image file {str(file)!r} cannot be read "
            f"({explain(error, 160)}); replace or delete it."
        ) from error


def _common_format(files: list[Path]) -> tuple[int, str]:
    shorter, modes = [], set()
    for file in files[:: -(-len(files) // MAX_SAMPLED)]:
        with _opened(file) as image:
            shorter.append(min(image.size))
            modes.add(image.mode)
    middle = median(shorter)
    return min(SIDES, key=lambda side: abs(side - middle)), "L" if modes == {"L"} else "RGB"


def _on_white(image: Image.Image) -> Image.Image:
    """Return `image` on white where it is transparent, as `read_picture` of an export does."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _read(classes: dict[str, list[Path]], names: tuple[str, ...], side: int, mode: str) -> ImageSet:
    files = [file for group in classes.values() for file in group]
    labels = [names.index(name) for name, group in classes.items() for _ in group]
    pixels = torch.empty(len(files), len(mode), side, side, dtype=torch.uint8)
    channels_last = pixels.permute(0, 2, 3, 1).numpy()

    def fill(i: int) -> None:
        with _opened(files[i]) as image:
            whole = _on_white(image).convert(mode)
            square = ImageOps.fit(whole, (side, side), Image.Resampling.BILINEAR)
            channels_last[i] = np.asarray(square).reshape(side, side, -1)

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(len(files))))
    return ImageSet(pixels=pixels, labels=torch.tensor(labels), class_names=names)
