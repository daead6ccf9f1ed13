"""The truth: candidates trained on the full data and measured once on the test split.

No other module reads the test split.
"""

import math
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from atom_nas.data.images import Dataset
from atom_nas.errors import explain
from atom_nas.row_log import RowLog
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.storage import derive_seed, write_atomically
from atom_nas.training.fit import Examples, Training, evaluate, fit

COLUMNS = ("candidate", "seed", "test_accuracy", "seconds", "failure")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What full-data training makes of one candidate."""

    accuracies: tuple[float, ...]
    """Test accuracy (fraction), one a training; NaN where that failed."""
    seconds: float
    """Of a training, the mean."""


class TrainedTruth:
    """The table of full-data trainings in a run folder, with the weights of each candidate.

    The full data is the training and the validation split together.
    """

    is_known = False

    def __init__(
        self,
        run: Path,
        *,
        space: Space,
        dataset: Dataset,
        training: Training,
        device: torch.device,
    ) -> None:
        """Open `truth.csv` and `weights/` in the folder `run`."""
        self._table = RowLog(run / "truth.csv", COLUMNS)
        self._rows: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in self._table.rows:
            self._rows[row["candidate"]].append(row)
        self._weights = run / "weights"
        self._space, self._dataset, self._training = space, dataset, training
        self._device = device
        self._examples: tuple[Examples, Examples] | None = None

    def measure(self, architecture: Any, *, seed: int, trainings: int = 1) -> Measured:
        """Return the first so many `trainings` of `architecture`; those that lack are made.

        Of those the first has the `seed`, the others have seeds derived from it.
        """
        rows = self._rows[candidate_name(architecture)]
        for number in range(len(rows), trainings):
            self._train(architecture, derive_seed(seed, "again", number) if number else seed)
        rows = rows[:trainings]
        return Measured(
            accuracies=tuple(float(row["test_accuracy"]) for row in rows),
            seconds=fmean(float(row["seconds"]) for row in rows),
        )

    def failure(self, architecture: Any) -> str:
        """Return why the first training of `architecture` failed, or nothing."""
        return self._rows[candidate_name(architecture)][0]["failure"]

    def _train(self, architecture: Any, seed: int) -> None:
        name = candidate_name(architecture)
        train, test = self._load()
        accuracy, failure = math.nan, ""
        start = time.perf_counter()
        try:
            net = self._space.build(architecture, seed=seed)
            fit(net, train, self._training, seed=seed)
            seconds = time.perf_counter() - start
            accuracy = evaluate(net, test).accuracy
        except Exception as error:
            seconds, failure = time.perf_counter() - start, explain(error)
        if not failure and not self._rows[name]:
            self._keep(name, net)
        row = {"candidate": name, "seed": seed, "test_accuracy": accuracy}
        self._table.append({**row, "seconds": seconds, "failure": failure})
        self._rows[name].append(self._table.rows[-1])

    def trained_net(self, architecture: Any) -> nn.Module:
        """Return `architecture` with the weights of its first full-data training, on the CPU."""
        name = candidate_name(architecture)
        net = self._space.build(architecture, seed=0)
        net.load_state_dict(load_file(self._weights / f"{name}.safetensors"))
        return net.eval()

    def _keep(self, name: str, net: nn.Module) -> None:
        self._weights.mkdir(exist_ok=True)
        state = {key: value.cpu().contiguous() for key, value in net.state_dict().items()}
        write_atomically(self._weights / f"{name}.safetensors", save(state))

    def _load(self) -> tuple[Examples, Examples]:
        if self._examples is None:
            full = self._dataset.train.join(self._dataset.validation)
            self._examples = self._normalized(full), self._normalized(self._dataset.test)
        return self._examples

    def _normalized(self, images: Any) -> Examples:
        pixels = self._dataset.normalization(images.pixels)
        return Examples(images=pixels, labels=images.labels).to(self._device)
