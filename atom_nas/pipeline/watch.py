"""What is shown and written of a search while it goes on."""

from pathlib import Path
from time import monotonic

from atom_nas.scoring.space import Space
from atom_nas.search.candidate import Candidate, best_first
from atom_nas.search.objectives import Objectives
from atom_nas.search.table import write_candidates
from atom_nas.storage.progress import Progress

SHARE = 20
"""All candidates are gone through again when so many times as long as it took last has passed."""


class Watch:
    """Shows the best candidate on `progress`, and writes all to `path`, in 5% of the time."""

    def __init__(
        self, progress: Progress, path: Path, space: Space, objectives: Objectives
    ) -> None:
        self._progress, self._path, self._space = progress, path, space
        self._objectives = objectives
        self._again = 0.0

    def __call__(self, candidates: list[Candidate]) -> None:
        """Take note of the `candidates` so far."""
        self._progress.reach(len(candidates))
        if (start := monotonic()) < self._again:
            return
        if best := best_first(candidates):
            self._progress.show(best=f"{best[0].accuracy:.1%}")
        write_candidates(self._path, candidates, self._space, self._objectives)
        self._again = monotonic() + SHARE * (monotonic() - start)
