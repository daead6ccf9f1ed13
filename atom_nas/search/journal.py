"""The journal of a study: a file of operations that no kill, interrupt or torn line can hurt.

Beside it lies the digest of what it held after the last finished trial, so that a flipped bit is
seen. What was trained stands in other tables: a journal that was deleted is told again at no cost.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from atom_nas.errors import UserError, explain
from atom_nas.storage.files import drop_torn_line, read_json, write_json

STUDY_NAME = "search"

CREATE_TRIAL, SET_TRIAL_STATE = 4, 6
"""Codes of operations in Optuna's journal; every version reads the older ones' files."""

GOES_BY = "goes_by"
"""The attribute of a study that names what its values are."""


class Journal:
    """The `Trials` of one process: the study in the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self) -> list[FrozenTrial]:
        """Return the trials so far, none where there was no search."""
        return open_study(self.path).get_trials(deepcopy=False) if self.path.exists() else []

    def open(
        self,
        goes_by: str,
        directions: Sequence[StudyDirection],
        again: Callable[[list[FrozenTrial]], Iterator[FrozenTrial]],
    ) -> "OneStudy":
        """Open the study; where it went by another objective, with its trials told `again`."""
        study = open_study(self.path, directions)
        is_other = study.user_attrs.get(GOES_BY, goes_by) != goes_by
        if is_other or len(study.directions) != len(directions):
            beside = self.path.with_name(f".{self.path.name}.again")
            beside.unlink(missing_ok=True)
            told = open_study(beside, directions)
            for trial in again(study.get_trials()):
                told.add_trial(trial)
            told.set_user_attr(GOES_BY, goes_by)
            unseal(self.path)
            beside.replace(self.path)
            seal(self.path)
            study = open_study(self.path)
        study.set_user_attr(GOES_BY, goes_by)
        return OneStudy(study, self.path)


class OneStudy:
    """The `Study` that one process goes on with: nobody else enters a trial."""

    def __init__(self, study: optuna.Study, path: Path) -> None:
        self.study, self._path = study, path
        self._storage, self._id = study._storage, study._study_id
        self._sha, self._num_bytes, self._num_untold = hashlib.sha256(), 0, 0

    def read(self) -> list[FrozenTrial]:
        """Return all trials in order."""
        return self.study.get_trials(deepcopy=False)

    def enter(self, trial: FrozenTrial) -> int:
        """Keep `trial`, and return its id."""
        self._num_untold += trial.state == TrialState.RUNNING
        return self._storage.create_new_trial(self._id, trial)

    def take(self, trial: FrozenTrial) -> bool:
        """Return False: no trial waits for anybody."""
        return False

    def finish(
        self,
        trial_id: int,
        attrs: Mapping[str, Any],
        state: TrialState,
        values: Sequence[float] | None = None,
    ) -> None:
        """Tell the end of an entered trial."""
        for name, each in attrs.items():
            self._storage.set_trial_user_attr(trial_id, name, each)
        self._storage.set_trial_state_values(trial_id, state, values)
        self._num_untold -= 1
        if not self._num_untold:  # else what was drawn together may be dropped yet
            self._seal()

    def leave(self, trial_id: int) -> None:
        """Let an entered trial be: it is dropped when the journal is opened again."""

    def wait(self) -> None:
        """Do nothing: there is nobody to wait for."""

    def _seal(self) -> None:
        """Keep the digest of the journal as it is now, by what it has grown since the last."""
        with open(self._path, "rb") as file:
            file.seek(self._num_bytes)
            grown = file.read()
        self._sha.update(grown)
        self._num_bytes += len(grown)
        _write_seal(self._path, self._num_bytes, self._sha.hexdigest())


def open_study(
    path: Path, directions: Sequence[StudyDirection] = (StudyDirection.MAXIMIZE,)
) -> optuna.Study:
    """Open the study in the journal at `path`, alone, or make it, of values in `directions`.

    What a killed or interrupted writer left is removed: a torn line, a lock, and trials without an
    end with those drawn beside them, which are then drawn again alike. Raises UserError where the
    journal is damaged.
    """
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    try:
        if path.exists():
            drop_torn_line(path)
            _check(path)
            _drop_unfinished_trials(path)
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        return optuna.create_study(
            storage=JournalStorage(backend),
            study_name=STUDY_NAME,
            directions=directions,
            load_if_exists=True,
        )
    except OSError:
        raise
    except Exception as error:  # whatever Optuna makes of a damaged line
        raise UserError(
            f"{path} is damaged ({explain(error)}); delete it and run the same command again: "
            "what was trained is kept elsewhere and is not trained again."
        ) from error


def seal(path: Path) -> None:
    """Keep the digest of the journal at `path` as it is now."""
    content = path.read_bytes()
    _write_seal(path, len(content), hashlib.sha256(content).hexdigest())


def unseal(path: Path) -> None:
    """Let the journal at `path` be another, until it is sealed again."""
    _seal_of(path).unlink(missing_ok=True)


def _write_seal(path: Path, num_bytes: int, digest: str) -> None:
    write_json(_seal_of(path), {"bytes": num_bytes, "sha256": digest})


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _check(path: Path) -> None:
    """Raise ValueError where the journal does not begin with what was sealed."""
    try:
        sealed = read_json(_seal_of(path))
        count, expected = int(sealed["bytes"]), str(sealed["sha256"])
    except (UserError, KeyError, TypeError, ValueError):
        return  # no seal, or a damaged one: the next trial makes it again
    content = path.read_bytes()[:count]
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError("its content is not what was written")


def _drop_unfinished_trials(path: Path) -> None:
    """Cut from the journal the trials that were drawn together, where not all of them were told."""
    lines = path.read_bytes().splitlines(keepends=True)
    begin, untold = 0, 0
    for number, line in enumerate(lines):
        operation = json.loads(line)
        code, state = operation["op_code"], operation.get("state", TrialState.RUNNING)
        if code == CREATE_TRIAL and state == TrialState.RUNNING:
            begin = begin if untold else number
            untold += 1
        elif code == SET_TRIAL_STATE:
            untold -= 1
    if untold:
        os.truncate(path, sum(map(len, lines[:begin])))
