"""The truth: candidates trained on all the training images, then measured once.

The pass that measures them reads the validation split and the test split. What chooses, fits or
sorts uses the accuracy on the first; that on the second is only reported. No other module of the
audit, the search or the export reads the test split.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import torch
from torch import nn

from atom_nas.data.splits import Dataset
from atom_nas.errors import DamagedError, explain
from atom_nas.scoring.space import Space, candidate_name, no_exit
from atom_nas.storage.files import derive_seed, tell
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.tensors import load_tensors, save_tensors
from atom_nas.training.devices import is_device_failure
from atom_nas.training.fit import (
    FORWARD,
    FORWARD_BACKWARD,
    Examples,
    Outcome,
    Training,
    evaluate,
    fit,
)

COLUMNS = (
    *("candidate", "steps", "seed", "validation_accuracy", "validation_loss", "test_accuracy"),
    *("seconds", "weights_digest", "failure"),
)

FALLING = 0.1
"""A loss that falls by less than this share when the training is doubled has stopped falling."""

MAX_DOUBLED = 2_000
"""No training is doubled beyond so many steps unless the user says so."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What full-data training makes of one candidate."""

    validation: tuple[float, ...]
    """Accuracy (fraction) on the validation split, one a training; NaN where that failed."""
    test: tuple[float, ...] | None
    """The same on the test split; None where a table does not know it."""
    seconds: float
    """Of a training, the mean."""
    macs: float = 0.0
    """Multiply-adds of a training; 0 where a table does not know them."""


class TruthSource(Protocol):
    """Where full-data accuracies come from: training, or a table."""

    is_known: bool
    """Whether a new candidate costs no training."""

    def measure(self, architecture: Any, *, seed: int, trainings: int = 1) -> Measured:
        """Return the accuracies of `architecture`."""


class TrainedTruth:
    """The table of full-data trainings in a run folder, with the weights of each candidate."""

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
        self._rows: dict[tuple[str, int], dict[str, dict[str, str]]] = defaultdict(dict)
        for row in self._table.rows:
            self._rows[row["candidate"], int(row["steps"])][row["seed"]] = row
        self._weights = run / "weights"
        self._space, self._dataset, self._device = space, dataset, device
        self.training = training

    def measure(self, architecture: Any, *, seed: int, trainings: int = 1) -> Measured:
        """Return the first so many `trainings` of `architecture`; those that lack are made.

        Of those the first has the `seed`, the others have seeds derived from it.
        """
        rows = [self._row(architecture, seed, number) for number in range(trainings)]
        return Measured(
            validation=tuple(float(row["validation_accuracy"]) for row in rows),
            test=tuple(float(row["test_accuracy"]) for row in rows),
            seconds=fmean(float(row["seconds"]) for row in rows),
            macs=self._macs(architecture),
        )

    def failure(self, architecture: Any, *, seed: int) -> str:
        """Return why the first training of `architecture` failed, or nothing."""
        return self._row(architecture, seed)["failure"]

    def validation_loss(self, architecture: Any, *, seed: int) -> float:
        """Return the loss after the first training, NaN where that failed."""
        return float(self._row(architecture, seed)["validation_loss"])

    def trained_net(self, architecture: Any, *, seed: int) -> nn.Module:
        """Return `architecture` with the weights of its first full-data training, on the CPU.

        Weights that are missing or damaged are trained again, and a line says so.
        """
        row = self._row(architecture, seed)
        net = self._space.build(architecture, seed=seed)
        try:
            net.load_state_dict(load_tensors(self._path(row["candidate"]), row["weights_digest"]))
        except (DamagedError, RuntimeError) as error:
            problem = getattr(error, "problem", "do not fit")
            tell(f"weights of {row['candidate']}: {problem}; it is trained again.")
            again = self._train(architecture, seed)
            net.load_state_dict(load_tensors(self._path(row["candidate"]), again["weights_digest"]))
        return net.eval()

    def _row(self, architecture: Any, seed: int, number: int = 0) -> dict[str, str]:
        own = derive_seed(seed, "again", number) if number else seed
        rows = self._rows[candidate_name(architecture), self.training.steps]
        return rows[str(own)] if str(own) in rows else self._train(architecture, own)

    def _train(self, architecture: Any, seed: int) -> dict[str, str]:
        name = candidate_name(architecture)
        held_out, test = Outcome(accuracy=math.nan, loss=math.nan), math.nan
        failure = weights = ""
        train, validation, tested = self._examples
        start = time.perf_counter()
        try:
            net = self._space.build(architecture, seed=seed)
            with no_exit():
                fit(net, train, self.training, seed=seed)
                seconds = time.perf_counter() - start
                outcomes = evaluate(net, validation), evaluate(net, tested)
            weights = self._keep(name, seed, net)
            held_out, test = outcomes[0], outcomes[1].accuracy
        except OSError:
            raise
        except Exception as error:
            if is_device_failure(error):
                raise
            seconds, failure = time.perf_counter() - start, explain(error)
        self._table.append(
            {
                "candidate": name,
                "steps": self.training.steps,
                "seed": seed,
                "validation_accuracy": held_out.accuracy,
                "validation_loss": held_out.loss,
                "test_accuracy": test,
                "seconds": seconds,
                "weights_digest": weights,
                "failure": failure,
            }
        )
        row = self._table.rows[-1]
        self._rows[name, self.training.steps][str(seed)] = row
        return row

    def _keep(self, name: str, seed: int, net: nn.Module) -> str:
        """Keep the weights of the first training, and return their digest; else nothing."""
        if str(seed) != next(iter(self._rows[name, self.training.steps]), str(seed)):
            return ""
        self._weights.mkdir(exist_ok=True)
        return save_tensors(self._path(name), net.state_dict())

    def _path(self, name: str) -> Path:
        return self._weights / f"{name}-{self.training.steps}.safetensors"

    def _macs(self, architecture: Any) -> float:
        data = self._dataset
        shown = FORWARD_BACKWARD * self.training.images_shown(len(data.train))
        measured = FORWARD * (len(data.validation) + len(data.test))
        try:
            return float((shown + measured) * self._space.cost(architecture).macs)
        except Exception:  # it failed in training too
            return 0.0

    @cached_property
    def _examples(self) -> tuple[Examples, Examples, Examples]:
        data = self._dataset
        return tuple(  # type: ignore[return-value]
            Examples.of(images, data.normalization, self._device)
            for images in (data.train, data.validation, data.test)
        )

    def lengthen(self, first_few: Callable[[], Sequence[tuple[Any, int]]]) -> None:
        """Double the training until the validation loss of the first few stops falling.

        It has stopped where twice the steps lower its mean by less than a tenth; no training is
        doubled beyond 2,000 steps. Rows of every length are kept.
        """
        shorter = self.training
        while 2 * shorter.steps <= MAX_DOUBLED:
            sample = first_few()
            before = [self.validation_loss(a, seed=seed) for a, seed in sample]
            self.training = replace(shorter, steps=2 * shorter.steps)
            after = [self.validation_loss(a, seed=seed) for a, seed in sample]
            pairs = [pair for pair in zip(before, after, strict=True) if not math.isnan(sum(pair))]
            if not pairs or fmean(b for _, b in pairs) > (1 - FALLING) * fmean(a for a, _ in pairs):
                self.training = shorter
                return
            shorter = self.training
