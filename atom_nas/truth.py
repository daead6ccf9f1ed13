"""The truth: candidates trained on the full data and measured once on the test split.

No other module reads the test split.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from atom_nas.images import Dataset
from atom_nas.runs import Table, write_atomically
from atom_nas.space import Space, candidate_name
from atom_nas.train import Examples, Training, evaluate, fit

COLUMNS = ("candidate", "seed", "test_accuracy", "seconds")


class Truth:
    """The table of full-data trainings in a run folder, with the weights of each.

    The full data is the training and the validation split together.
    """

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
        self._table = Table(run / "truth.csv", COLUMNS)
        self._rows = {row["candidate"]: row for row in self._table.rows}
        self._weights = run / "weights"
        self._space, self._dataset, self._training = space, dataset, training
        self._device = device
        self._examples: tuple[Examples, Examples] | None = None

    def is_known(self, architecture: Any) -> bool:
        """Say whether `architecture` has been trained."""
        return candidate_name(architecture) in self._rows

    def accuracy(self, architecture: Any, *, seed: int) -> tuple[float, float]:
        """Return (test accuracy, training seconds) of `architecture`, trained if it was not.

        The accuracy is NaN where that failed, as by a divergence.
        """
        name = candidate_name(architecture)
        if name not in self._rows:
            start = time.perf_counter()
            train, test = self._load()
            try:
                net = self._space.build(architecture, seed=seed)
                fit(net, train, self._training, seed=seed)
                seconds = time.perf_counter() - start
                accuracy = evaluate(net, test).accuracy
            except Exception:
                accuracy, seconds = math.nan, time.perf_counter() - start
            else:
                self._keep(name, net)
            self._table.append(
                {"candidate": name, "seed": seed, "test_accuracy": accuracy, "seconds": seconds}
            )
            self._rows[name] = self._table.rows[-1]
        row = self._rows[name]
        return float(row["test_accuracy"]), float(row["seconds"])

    def trained_net(self, architecture: Any) -> nn.Module:
        """Return `architecture` with the weights of its full-data training, on the CPU."""
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
