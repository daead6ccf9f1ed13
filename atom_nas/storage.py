"""Files that survive a kill: atomic writes, append-only tables, digests, seeds, the run folder."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import filelock

from atom_nas.errors import UserError

SETTINGS = "settings.json"
"""In a run folder: what it was made with, written before anything else and never changed."""


def canonical_json(value: object) -> str:
    """Return `value` (dataclasses and paths allowed) as JSON with sorted keys."""

    def plain(item: object) -> object:
        if is_dataclass(item) and not isinstance(item, type):
            return asdict(item)
        return str(item)

    return json.dumps(value, sort_keys=True, default=plain)


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def derive_seed(*parts: object) -> int:
    """Return a seed in 0..2**32 - 1 that depends on every part and on nothing else."""
    return int(digest([str(part) for part in parts])[:8], 16)


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write `path` so that a reader sees the old content or the new, never a part."""
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, atomically; NaN becomes null, as JSON has none."""
    plain = json.loads(canonical_json(value), parse_constant=lambda _: None)
    write_atomically(path, json.dumps(plain, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a whole table, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def drop_torn_line(path: Path) -> None:
    """Cut what follows the last newline of `path`: a line whose writer was killed."""
    with open(path, "r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


class Table:
    """A CSV file that grows by whole rows, one `fsync` each; a torn last line is dropped."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        """Open `path`, or make it with a header of `columns` when the first row comes."""
        self.path, self.columns = path, columns
        self.rows: list[dict[str, str]] = []
        if path.exists():
            drop_torn_line(path)
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def append(self, row: Mapping[str, object]) -> None:
        """Add one row; returns when it is on disk."""
        assert set(row) == set(self.columns), sorted(row)
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())
        self.rows.append({key: str(value) for key, value in row.items()})


@contextmanager
def open_run(folder: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Make or reopen the run folder, alone in it, and hold it to the `settings` it was made with.

    Raises UserError where it cannot be written, is in use, was made with other settings or holds
    files that are not of a run; in the last two cases nothing in it is touched.
    """
    wanted = json.loads(canonical_json(settings))
    try:
        _hold_to_settings(folder, wanted)
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"another process works in {folder}; wait for it or use another --out.")  # noqa: B904
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror}; choose another folder with --out."
        ) from error
    try:
        _hold_to_settings(folder, wanted)  # again: another process may have made it since
        if not (folder / SETTINGS).exists():
            write_json(folder / SETTINGS, wanted)
        yield folder
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise UserError(
                f"cannot write to {folder}: {error.strerror}; finished work is kept: free some "
                "space, then run the same command again."
            ) from error
        raise
    finally:
        lock.release()


_DISK_FULL = {28, 122}  # ENOSPC, EDQUOT


def _hold_to_settings(folder: Path, wanted: dict[str, Any]) -> None:
    """Refuse `folder` where it has other settings than `wanted`, or files but no settings."""
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if SETTINGS not in names:
        if foreign := [name for name in names if not name.startswith(".")]:
            raise UserError(
                f"{folder} holds files that are not of a run ({min(foreign)}, ...); "
                "use an empty folder or another --out."
            )
        return
    made_with = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    changed = [k for k in sorted({*wanted, *made_with}) if wanted.get(k) != made_with.get(k)]
    if changed:
        differences = ", ".join(
            f"{key} {_short(made_with.get(key))} (now {_short(wanted.get(key))})" for key in changed
        )
        raise UserError(
            f"{folder} was made with {differences}; repeat those settings or use another --out."
        )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
