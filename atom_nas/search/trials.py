"""The trials of a search: where they lie, and what each of them counts for.

A trial has a place in the search from when it is entered: the first so many places, in the order of
the trials' numbers, are those that count, and no two of them are of one candidate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState


class Study(Protocol):
    """A study that is open, alone or with others."""

    study: optuna.Study

    def read(self) -> list[FrozenTrial]:
        """Return all trials in order."""

    def enter(self, trial: FrozenTrial) -> FrozenTrial:
        """Keep `trial`, in one operation, and return it with its number."""

    def take(self, trial: FrozenTrial) -> bool:
        """Say whether a trial that waits is now to be told here."""

    def finish(
        self,
        trial: FrozenTrial,
        attrs: Mapping[str, Any],
        state: TrialState,
        value: float | None = None,
    ) -> None:
        """Tell the end of an entered trial; where it was taken for dead, nothing is kept."""

    def leave(self, trial: FrozenTrial) -> None:
        """Give an entered trial up: it has no place from now on."""

    def wait(self) -> None:
        """Wait a moment for the trials of others."""


class Trials(Protocol):
    """Where the studies of a run lie."""

    def find(self) -> list[FrozenTrial]:
        """Return the trials of the last search so far, none where there was no search."""

    def open(
        self, goes_by: str, again: Callable[[list[FrozenTrial]], Iterator[FrozenTrial]]
    ) -> Study:
        """Open the study by the objective with the digest `goes_by`.

        Trials that another objective left in its place are told `again` first.
        """


def is_lost(trial: FrozenTrial) -> bool:
    """Say whether `trial` is nobody's: its process died, or another was first."""
    attrs = trial.user_attrs
    return trial.state == TrialState.FAIL and not ("reason" in attrs or "uncounted" in attrs)


def has_place(trial: FrozenTrial) -> bool:
    """Say whether `trial` tried, tries or waits to try a candidate of its own."""
    return "uncounted" not in trial.user_attrs and not is_lost(trial)


def is_counted(trial: FrozenTrial) -> bool:
    """Say whether `trial` is finished, and tried a candidate of its own."""
    return trial.state.is_finished() and has_place(trial)


def idle(trials: Sequence[FrozenTrial]) -> int:
    """Return how many of `trials` in a row, up to the last, have no place."""
    known = (trial for trial in reversed(trials) if not is_lost(trial))
    return sum(1 for _ in takewhile(lambda trial: not has_place(trial), known))
