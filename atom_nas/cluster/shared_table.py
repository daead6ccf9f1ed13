"""A table whose rows are trials of a study: who claims a key enters a trial, its end is the row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState, create_trial

from atom_nas.cluster.shared_study import SharedStudy
from atom_nas.storage.files import format_row, parse_row, write_csv
from atom_nas.storage.table import Key, Row

KEY, ROW = "key", "row"
"""The attributes of a trial that is a claim, and of one that is a row."""


class SharedTable:
    """A `Table` of many processes."""

    def __init__(
        self,
        study: SharedStudy,
        path: Path,
        columns: tuple[str, ...],
        *,
        key: tuple[str, ...],
        is_renewable: bool = False,
        keep: Callable[[bytes], str],
        kept: Callable[[str], bytes | None],
    ) -> None:
        """Read the rows in `study`; what is attached to one is kept by `keep`, by its digest."""
        self.rows: list[dict[str, str]] = []
        self._study, self._path, self._columns, self._key = study, path, columns, key
        self._is_renewable, self._keep, self._kept = is_renewable, keep, kept
        self._found: dict[Key, dict[str, str]] = {}
        self._claimed: dict[Key, int] = {}
        self._taken_in: set[int] = set()
        self._refresh()

    def find(self, key: Key) -> dict[str, str] | None:
        """Return the row of `key`, or None where there is none."""
        return self._found.get(key)

    def append(self, row: Row, attached: bytes = b"") -> None:
        """Add one row, and what is `attached` to it; returns when they are kept.

        Where another has made a row that was claimed here, that one stays.
        """
        line = format_row(self._columns, (row[column] for column in self._columns))
        cells = parse_row(self._columns, line.encode())
        assert cells is not None, row
        key = tuple(cells[column] for column in self._key)
        if attached:
            self._keep(attached)
        if (claim := self._claimed.pop(key, None)) is not None:
            self._study.finish(claim, {ROW: cells}, TrialState.COMPLETE, [0.0])
        else:
            attrs = {KEY: list(key), ROW: cells}
            self._study.enter(create_trial(state=TrialState.COMPLETE, value=0.0, user_attrs=attrs))
        self._refresh()

    def attached(self, digest: str) -> bytes | None:
        """Return what was attached to a row and has this SHA-256, or None where it is not kept."""
        return self._kept(digest)

    def free(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of `keys` that have no row and that nobody makes now."""
        self._study.bury()
        under_way = {_key_of(trial) for trial in self._refresh() if _is_under_way(trial)}
        busy = under_way - self._claimed.keys()
        return [key for key in keys if key not in self._found and key not in busy]

    def claim(self, key: Key) -> bool:
        """Say whether the row of `key` is to be made here."""
        if key in self._claimed:
            return True
        if self._holder(key):
            return False
        claim = create_trial(state=TrialState.RUNNING, user_attrs={KEY: list(key)})
        claim_id = self._study.enter(claim)
        holder = self._holder(key)
        if holder is None or not self._study.is_own(holder):
            self._study.leave(claim_id)
            return False
        self._claimed[key] = claim_id
        return True

    def release(self, keys: Iterable[Key]) -> None:
        """Let go of those of `keys` that were claimed here and have no row."""
        for key in keys:
            if (claim := self._claimed.pop(key, None)) is not None:
                self._study.leave(claim)

    def wait(self) -> None:
        """Wait a moment for the rows of others, and take them in."""
        self._study.wait()
        self._refresh()

    def copy(self) -> None:
        """Write the rows, all that are there now, to the table's file."""
        self._refresh()
        if self.rows:
            write_csv(self._path, self._columns, [row.values() for row in self.rows])

    def _holder(self, key: Key) -> FrozenTrial | None:
        """Return the first trial that makes the row of `key`, or made it."""
        states = (TrialState.RUNNING, TrialState.COMPLETE)
        holders = (t for t in self._refresh() if t.state in states and _key_of(t) == key)
        return next(holders, None)

    def _refresh(self) -> list[FrozenTrial]:
        """Take in the rows that are new; return all trials in order."""
        trials = self._study.read()
        for trial in trials:
            if trial.state == TrialState.COMPLETE and trial.number not in self._taken_in:
                self._taken_in.add(trial.number)
                self._hold(trial.user_attrs[ROW])
        return trials

    def _hold(self, row: Mapping[str, str]) -> None:
        cells = {column: row[column] for column in self._columns}
        key = tuple(cells[column] for column in self._key)
        if self._is_renewable or key not in self._found:
            self.rows.append(cells)
            self._found[key] = cells


def _key_of(trial: FrozenTrial) -> Key:
    return tuple(trial.user_attrs[KEY])


def _is_under_way(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING
