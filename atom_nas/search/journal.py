"""The journal of a study: a file of operations that no kill, interrupt or torn line can hurt.

Beside it lies the digest of what it held after the last finished trial, so that a flipped bit is
seen. What was trained stands in other tables: a journal that was deleted is told again at no cost.
"""

import hashlib
import json
import os
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from atom_nas.errors import UserError, explain
from atom_nas.storage.files import drop_torn_line, read_json, write_json

STUDY_NAME = "search"

CREATE_TRIAL, SET_TRIAL_STATE = 4, 6
"""Codes of operations in Optuna's journal; every version reads the older ones' files."""


def open_study(path: Path) -> optuna.Study:
    """Open the study in the journal at `path`, alone, or make it.

    What a killed or interrupted writer left is removed: a torn line, a lock, and trials without an
    end with those asked beside them, which are then drawn again alike. Raises UserError where the
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
            direction="maximize",
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
    write_json(
        _seal_of(path), {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    )


def unseal(path: Path) -> None:
    """Let the journal at `path` be another, until it is sealed again."""
    _seal_of(path).unlink(missing_ok=True)


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
    """Cut from the journal the trials that were asked together, where not all of them were told."""
    lines = path.read_bytes().splitlines(keepends=True)
    begin, untold = 0, 0
    for number, line in enumerate(lines):
        operation = json.loads(line)
        if operation["op_code"] == CREATE_TRIAL and "state" not in operation:
            begin = begin if untold else number
            untold += 1
        elif operation["op_code"] == SET_TRIAL_STATE:
            untold -= 1
    if untold:
        os.truncate(path, sum(map(len, lines[:begin])))
