"""Free scores: what a candidate's size and its untrained net tell, each taken once."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atom_nas.audit.ranking import rank_average
from atom_nas.audit.zero_cost import SCORES, score_all
from atom_nas.data.images import Dataset
from atom_nas.scoring.estimator import Estimator
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.storage import Table, derive_seed
from atom_nas.training.fit import Examples

COLUMNS = ("candidate", "score", "value", "seconds")
SIZES = ("num_params", "macs")
AVERAGED = ("synflow", "jacob_cov", "naswot", "num_params")
"""Whose rank average is `free_average`."""

BATCH_SIZE = 64


class FreeScores:
    """The table of free scores at a path, which takes those that it does not hold."""

    def __init__(
        self, path: Path, *, space: Space, dataset: Dataset, seed: int, device: torch.device
    ) -> None:
        """Open the table, and draw the batch of training images that nets are scored on."""
        self._table = Table(path, COLUMNS)
        self._rows = {(row["candidate"], row["score"]): row for row in self._table.rows}
        self._space, self._seed, self._device = space, seed, device
        generator = torch.Generator().manual_seed(derive_seed(seed, "free"))
        chosen = torch.randperm(len(dataset.train), generator=generator)[:BATCH_SIZE]
        batch = dataset.train.select(chosen)
        self._batch = Examples(images=dataset.normalization(batch.pixels), labels=batch.labels).to(
            device
        )

    def estimators(self, sample: Iterable[Any]) -> list[Estimator]:
        """Return the sizes, the training-free scores and `free_average` of all in `sample`.

        A score that cannot be taken ranks below all others.
        """
        rows = [self._score(architecture) for architecture in sample]
        found = {name: _estimator(name, [row[name] for row in rows]) for name in (*SIZES, *SCORES)}
        averaged = [found[name] for name in AVERAGED]
        found["free_average"] = Estimator(
            name="free_average",
            kind="rank_average",
            scores=rank_average(*(each.scores for each in averaged)),
            seconds_per_candidate=sum(each.seconds_per_candidate for each in averaged),
        )
        return list(found.values())

    def _score(self, architecture: Any) -> dict[str, tuple[float, float]]:
        """Return name -> (score, seconds) of one candidate."""
        name = candidate_name(architecture)
        if (name, "macs") not in self._rows:  # written last
            for score, (value, seconds) in self._measure(architecture).items():
                row = {"candidate": name, "score": score, "value": value, "seconds": seconds}
                self._table.append(row)
                self._rows[name, score] = self._table.rows[-1]
        rows = {score: self._rows[name, score] for score in (*SIZES, *SCORES)}
        return {k: (float(row["value"]), float(row["seconds"])) for k, row in rows.items()}

    def _measure(self, architecture: Any) -> dict[str, tuple[float, float]]:
        def build() -> torch.nn.Module:
            return self._space.build(architecture, seed=self._seed).to(self._device)

        try:
            scores = score_all(build, self._batch.images, self._batch.labels)
        except Exception:
            scores = dict.fromkeys(SCORES, (np.nan, 0.0))
        cost = self._space.cost(architecture)
        return {**scores, "num_params": (cost.num_params, 0.0), "macs": (cost.macs, 0.0)}


def _estimator(name: str, rows: Sequence[tuple[float, float]]) -> Estimator:
    values, seconds = np.array(rows, dtype=float).T
    lowest = np.nanmin(values, initial=0.0)
    return Estimator(
        name=name,
        kind="size" if name in SIZES else "zero_cost",
        scores=np.where(np.isfinite(values), values, lowest - 1),
        seconds_per_candidate=float(seconds.mean()),
    )
