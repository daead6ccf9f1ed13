"""A table on disk that grows row by row, and gives back only rows that it was given."""

import os
from collections.abc import Mapping
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


class RowLog:
    """A CSV file that grows by whole rows, one `fsync` each.

    A torn last line is dropped; a row that is not as it was written, or repeats a key, is named
    on stderr and removed, so that it can be made again.
    """

    def __init__(
        self, path: Path, columns: tuple[str, ...], *, key: tuple[str, ...] | None = None
    ) -> None:
        """Open `path`, or make it with a header of `columns` when the first row comes.

        No two rows agree in all columns of `key`, if one is given. Raises UserError where the file
        is of another table, or none.
        """
        self.path, self.columns, self._key = path, columns, key
        self.rows: list[dict[str, str]] = []
        self._keys: set[tuple[str, ...]] = set()
        if path.exists():
            self._read()

    def append(self, row: Mapping[str, object]) -> None:
        """Add one row; returns when it is on disk."""
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
        return self._key is None or tuple(row[column] for column in self._key) not in self._keys

    def _hold(self, row: dict[str, str]) -> None:
        self.rows.append(row)
        if self._key is not None:
            self._keys.add(tuple(row[column] for column in self._key))
