"""What a table of rows that are made once offers, whether one process fills it or many machines."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

Key = tuple[str, ...]
"""The cells by which a row is found again."""

Row = Mapping[str, object]


class Table(Protocol):
    """Rows of text by key. Who would make a row claims it first, so that no other makes it too."""

    rows: list[dict[str, str]]

    def find(self, key: Key) -> dict[str, str] | None:
        """Return the row of `key`, or None where there is none."""

    def append(self, row: Row, attached: bytes = b"") -> None:
        """Add one row, and what is `attached` to it; returns when they are kept.

        Where another has made a row that was claimed here, that one stays.
        """

    def attached(self, digest: str) -> bytes | None:
        """Return what was attached to a row and has this SHA-256, or None where it is not kept."""

    def free(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of `keys` that have no row and that nobody makes now."""

    def claim(self, key: Key) -> bool:
        """Say whether the row of `key` is to be made here."""

    def release(self, keys: Iterable[Key]) -> None:
        """Let go of those of `keys` that were claimed here and have no row."""

    def wait(self) -> None:
        """Wait a moment for the rows of others, and take them in."""


class OpenTable(Protocol):
    """How the table is opened that has a copy, or all that there is of it, at `path`."""

    def __call__(
        self,
        path: Path,
        columns: tuple[str, ...],
        *,
        key: tuple[str, ...] = (),
        is_renewable: bool = False,
    ) -> Table:
        """Return the table of `columns`."""


Work = Callable[[list[Key], Callable[[Key], bool]], Iterable[tuple[Row, bytes]]]
"""From the keys that are wanted and who says, as one would begin, whether it may, to their rows."""


def fill(
    table: Table, keys: Iterable[Key], work: Work, may_begin: Callable[[], bool] = lambda: True
) -> Iterator[Key]:
    """Have `work` make the rows of `keys` that lack; yield each key as its row is there.

    Rows that others make at that time are awaited, and made here should the others die. Where
    `may_begin` says no, what is under way is finished and the rest left.
    """
    left = dict.fromkeys(keys)

    def found() -> Iterator[Key]:
        for key in [key for key in left if table.find(key)]:
            del left[key]
            yield key

    try:
        yield from found()
        while left and may_begin():
            if free := table.free([*left]):
                for row, attached in work(free, lambda key: may_begin() and table.claim(key)):
                    table.append(row, attached)
                    yield from found()
            if left:
                table.wait()
                yield from found()
    finally:
        table.release(left)
