"""The trials of a search: where they lie, and what each of them counts for.

A trial has a place in the search from when it is entered: the first so many places, in the order of
the trials' numbers, are those that count, and no two of them are of one candidate.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, Protocol

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

DRAW = "draw"
"""The attribute of a trial that is the number of its draw, from 0: alone, that of the trial."""


class Study(Protocol):
    """A study that is open, alone or with others."""

    study: optuna.Study

    def read(self) -> list[FrozenTrial]:
        """Return all trials in order."""

    def enter(self, trial: FrozenTrial) -> int:
        """Keep `trial`, in one operation, and return its id."""

    def take(self, trial: FrozenTrial) -> bool:
        """Say whether a trial that waits is now to be told here."""

    def finish(
        self,
        trial_id: int,
        attrs: Mapping[str, Any],
        state: TrialState,
        values: Sequence[float] | None = None,
    ) -> None:
        """Tell the end of an entered trial; where it was taken for dead, nothing is kept."""

    def leave(self, trial_id: int) -> None:
        """Give an entered trial up: it has no place from now on."""

    def wait(self) -> None:
        """Wait a moment for the trials of others."""


class Trials(Protocol):
    """Where the studies of a run lie."""

    def find(self) -> list[FrozenTrial]:
        """Return the trials of the last search so far, none where there was no search."""

    def open(
        self,
        goes_by: str,
        directions: Sequence[StudyDirection],
        again: Callable[[list[FrozenTrial]], Iterator[FrozenTrial]],
    ) -> Study:
        """Open the study by the objective with the digest `goes_by`, of values in `directions`.

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


def _draws(trials: Iterable[FrozenTrial]) -> set[int]:
    """Return the numbers of the draws of `trials`; one that is lost is to be drawn again."""
    return {int(each.user_attrs.get(DRAW, each.number)) for each in trials if not is_lost(each)}


class Standing:
    """What the trials of a study come to, where each that is finished is looked at once."""

    def __init__(self) -> None:
        self._num_settled = 0
        self._counted: list[FrozenTrial] = []
        self._by_name: dict[str, FrozenTrial] = {}
        self._draws: set[int] = set()
        self._next = self._idle = 0
        self._rest: Sequence[FrozenTrial] = ()
        self.given_up: int | None = None
        """The number of the last trial given up here: another had its candidate or place first."""

    def take_in(self, trials: Sequence[FrozenTrial]) -> None:
        """Go by `trials` from now on, all of the study in order."""
        for trial in islice(trials, self._num_settled, None):
            if not trial.state.is_finished():
                break
            self._num_settled += 1
            self._draws |= _draws([trial])
            if is_counted(trial):
                self._counted.append(trial)
                self._by_name.setdefault(trial.user_attrs.get("candidate", ""), trial)
                self._idle = 0
            elif not is_lost(trial):
                self._idle += 1
        while self._next in self._draws:
            self._next += 1
        self._rest = trials[self._num_settled :]

    @property
    def counted(self) -> list[FrozenTrial]:
        """The finished trials that tried a candidate of their own."""
        return [*self._counted, *filter(is_counted, self._rest)]

    @property
    def places(self) -> int:
        """How many places are taken: one for each candidate, whoever else entered it at once."""
        return len(self._counted) + len(self._holders())

    @property
    def next_draw(self) -> int:
        """The smallest number of a draw that nobody made; two may now make the same one at once."""
        made = self._draws | _draws(self._rest)
        return next(number for number in count(self._next) if number not in made)

    @property
    def idle(self) -> int:
        """How many trials in a row, up to the last, have no place; those lost are none."""
        found = 0
        for trial in reversed(self._rest):
            if has_place(trial):
                return found
            found += not is_lost(trial)
        return self._idle + found

    @property
    def waiting(self) -> FrozenTrial | None:
        """The first trial that waits to be told, or None."""
        return next((each for each in self._rest if each.state == TrialState.WAITING), None)

    def twin(self, name: str) -> FrozenTrial | None:
        """Return the first trial that has a place with the candidate called `name`, or None."""
        names = (each for each in self._rest if each.user_attrs.get("candidate") == name)
        return self._by_name.get(name) or next(filter(has_place, names), None)

    def is_first(self, trial: FrozenTrial, num_trials: int) -> bool:
        """Say whether `trial` is among the first so many, and no earlier has its candidate."""
        holders = self._holders()
        earlier = sum(each.number < trial.number for each in holders)
        is_holder = any(each.number == trial.number for each in holders)
        return is_holder and len(self._counted) + earlier < num_trials

    def _holders(self) -> list[FrozenTrial]:
        """Return those of the unsettled that have a place and are the first of their candidate."""
        found, names = [], set[str]()
        for trial in filter(has_place, self._rest):
            name = trial.user_attrs.get("candidate")
            if name is None or (name not in names and name not in self._by_name):
                found.append(trial)
                names.update([name] if name else [])
        return found
