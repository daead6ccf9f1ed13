"""A table on disk that grows row by row, and gives back only rows that it was given."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from atom_nas.errors import DamagedError, UserError
from atom_nas.storage.files import (
    drop_torn_line,
    format_header,
    format_row,
    parse_row,
    read_file,
    tell_made_again,
    write_atomically,
)
from atom_nas.storage.table import Key


class RowLog:
    """A `Table` of one process: a CSV file that grows by whole rows, one `fsync` each.

    A torn last line is dropped; a row that is not as it was written, or repeats a key, is named
    on stderr and removed, so that it can be made again.
    """

    def __init__(
        self,
        path: Path,
        columns: tuple[str, ...],
        *,
        key: tuple[str, ...] = (),
        is_renewable: bool = False,
    ) -> None:
        """Open `path`, or make it with a header of `columns` when the first row comes.

        No two rows agree in all columns of `key`, if one is given, unless rows are renewable: then
        the last of them counts. Raises UserError where the file is of another table, or none.
        """
        self.path, self.columns, self._key = path, columns, key
        self._is_renewable = is_renewable
        self.rows: list[dict[str, str]] = []
        self._found: dict[Key, dict[str, str]] = {}
        if path.exists():
            self._read()

    def find(self, key: Key) -> dict[str, str] | None:
        """Return the row of `key`, or None where there is none."""
        return self._found.get(key)

    def append(self, row: Mapping[str, object], attached: bytes = b"") -> None:
        """Add one row; returns when it is on disk. What is attached the caller has on disk."""
        assert set(row) == set(self.columns), sorted(row)
        line = format_row(self.columns, (row[column] for column in self.columns))
        written = parse_row(self.columns, line.encode())
        assert written is not None and self._is_new(written), row
        with open(self.path, "ab") as file:
            header = format_header(self.columns) if file.tell() == 0 else ""
            file.write(f"{header}{line}".encode())
            file.flush()
            os.fsync(file.fileno())
        self._hold(written)

    def attached(self, digest: str) -> bytes | None:
        """Return None: nothing is kept here."""
        return None

    def free(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of `keys` that have no row."""
        return [key for key in keys if key not in self._found]

    def claim(self, key: Key) -> bool:
        """Return True: who works in the folder is alone in it."""
        return True

    def release(self, keys: Iterable[Key]) -> None:
        """Do nothing: nothing was claimed."""

    def wait(self) -> None:
        """Do nothing: there is nobody to wait for."""

    def _read(self) -> None:
        content = read_file(self.path)
        if not content.endswith(b"\n"):
            drop_torn_line(self.path)
        header, *lines = content.split(b"\n")[:-1] or [b""]
        is_headed = header == format_header(self.columns).rstrip("\n").encode()
        damaged = [1] if (header or lines) and not is_headed else []
        for number, line in enumerate(lines, start=2):
            row = parse_row(self.columns, line)
            if row is not None and self._is_new(row):
                self._hold(row)
            else:
                damaged.append(number)
        if lines and not is_headed and not self.rows:
            raise UserError(
                f"{self.path} is no table of {', '.join(self.columns)} with checksums; "
                "move it away to have it made again."
            )
        if damaged:
            where = f"line{'s' * (len(damaged) > 1)} {', '.join(map(str, damaged))}"
            tell_made_again(DamagedError(self.path, f"is damaged in {where}"))
            kept = [format_row(self.columns, row.values()) for row in self.rows]
            write_atomically(self.path, format_header(self.columns) + "".join(kept))

    def _is_new(self, row: Mapping[str, str]) -> bool:
        return not self._key or self._is_renewable or self._key_of(row) not in self._found

    def _hold(self, row: dict[str, str]) -> None:
        self.rows.append(row)
        if self._key:
            self._found[self._key_of(row)] = row

    def _key_of(self, row: Mapping[str, str]) -> Key:
        return tuple(row[column] for column in self._key)
