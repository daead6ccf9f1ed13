"""Where a run is kept: in its folder alone, or in a database that many machines share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from atom_nas.search.journal import Journal
from atom_nas.search.trials import Trials
from atom_nas.storage.once import Once, once
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.table import OpenTable

Made = TypeVar("Made")


class Place(Protocol):
    """The tables and searches of a run, and what is made once."""

    @property
    def table(self) -> OpenTable:
        """How a table of the run is opened."""

    @property
    def once(self) -> Once:
        """How a value is made once in the run."""

    @property
    def trials(self) -> Trials:
        """The searches of the run."""

    def fill(self, folder: Path, make: Callable[[], Made]) -> Made:
        """Return what `make` returns, which makes files in `folder` or takes those that are there.

        They are made once in the run.
        """

    def copy(self) -> None:
        """Have all rows in the files of the run folder."""


class InFolder:
    """The `Place` of one process: the run folder."""

    table, once = staticmethod(RowLog), staticmethod(once)

    def __init__(self, folder: Path) -> None:
        self.trials = Journal(folder / "study.journal")

    def fill(self, folder: Path, make: Callable[[], Made]) -> Made:
        """Return what `make` returns."""
        return make()

    def copy(self) -> None:
        """Do nothing: they are there."""


@contextmanager
def open_shared(
    storage: str | None, name: str, settings: Mapping[str, Any]
) -> Iterator[Place | None]:
    """Open the run called `name` in the database at the URL `storage`; None where none is given.

    Raises UserError where it cannot be reached, or was begun with other `settings`.
    """
    if storage is None:
        yield None
        return
    from atom_nas.cluster.address import Address
    from atom_nas.cluster.server import Server
    from atom_nas.cluster.shared_run import SharedRun
    from atom_nas.cluster.shared_study import after_death

    with closing(Server(Address(storage), after_death)) as server:
        run = SharedRun(server, name)
        run.hold_to(settings)
        yield run
