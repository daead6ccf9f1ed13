"""Values that are made once and kept in a JSON file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from atom_nas.errors import DamagedError
from atom_nas.storage.files import read_json, tell_made_again, write_json


class Once(Protocol):
    """How a value is made once, whether one process wants it or many machines."""

    def __call__(self, path: Path, name: str, make: Callable[[], Any]) -> Any:
        """Return the value called `name` in the file at `path`; `make` it where there is none.

        None is not kept: it is made the next time.
        """


def once(path: Path, name: str, make: Callable[[], Any]) -> Any:
    """Be the `Once` of one process."""
    if (found := kept(path).get(name)) is None and (found := make()) is not None:
        keep(path, name, found)
    return found


def kept(path: Path) -> dict[str, Any]:
    """Return the values in the file at `path`, none where there is no file.

    A damaged file is named and counts as none: what its values came from is kept elsewhere.
    """
    try:
        return read_json(path) if path.exists() else {}
    except DamagedError as damage:
        tell_made_again(damage)
        return {}


def keep(path: Path, name: str, value: object) -> None:
    """Add a value to the file at `path`."""
    write_json(path, {**kept(path), name: value})
