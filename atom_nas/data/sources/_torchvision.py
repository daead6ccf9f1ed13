"""The data sets of torchvision: from a .npz file, from torchvision's files, or downloaded."""

from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from atom_nas.data.sources import npz
from atom_nas.data.splits import Source
from atom_nas.errors import UserError, explain


def is_at_hand(path: Path, name: str, files: str) -> bool:
    """Say whether `load` would find the data set `name` under `path` without a download."""
    return any((path / each).exists() for each in (f"{name}.npz", files, f"torchvision/{files}"))


def load(
    path: Path,
    *,
    name: str,
    dataset: Callable[..., Any],
    files: str,
    class_names: tuple[str, ...],
    flip: bool,
    whiten: bool = False,
) -> Source:
    """Return the train and test splits of `name`, kept under `path`.

    Looked for in this order: `<name>.npz` with the keys of the `npz` plug-in; torchvision's own
    `files`; the same in the folder `torchvision`, where they are downloaded to. `dataset(root,
    train=, download=)` returns an object with `data`, (N, H, W) or (N, H, W, C), and `targets`.
    Raises UserError where the files are damaged, or are absent and the download fails.
    """
    archive = path / f"{name}.npz"
    if archive.is_file():
        found = npz.load(archive, class_names=class_names)
        return replace(found, flip=flip, whiten=whiten)
    reason = ""
    for root, download in ((path, False), (path / "torchvision", True)):
        try:
            train, test = (
                npz.to_image_set(np.asarray(part.data), np.asarray(part.targets), class_names)
                for part in (dataset(root, train=t, download=download) for t in (True, False))
            )
        except (RuntimeError, OSError, HTTPException) as error:  # absent, or not downloaded
            reason = explain(error, 320)
        except Exception as error:  # the readers of damaged files share no base class
            raise UserError(
                f"data set {name!r}: the files {files} under {str(root)!r} are damaged "
                f"({explain(error, 160)}); delete them and try again."
            ) from error
        else:
            return Source(train=train, test=test, flip=flip, whiten=whiten)
    raise UserError(
        f"data set {name!r} is not under {str(path)!r} and its download failed ({reason}); "
        f"put {archive.name} with MedMNIST's keys, or torchvision's {files}, there."
    )
