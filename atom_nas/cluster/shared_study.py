"""A study that many processes enter trials into, and what makes a thing done once there.

**First come.** Optuna's storage gives a trial its number under a lock on the row of its study, and
writes the attributes that it is entered with in the same transaction. So who reads the trials after
it entered its own sees every earlier one whole, and all agree which is the first of a key: that one
is to be done, and every later one is given up by who entered it. No lock outlives a transaction, so
none is left by a process that dies and none is lost with a connection.

**Alive.** A running trial is named by its process every few seconds. One that is not is failed by
Optuna (`fail_stale_trials`), once for all: whoever was taken for dead and is not finds its trial
finished, and throws away what it made of it. A trial with parameters is one of a search, and waits
to be tried by another (Optuna's RetryHeartbeatStaleTrialCallback), twice; then it failed.

**Written twice.** A connection may end after the database has written and before it says so. What
is asked again therefore carries a token, or finds what it wrote.
"""

import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import DBAPIError

from atom_nas.cluster import server as timing
from atom_nas.cluster.server import ALONE, Server

OWNER = "owner"
"""The attribute of a trial that is the token of who entered it."""

MAX_RETRIES = 2
"""A trial whose process died is tried again so often."""

POLL = 0.5
"""Seconds between two looks at what others do."""


class SharedStudy:
    """The study called `name`, of many processes; a new one is of values in `directions`."""

    def __init__(
        self, server: Server, name: str, directions: Sequence[StudyDirection] = ALONE
    ) -> None:
        self.study, self._server = server.study(name, directions), server
        self._storage, self._id = server.storage, self.study._study_id
        self._seen: set[int] = set()
        self._own: set[int] = set()
        self._looked = 0.0

    def read(self) -> list[FrozenTrial]:
        """Return all trials in order; those that are finished are read once."""
        return self._server.patiently(lambda: self.study.get_trials(deepcopy=False))

    def enter(self, trial: FrozenTrial) -> int:
        """Keep `trial` in one transaction, and return its id."""
        token = uuid.uuid4().hex
        trial.user_attrs[OWNER] = token
        is_again = False

        def ask() -> int:
            nonlocal is_again
            if is_again:  # it may be there: the answer was lost
                for each in self.study.get_trials(deepcopy=False):
                    if each.user_attrs.get(OWNER) == token:
                        return each._trial_id
            is_again = True
            return self._storage.create_new_trial(self._id, trial)

        trial_id = self._server.patiently(ask)
        if trial.state == TrialState.RUNNING:
            self._own.add(trial_id)
            self._server.keep_alive(trial_id)
        return trial_id

    def is_own(self, trial: FrozenTrial) -> bool:
        """Say whether `trial` was entered here."""
        return trial._trial_id in self._own

    def take(self, trial: FrozenTrial) -> bool:
        """Say whether a trial that waits is now to be told here."""

        def ask() -> bool:
            try:
                return self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
            except UpdateFinishedTrialError:
                return False

        if is_taken := self._server.patiently(ask):
            self._server.keep_alive(trial._trial_id)
        return is_taken

    def finish(
        self,
        trial_id: int,
        attrs: Mapping[str, Any],
        state: TrialState,
        values: Sequence[float] | None = None,
    ) -> None:
        """Tell the end of an entered trial; where it was taken for dead, nothing is kept."""
        self._server.patiently(lambda: self._finish(trial_id, attrs, state, values))
        self._let_go(trial_id)

    def leave(self, trial_id: int) -> None:
        """Give an entered trial up; where the database is away, it dies by itself."""
        self._let_go(trial_id)
        with suppress(DBAPIError, StorageInternalError):
            self._finish(trial_id, {}, TrialState.FAIL, None)

    def wait(self) -> None:
        """Wait a moment for the trials of others, and bury those whose process died."""
        time.sleep(POLL)
        self.bury()

    def bury(self) -> None:
        """Fail the trials that were not named for long, now and then.

        A trial that died before it was ever named would never be found dead: who sees one for the
        first time names it once. After the database was away, the living have the time to
        speak first.
        """
        now = time.monotonic()
        if now - self._looked < timing.HEARTBEAT / 3:
            return
        self._looked = now
        for trial in self.read():
            is_new = trial.state == TrialState.RUNNING and trial._trial_id not in self._seen
            if is_new and not self.is_own(trial):
                self._seen.add(trial._trial_id)
                self._server.heartbeat(trial._trial_id)
        if now - self._server.answers_since > 1.5 * timing.HEARTBEAT:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._server.patiently(lambda: fail_stale_trials(self.study))

    def _finish(
        self,
        trial_id: int,
        attrs: Mapping[str, Any],
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        try:
            for name, each in attrs.items():
                self._storage.set_trial_user_attr(trial_id, name, each)
            self._storage.set_trial_state_values(trial_id, state, values)
        except UpdateFinishedTrialError:
            pass  # written before, or taken for dead

    def _let_go(self, trial_id: int) -> None:
        self._own.discard(trial_id)
        self._server.let_go(trial_id)


def after_death(study: optuna.Study, trial: FrozenTrial) -> None:
    """Have a trial of a search, whose process died, tried again; after two times it failed."""
    if not trial.distributions:
        return
    if len(trial.system_attrs.get("retry_history", [])) < MAX_RETRIES:
        RetryHeartbeatStaleTrialCallback()(study, trial)
        return
    reason = f"its process ended {MAX_RETRIES + 1} times"
    study.add_trial(
        create_trial(
            state=TrialState.FAIL,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**trial.user_attrs, "reason": reason},
            system_attrs=trial.system_attrs,
        )
    )
