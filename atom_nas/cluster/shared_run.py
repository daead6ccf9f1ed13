"""A run that many machines share: its tables, searches, files, and what is made once for all.

Everything lies in studies of one database whose names begin with that of the run. The run folder of
each machine holds copies in the files of a run of one machine, and its own exports and report.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from atom_nas.cluster.files import SharedFiles, pack, unpack
from atom_nas.cluster.server import Server
from atom_nas.cluster.shared_study import SharedStudy
from atom_nas.cluster.shared_table import SharedTable
from atom_nas.errors import UserError
from atom_nas.storage.files import canonical_json
from atom_nas.storage.once import keep, kept
from atom_nas.storage.run_folder import differences

SEARCH = "search"
"""The attribute of the run's own study that names the study of the last search."""


Made = TypeVar("Made")


class SharedRun:
    """The run called `name` on a server."""

    def __init__(self, server: Server, name: str) -> None:
        """Open it, or begin it."""
        self.name, self._server, self._study = name, server, server.study(name)
        self.trials = self
        self._search: str | None = None
        self._files = SharedFiles(server, f"{name}/files")
        self._tables: list[SharedTable] = []
        self._made = self.table(Path("made"), ("name", "value"), key=("name",))
        self._tables.clear()  # what is made has copies of its own

    def table(
        self,
        path: Path,
        columns: tuple[str, ...],
        *,
        key: tuple[str, ...] = (),
        is_renewable: bool = False,
    ) -> SharedTable:
        """Return the table of `columns` whose copy is at `path`; be the `OpenTable` of the run."""
        table = SharedTable(
            SharedStudy(self._server, f"{self.name}/{path.name}"),
            path,
            columns,
            key=key,
            is_renewable=is_renewable,
            keep=self._files.put,
            kept=self._files.get,
        )
        self._tables.append(table)
        return table

    def once(self, path: Path, name: str, make: Callable[[], Any]) -> Any:
        """Return the value called `name` in the file at `path`; be the `Once` of the run."""
        value = self._make_once(f"{path.name}/{name}", make)
        if value is not None and kept(path).get(name) != value:
            keep(path, name, value)
        return value

    def fill(self, folder: Path, make: Callable[[], Made]) -> Made:
        """Return what `make` returns, which makes files in `folder` or takes those that are there.

        One machine makes them, and every other has its files.
        """

        def made() -> str:
            make()
            return self._files.put(pack(folder))

        found = self._make_once(f"{folder.parent.name}/{folder.name}", made)
        if self._files.digest(pack(folder)) != found:
            content = self._files.get(found)
            assert content is not None, found
            unpack(content, folder)
        return make()

    def hold_to(self, settings: Mapping[str, Any]) -> None:
        """Hold the run to the `settings` that it was begun with; UserError where they differ."""
        wanted = json.loads(canonical_json(settings))
        made_with = self._make_once("settings", lambda: wanted)
        if changed := differences(made_with, wanted):
            raise UserError(
                f"the run {self.name} in --storage was made with {changed}; repeat those "
                "settings, or give --out another name."
            )

    def find(self) -> list[FrozenTrial]:
        """Return the trials so far of the search that was opened here, else of the last anywhere.

        None where there was no search.
        """
        name = self._search or self._server.patiently(lambda: self._study.user_attrs).get(SEARCH)
        return SharedStudy(self._server, name).read() if name else []

    def open(
        self,
        goes_by: str,
        directions: Sequence[StudyDirection],
        again: Callable[[list[FrozenTrial]], Iterator[FrozenTrial]],
    ) -> SharedStudy:
        """Open the study by the objective with the digest `goes_by`: each has a study of its own.

        It draws its uniform start alike, and what was trained for another is not trained again.
        """
        name = f"{self.name}/search {goes_by[:8]}"
        study = SharedStudy(self._server, name, directions)
        self._server.patiently(lambda: self._study.set_user_attr(SEARCH, name))
        self._search = name
        return study

    def copy(self) -> None:
        """Write what the tables hold to the run folder."""
        for table in self._tables:
            table.copy()

    def _make_once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the value called `name`, made by one; None where that one made None."""
        key, table = (name,), self._made
        try:
            while (row := table.find(key)) is None:
                if table.free([key]) and table.claim(key):
                    if (value := make()) is None:
                        return None
                    table.append({"name": name, "value": json.dumps(value)})
                else:
                    table.wait()
        finally:
            table.release([key])
        return json.loads(row["value"])
