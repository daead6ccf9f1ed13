"""The run folder: one process works in it, with the settings that it was made with."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

import filelock

from atom_nas.errors import DISK_FULL, DamagedError, UserError
from atom_nas.storage.files import canonical_json, read_json, write_json
from atom_nas.storage.progress import LOG, logged_to

SETTINGS = "settings.json"
"""In a run folder: what it was made with, written before anything else and never changed."""

DIGESTS = {
    "train_digest": "training images",
    "validation_digest": "validation images",
    "test_digest": "test images",
    "space_digest": "code of the search space",
    "method_digest": "code of the proxy's method",
}
"""Settings that no option sets, and what they are digests of."""


@contextmanager
def open_run(
    folder: Path, settings: Mapping[str, Any], *, is_shared: bool = False
) -> Iterator[Path]:
    """Make or reopen the run folder, alone in it, and hold it to the `settings` it was made with.

    Of a run that is shared, a process that finds the folder in use takes one beside it: `folder`-2,
    -3 and so on. What is told while it is open goes to its log too.

    Raises UserError where it cannot be written, is in use, was made with other settings, holds
    files that are not of a run, or links that lead out of it; in the last three cases nothing in
    it is touched.
    """
    wanted = json.loads(canonical_json(settings))
    beside = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    try:
        for each in chain([folder], beside if is_shared else ()):
            if lock := _lock(each, wanted):
                folder = each
                break
        else:
            raise UserError(f"another process works in {folder}; wait for it or use another --out.")
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror}; choose another folder with --out."
        ) from error
    try:
        _hold_to_settings(folder, wanted)  # again: another process may have made it since
        if not (folder / SETTINGS).exists():
            write_json(folder / SETTINGS, wanted)
        with logged_to(folder / LOG):
            yield folder
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"cannot write to {folder}: {error.strerror}; finished work is kept: free some "
                "space, then run the same command again."
            ) from error
        raise
    finally:
        lock.release()


def _lock(folder: Path, wanted: dict[str, Any]) -> filelock.BaseFileLock | None:
    """Return the lock of `folder`, which is made; None where another process has it."""
    _hold_to_settings(folder, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return None
    return lock


def _hold_to_settings(folder: Path, wanted: dict[str, Any]) -> None:
    """Refuse `folder` where it has other settings than `wanted`, or files but no settings."""
    _refuse_links_out(folder)
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if SETTINGS not in names:
        if foreign := [name for name in names if not name.startswith(".")]:
            raise UserError(
                f"{folder} holds files that are not of a run ({min(foreign)}, ...); "
                "use an empty folder or another --out."
            )
        return
    try:
        made_with = read_json(folder / SETTINGS)
    except DamagedError as error:
        raise UserError(
            f"{error.path} {error.problem}, so nothing says what {folder} was made with; "
            "use another --out, or delete that folder."
        ) from error
    if changed := differences(made_with, wanted):
        raise UserError(
            f"{folder} was made with {changed}; repeat those settings, or use another --out."
        )


def differences(made_with: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in words in what settings differ, those in settings too; nothing where they do not."""
    found = []
    for key in sorted({*wanted, *made_with}):
        made, now = made_with.get(key), wanted.get(key)
        if made == now:
            continue
        if isinstance(made, dict) and isinstance(now, dict):
            found.append(differences(made, now))
        elif key in DIGESTS:
            found.append(f"other {DIGESTS[key]}")
        else:
            found.append(f"{key} {_short(made)} (now {_short(now)})")
    return ", ".join(found)


def _refuse_links_out(folder: Path) -> None:
    """Refuse `folder`, which may be a link itself, where one in it leads to a place outside."""
    inside = folder.resolve()
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in [*folders, *files]):
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise UserError(
                    f"{path} is a link out of the run folder, where nothing is written; put what "
                    "it leads to in its place, or use another --out."
                )


def refuse_code_of(folder: Path, options: Iterable[object]) -> None:
    """Refuse a run whose own `options` name Python that came with its `folder`.

    A run is data, which may be somebody else's; code is what its user names.
    """
    for value in options:
        path = Path(re.sub(r"_ipc\d+$", "", str(value)))
        if path.suffix == ".py" and path.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{folder} is a run by {path}, code in the run folder itself, which is not run; if "
                "you trust it, move it elsewhere, and give its new path with the same command."
            )


def _short(value: object) -> str:
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
