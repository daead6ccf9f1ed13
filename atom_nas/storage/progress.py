"""What is told while work goes on: a bar on a terminal, else a line now and then, and a log."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self, TextIO, TypeVar

from tqdm import tqdm

LOG = "log.txt"
"""In a run folder: what was told, each line with the time of day; later calls go on with it."""

SECONDS_APART = 10.0
"""Between two lines about one stage, at least."""

Item = TypeVar("Item")

_log: ContextVar[Path | None] = ContextVar("log", default=None)


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Have all that is told meanwhile written to the end of the file at `path` too."""
    before = _log.set(path)
    try:
        yield
    finally:
        _log.reset(before)


def tell(line: str) -> None:
    """Write `line` to stderr, clear of a progress bar, and to the log."""
    _write(line, sys.stderr)


def note(line: str) -> None:
    """Write `line`, a part of what the command answers, to stdout, and to the log."""
    _write(line, sys.stdout)


def _write(line: str, file: TextIO) -> None:
    tqdm.write(line, file=file)
    _record(line)


def _record(line: str) -> None:
    """Add `line` to the log, if one is kept now."""
    if path := _log.get():
        now = datetime.now().isoformat(sep=" ", timespec="seconds")
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{now} {' '.join(line.split())}\n")


class Progress:
    """A stage of so many units: how many are done, the time left, and what else is to be shown."""

    def __init__(self, stage: str, *, total: int, unit: str) -> None:
        """Begin; a stage of nothing at all is not told of."""
        self.done = 0
        self._stage, self._total, self._unit = stage, total, unit
        self._shown: dict[str, str] = {}
        self._start = self._told = monotonic()
        self._done_then = 0
        is_terminal = sys.stderr.isatty() and total > 0
        self._bar = (
            tqdm(total=total, desc=stage, unit=unit, mininterval=1.0) if is_terminal else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._total:
            took = tqdm.format_interval(monotonic() - self._start)
            self._say(f"stopped after {took}" if kind else f"took {took}")

    def show(self, **values: str) -> None:
        """Show these beside the count from now on, as in best="81.0%"."""
        self._shown |= values
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)

    def reach(self, done: int) -> None:
        """Say that so many units are done."""
        if self._bar is not None:
            self._bar.update(done - self.done)
        self.done = done
        now = monotonic()
        if now - self._start < 1.0:  # what is there so soon was made before, and says no pace
            self._done_then = done
        elif now - self._told >= SECONDS_APART and done < self._total:
            pace = (done - self._done_then) / (now - self._told)
            left = (self._total - done) / pace if pace > 0 else None
            self._say(f"{tqdm.format_interval(left)} left" if left is not None else "")
            self._told, self._done_then = now, done

    def _say(self, timing: str) -> None:
        """Tell where the stage stands; on a terminal, where a bar does, the log alone."""
        shown = [f"{name} {value}" for name, value in self._shown.items()]
        count = f"{self.done:,} of {self._total:,} {self._unit}s"
        line = f"{self._stage}: {', '.join(filter(None, [count, timing, *shown]))}"
        if self._bar is None:
            tell(line)
        else:
            _record(line)


def follow(items: Iterable[Item], stage: str, *, total: int, unit: str) -> Iterator[Item]:
    """Yield each of `items`, `total` of them, and tell how far the stage is."""
    with Progress(stage, total=total, unit=unit) as progress:
        for done, item in enumerate(items, start=1):
            progress.reach(done)
            yield item
