"""Data sets, one module each: `load(path) -> Source`, where `path` holds or receives the files."""

import os
from pathlib import Path

from atom_nas import plugins
from atom_nas.data import splits
from atom_nas.data.splits import Dataset, Source
from atom_nas.errors import UserError

TAKES_PATH = {
    "folder": "the path of a folder with one sub-folder a class",
    "npz": "the path of a .npz file",
}


def open_dataset(name: str, data_dir: Path, *, seed: int) -> Dataset:
    """Load the data set `name` (see `load_source`) and complete its splits from `seed`."""
    title, source = load_source(name, data_dir)
    return splits.split(title, source, seed=seed)


def load_source(name: str, data_dir: Path) -> tuple[str, Source]:
    """Return what the data set `name` is called, and the splits that its files come with.

    `name` is a module of this package, an existing folder, a .npz file or a user's .py file; a
    module finds or puts its files under `data_dir`. Raises UserError for anything else.
    """
    given = Path(name).expanduser()
    plugin, path, title = name, data_dir.expanduser(), given.stem
    if name not in plugins.available(__name__) and given.is_dir():
        plugin, path, title = "folder", given, given.resolve().name
    elif given.suffix == ".npz":
        plugin, path = "npz", given
    elif name in TAKES_PATH:
        raise UserError(f"data set {name!r} needs a path: give {TAKES_PATH[name]} instead.")
    elif given.suffix != ".py" and any(mark in name for mark in (os.sep, os.altsep) if mark):
        raise UserError(
            f"there is no folder {name!r}; give the path of a folder or of a .npz file, or one of "
            f"{', '.join(sorted(set(plugins.available(__name__)) - set(TAKES_PATH)))}."
        )
    module = plugins.load(__name__, plugin, kind="data set", needs=("load",))
    source = module.load(path)
    if not isinstance(source, Source):
        raise UserError(
            f"data set {name!r}: load(path) returned {type(source).__name__}; "
            "it must return atom_nas.data.splits.Source."
        )
    return title, source
