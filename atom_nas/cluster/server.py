"""The database of a shared run: opened once, waited for where it is away, told who is alive.

What a process has under way it names every `HEARTBEAT` seconds; Optuna's storage takes for dead
what was not named for `GRACE` seconds by the clock of the database.
"""

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import create_engine, text
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from atom_nas.cluster.address import Address
from atom_nas.errors import OutOfReach, UserError, explain
from atom_nas.storage.progress import tell

HEARTBEAT, GRACE = 15, 60
PATIENCE = 600.0
"""Seconds for which a database that was there is waited for."""

OPENING_SECONDS = 10
"""For a connection to be made."""

_OPENING = 0x61746F6D
"""The advisory lock under which one process at a time makes Optuna's tables."""

ALONE = (StudyDirection.MAXIMIZE,)
"""Of the values of a study that has one."""

Found = TypeVar("Found")


class Server:
    """One process's connections to the database."""

    def __init__(
        self, address: Address, after_death: Callable[[optuna.Study, FrozenTrial], None]
    ) -> None:
        """Connect, and make Optuna's tables where there are none.

        `after_death` is called with a trial that was failed as its process had died. Raises
        UserError where that cannot be done: nothing is waited for at the start.
        """
        self.address, self._after_death = address, after_death
        self._engine_kwargs = {"connect_args": {"connect_timeout": OPENING_SECONDS}}
        try:
            self.rdb = self._open()
        except (ImportError, NoSuchModuleError):
            raise UserError(
                f"the driver of --storage {address.url.drivername} is not installed; "
                'pip install "atom_nas[cluster]".'
            ) from None
        except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            raise UserError(
                f"the database at {address} cannot be used ({self._reason(error)}); see that it "
                "runs, and that --storage names its user, password and host."
            ) from None
        self.storage = get_storage(self.rdb)
        self.answers_since = time.monotonic()
        self._alive: set[int] = set()
        self._closed = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        self._heart.start()

    def study(self, name: str, directions: Sequence[StudyDirection] = ALONE) -> optuna.Study:
        """Return the study called `name`, made where there is none, of values in `directions`."""
        return self.patiently(
            lambda: optuna.create_study(
                storage=self.storage,
                study_name=name,
                directions=directions,
                load_if_exists=True,
            )
        )

    def patiently(self, ask: Callable[[], Found]) -> Found:
        """Return what `ask` returns, asked again while the database is away.

        What `ask` writes it may have written before it is asked again. Raises OutOfReach after
        `PATIENCE` seconds.
        """
        start, wait = time.monotonic(), 0.1
        while True:
            try:
                found = ask()
            except (DBAPIError, StorageInternalError) as error:
                if not _is_away(error):
                    raise
                waited, self.answers_since = time.monotonic() - start, float("inf")
                if waited > PATIENCE:
                    raise OutOfReach(
                        f"the database at {self.address} has not answered for {waited:.0f} s "
                        f"({self._reason(error)}); what is finished is kept: start it, and run "
                        "the same command again."
                    ) from None
                if wait == 1.6:
                    tell(f"the database at {self.address} does not answer; waiting for it.")
                time.sleep(wait)
                wait = min(2 * wait, 5.0)
            else:
                if self.answers_since == float("inf"):
                    self.answers_since = time.monotonic()
                return found

    def heartbeat(self, trial_id: int) -> None:
        """Name the trial once."""
        self.patiently(lambda: self.rdb.record_heartbeat(trial_id))

    def keep_alive(self, trial_id: int) -> None:
        """Have the trial named from now on."""
        self._alive.add(trial_id)

    def let_go(self, trial_id: int) -> None:
        """Name the trial no more."""
        self._alive.discard(trial_id)

    def close(self) -> None:
        """End the connections."""
        self._closed.set()
        self._heart.join()
        self.rdb.remove_session()
        self.rdb.engine.dispose()

    def _open(self) -> RDBStorage:
        url = self.address.url.render_as_string(hide_password=False)
        engine = create_engine(self.address.url, **self._engine_kwargs)
        try:
            with engine.begin() as connection:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_OPENING})"))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    return RDBStorage(
                        url.replace("{", "{{").replace("}", "}}"),
                        engine_kwargs=self._engine_kwargs,
                        heartbeat_interval=HEARTBEAT,
                        grace_period=GRACE,
                        heartbeat_stale_trial_callback=self._after_death,
                    )
        finally:
            engine.dispose()

    def _beat(self) -> None:
        """Name what is alive, until the process ends or closes."""
        while not self._closed.wait(HEARTBEAT):
            for trial_id in [*self._alive]:
                try:
                    self.rdb.record_heartbeat(trial_id)
                except (DBAPIError, StorageInternalError):  # who works waits for it, or says so
                    break
            self.rdb.remove_session()
        self.rdb.remove_session()

    def _reason(self, error: Exception) -> str:
        cause = _cause(error)
        original = getattr(cause, "orig", None) or cause or error
        return self.address.hide(explain(original))[:300]


def _cause(error: Exception) -> BaseException:
    return (error.__cause__ or error) if isinstance(error, StorageInternalError) else error


def _is_away(error: Exception) -> bool:
    """Say whether the database may answer when it is asked again.

    A connection that is cut within a transaction may be seen only by what comes next in it, as one
    that was not rolled back.
    """
    cause = _cause(error)
    is_cut = isinstance(cause, DBAPIError) and cause.connection_invalidated
    return is_cut or isinstance(cause, OperationalError | InterfaceError | PendingRollbackError)
