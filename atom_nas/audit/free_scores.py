"""Free scores: what a candidate's size and its untrained net tell, each taken once."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atom_nas.audit.against import AVERAGED
from atom_nas.audit.ranking import rank_average
from atom_nas.audit.zero_cost import SCORES
from atom_nas.data.splits import Dataset
from atom_nas.errors import explain
from atom_nas.scoring.estimator import Estimator, mean_of_known
from atom_nas.scoring.space import Space, candidate_name, no_exit
from atom_nas.storage.files import derive_seed
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.table import Key, OpenTable, Row, fill
from atom_nas.training.batches import Examples
from atom_nas.training.devices import is_device_failure
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, FORWARD_TO_IMAGES

COLUMNS = ("candidate", "score", "value", "seconds", "failure")
SIZES = ("num_params", "macs")

BATCH_SIZE = 64

PASSES: Mapping[str, int] = {
    **dict.fromkeys(SIZES, 0),
    "synflow": FORWARD_BACKWARD,
    "naswot": FORWARD * BATCH_SIZE,
    "jacob_cov": FORWARD_TO_IMAGES * BATCH_SIZE,
    **dict.fromkeys(("grad_norm", "snip"), FORWARD_BACKWARD * BATCH_SIZE),
}
"""What a score takes, in forward passes of one image."""


class FreeScores:
    """The table of free scores at a path, which takes those that it does not hold."""

    def __init__(
        self,
        path: Path,
        *,
        space: Space,
        dataset: Dataset,
        seed: int,
        device: torch.device,
        open_table: OpenTable = RowLog,
    ) -> None:
        """Open the table, and draw the batch of training images that nets are scored on."""
        self._table = open_table(path, COLUMNS, key=COLUMNS[:2])
        self._space, self._seed, self._device = space, seed, device
        self._gpus = [device] if device.type == "cuda" else []
        generator = torch.Generator().manual_seed(derive_seed(seed, "free"))
        chosen = torch.randperm(len(dataset.train), generator=generator)[:BATCH_SIZE]
        self._batch = Examples.of(dataset.train.select(chosen), dataset.normalization, device)

    def estimators(self, sample: Iterable[Any]) -> list[Estimator]:
        """Return the sizes, the training-free scores and `free_average` of n >= 1 architectures.

        The order is that of `PASSES`, the average last; scores have shape (n,). One that
        cannot be taken is NaN and ranks below all others; free.csv says why.
        """
        rows = [self._scores(architecture) for architecture in sample]
        found = {name: _estimator(name, [row[name] for row in rows], rows) for name in PASSES}
        return [*found.values(), average([found[name] for name in AVERAGED])]

    def _scores(self, architecture: Any) -> dict[str, tuple[float, float]]:
        """Return name -> (score, seconds) of one candidate."""
        keys = {(candidate_name(architecture), score): score for score in PASSES}

        def take(wanted: list[Key], may: Callable[[Key], bool]) -> Iterator[tuple[Row, bytes]]:
            for candidate, score in filter(may, wanted):
                measured = self._measure(architecture, score)
                yield {"candidate": candidate, "score": score, **measured}, b""

        for _ in fill(self._table, keys, take):
            pass
        rows = {score: row for key, score in keys.items() if (row := self._table.find(key))}
        return {k: (float(row["value"]), float(row["seconds"])) for k, row in rows.items()}

    def _measure(self, architecture: Any, score: str) -> dict[str, object]:
        start, value, failure = time.perf_counter(), np.nan, ""
        try:
            if score in SIZES:
                value, start = getattr(self._space.cost(architecture), score), time.perf_counter()
            else:
                net = self._space.build(architecture, seed=self._seed).to(self._device)
                start = time.perf_counter()
                with no_exit(), torch.random.fork_rng(devices=self._gpus):
                    torch.manual_seed(derive_seed(self._seed, "score"))  # what a dropout draws
                    value = SCORES[score](net, self._batch.images, self._batch.labels)
            if not np.isfinite(value):
                value, failure = np.nan, f"the score is {value}"
        except Exception as error:
            if is_device_failure(error):
                raise
            failure = explain(error)
        return {"value": value, "seconds": time.perf_counter() - start, "failure": failure}


def average(estimators: Sequence[Estimator]) -> Estimator:
    """Return `free_average`, the mean rank by these scores of the same candidates."""
    return Estimator(
        name="free_average",
        kind="rank_average",
        scores=rank_average(*(each.ranked for each in estimators)),
        macs_per_candidate=sum(each.macs_per_candidate for each in estimators),
        seconds_per_candidate=sum(each.seconds_per_candidate for each in estimators),
    )


def _estimator(
    name: str, found: list[tuple[float, float]], rows: list[dict[str, tuple[float, float]]]
) -> Estimator:
    values, seconds = np.array(found, dtype=float).T
    return Estimator(
        name=name,
        kind="size" if name in SIZES else "zero_cost",
        scores=values,
        macs_per_candidate=PASSES[name] * mean_of_known([row["macs"][0] for row in rows]),
        seconds_per_candidate=0.0 if name in SIZES else float(seconds.mean()),
    )
