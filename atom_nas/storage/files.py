"""Files that survive a kill and prove that they are whole: atomic writes, checksums, digests."""

import csv
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from atom_nas.errors import DamagedError
from atom_nas.storage.progress import tell

CACHE = Path("~/.cache/atom_nas")
"""Where files of other makers are kept by default: data sets, converted tables."""

CHECKSUM = "checksum"
"""The key of a JSON file, and the last column of a table, that proves the rest."""


def canonical_json(value: object) -> str:
    """Return `value` (dataclasses and paths allowed) as JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, default=_jsonable)


def _jsonable(item: object) -> object:
    return asdict(item) if is_dataclass(item) and not isinstance(item, type) else str(item)


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def derive_seed(*parts: object) -> int:
    """Return a seed in 0..2**32 - 1 that depends on every part and on nothing else."""
    return int(digest([str(part) for part in parts])[:8], 16)


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write `path` so that a reader sees the old content or the new, never a part.

    A link in place of either is replaced, not followed.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with open(partial, "xb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_file(path: Path) -> bytes:
    """Return the content of `path`; DamagedError where it is missing or no file."""
    if not path.is_file():
        raise DamagedError(path, "is no file" if path.exists() else "is missing")
    return path.read_bytes()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the content of `path`; DamagedError where it is missing or no file."""
    return hashlib.sha256(read_file(path)).hexdigest()


def check_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise DamagedError for the first file in `folder` that has not the digest of its name.

    A name that leads out of `folder` is of no file in it, and is not read.
    """
    for name, expected in digests.items():
        if Path(name).name != name or file_digest(folder / name) != expected:
            raise DamagedError(folder / name)


def tell_made_again(damage: DamagedError) -> None:
    """Say on stderr what is damaged and that it is made again."""
    tell(f"{damage.path} {damage.problem}: it is made again.")


def write_plain_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, atomically; NaN becomes null, as JSON has none."""
    write_atomically(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def write_json(path: Path, value: object) -> None:
    """Write `value`, which becomes a JSON object, as `write_plain_json` does, with a checksum."""
    plain = _plain(value)
    write_plain_json(path, {**plain, CHECKSUM: digest(plain)})


def read_json(path: Path) -> dict[str, Any]:
    """Return what `write_json` wrote to `path`; DamagedError where that is not what is there."""
    data = read_file(path)
    try:
        content: dict[str, Any] = json.loads(data)
        is_whole = content.pop(CHECKSUM) == digest(content)
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        raise DamagedError(path) from error
    if not is_whole:
        raise DamagedError(path)
    return content


def _plain(value: object) -> Any:
    text = json.dumps(value, default=_jsonable)
    return json.loads(text, parse_constant=lambda _: None)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a whole table, atomically, with a checksum of each row in a last column."""
    lines = [format_row(columns, row) for row in rows]
    write_atomically(path, format_header(columns) + "".join(lines))


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of the table at `path`; DamagedError where one is not as it was written."""
    header, *lines = read_file(path).split(b"\n")
    try:
        ((*columns, last),) = csv.reader([header.decode()], strict=True)
    except (ValueError, csv.Error) as error:
        raise DamagedError(path, "is damaged in line 1") from error
    if last != CHECKSUM or lines[-1:] != [b""]:
        raise DamagedError(path)
    rows = []
    for number, line in enumerate(lines[:-1], start=2):
        row = parse_row(columns, line)
        if row is None:
            raise DamagedError(path, f"is damaged in line {number}")
        rows.append(row)
    return rows


def format_header(columns: Sequence[str]) -> str:
    """Return the first line of a table."""
    return _csv_line([*columns, CHECKSUM])


def format_row(columns: Sequence[str], row: Iterable[object]) -> str:
    """Return the line of `row`, the cells of `columns` in order and their checksum.

    A row is one line: a line break in a cell becomes a space. Text that a spreadsheet would take
    for a formula has an apostrophe before it, which `parse_row` takes away.
    """
    cells = [_one_line(cell) for cell in row]
    return _csv_line([*map(_inert, cells), _checksum(columns, cells)])


def parse_row(columns: Sequence[str], line: bytes) -> dict[str, str] | None:
    """Return the cells that `format_row` wrote as `line`, or None where it wrote another line."""
    try:
        ((*cells, checksum),) = csv.reader([line.decode()], strict=True)
    except (ValueError, csv.Error):
        return None
    cells = [*map(_as_given, cells)]
    is_whole = len(cells) == len(columns) and checksum == _checksum(columns, cells)
    return dict(zip(columns, cells, strict=True)) if is_whole else None


def _checksum(columns: Sequence[str], cells: Sequence[str]) -> str:
    """Return the CRC-32 of a row, which depends on its columns too, as 8 hexadecimal digits."""
    return f"{zlib.crc32(json.dumps([*columns, *cells]).encode()):08x}"


def _one_line(cell: object) -> str:
    text = "" if cell is None else str(cell).encode(errors="backslashreplace").decode()
    return re.sub(r"\r\n|\r|\n", " ", text)


_FORMULA = re.compile(r"'*[=+\-@\t]")


def _inert(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def _as_given(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _csv_line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def drop_torn_line(path: Path) -> None:
    """Cut what follows the last newline of `path`: a line whose writer was killed."""
    with open(path, "r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
