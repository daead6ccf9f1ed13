"""Candidates trained on a proxy and scored on the validation split, each once."""

import time
from copy import copy
from pathlib import Path
from typing import Any, Self

import torch

from atom_nas.data.images import Dataset
from atom_nas.distillation.proxy import Proxy
from atom_nas.errors import explain
from atom_nas.row_log import RowLog
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.training.fit import Examples, Score, Training, fit_and_score

COLUMNS = (
    *("proxy", "proxy_seed", "candidate"),
    *("seed", "accuracy", "loss", "curve", "seconds", "failure"),
)
KEY = COLUMNS[:3]


class CandidateError(RuntimeError):
    """A candidate could not be built, trained or scored; the message says why."""


class ProxyScores:
    """The table of scores at a path, which trains what it does not hold."""

    def __init__(
        self,
        path: Path,
        *,
        space: Space,
        dataset: Dataset,
        training: Training,
        device: torch.device,
    ) -> None:
        """Open the table, and put the validation split on `device`."""
        self._table = RowLog(path, COLUMNS)
        self._rows = {tuple(row[column] for column in KEY): row for row in self._table.rows}
        self._space, self._training, self._device = space, training, device
        self._normalize = dataset.normalization
        self._validation = Examples(
            images=self._normalize(dataset.validation.pixels), labels=dataset.validation.labels
        ).to(device)

    def with_training(self, training: Training) -> Self:
        """Return the same table, for scores after another training."""
        twin = copy(self)
        twin._training = training
        return twin

    def score(self, proxy: Proxy, architecture: Any, *, seed: int) -> Score:
        """Train `architecture` on `proxy`, or take its score where there is one.

        Raises CandidateError, at once and ever after, where that cannot be done.
        """
        key = (proxy.name, str(proxy.seed), candidate_name(architecture))
        if key not in self._rows:
            result = self._measure(proxy, architecture, seed)
            self._table.append({**dict(zip(KEY, key, strict=True)), "seed": seed, **result})
            self._rows[key] = self._table.rows[-1]
        row = self._rows[key]
        if row["failure"]:
            raise CandidateError(row["failure"])
        return Score(
            accuracy=float(row["accuracy"]),
            loss=float(row["loss"]),
            seconds=float(row["seconds"]),
            curve=tuple(map(float, row["curve"].split())),
        )

    def _measure(self, proxy: Proxy, architecture: Any, seed: int) -> dict[str, object]:
        images = proxy.images.to(self._device)
        train = Examples(images=self._normalize(images.pixels), labels=images.labels)
        start = time.perf_counter()
        try:
            net = self._space.build(architecture, seed=seed)
            score = fit_and_score(net, train, self._validation, self._training, seed=seed)
        except Exception as error:
            seconds = time.perf_counter() - start
            reason = explain(error)
            return {"accuracy": "", "loss": "", "curve": "", "seconds": seconds, "failure": reason}
        return {
            "accuracy": score.accuracy,
            "loss": score.loss,
            "curve": " ".join(f"{loss:.5g}" for loss in score.curve),
            "seconds": score.seconds,
            "failure": "",
        }
