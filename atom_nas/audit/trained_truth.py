"""The truth: candidates trained on all the training images, then measured once.

The pass that measures them reads the validation split and the test split. What chooses, fits or
sorts uses the accuracy on the first; that on the second is only reported.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from torch import nn

from atom_nas.data.splits import Dataset
from atom_nas.errors import DamagedError
from atom_nas.scoring.scorer import Sample
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.scoring.trainer import Job, Trained, Trainer
from atom_nas.storage.files import derive_seed, file_digest
from atom_nas.storage.progress import follow, tell
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.table import Key, OpenTable, Row, fill
from atom_nas.storage.tensors import load_tensors, save_packed
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, UNKNOWN
from atom_nas.training.schedule import Training

KEY = ("candidate", "steps", "seed", "train_digest")
COLUMNS = (
    *KEY,
    *("validation_accuracy", "validation_loss", "test_accuracy"),
    *("seconds", "weights_digest", "failure"),
)

FALLING = 0.2
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
    """Of a training, the mean; NaN where it is not known."""
    macs: float = 0.0
    """Multiply-adds of a training; 0 where a table does not know them."""


class TruthSource(Protocol):
    """Where full-data accuracies come from: training, or a table."""

    is_known: bool
    """Whether a new candidate costs no training."""

    def measure_all(self, sample: Sample, *, trainings: int = 1) -> list[Measured]:
        """Return the accuracies of each of the sample."""


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
        trainer: Trainer,
        open_table: OpenTable = RowLog,
    ) -> None:
        """Open `truth.csv` and `weights/` in the folder `run`."""
        self._table = open_table(run / "truth.csv", COLUMNS, key=KEY, is_renewable=True)
        self._digest = dataset.train.digest[:16]
        self._weights = run / "weights"
        self._space, self.dataset, self._trainer = space, dataset, trainer
        self.training = training

    def measure(self, architecture: Any, *, seed: int, trainings: int = 1) -> Measured:
        """Return the first so many `trainings` of `architecture`; those that lack are made.

        Of those the first has the `seed`, the others have seeds derived from it.
        """
        for _ in self.fill([(architecture, seed)], trainings):
            pass
        return self._measured(architecture, seed, trainings)

    def measure_all(self, sample: Sample, *, trainings: int = 1) -> list[Measured]:
        """Return the same for each of the sample, several of which may be trained at once."""
        total = trainings * len(sample)
        for _ in follow(self.fill(sample, trainings), "truth", total=total, unit="training"):
            pass
        return [self._measured(architecture, seed, trainings) for architecture, seed in sample]

    def fill(self, sample: Sample, trainings: int = 1) -> Iterator[None]:
        """Make what trainings of the sample lack, and yield once for each, as it is there."""
        missing: dict[Key, Job] = {}
        for architecture, seed in sample:
            for number in range(trainings):
                own = _seed(seed, number)
                key = self._key(architecture, own)
                if key in missing or self._table.find(key):
                    yield
                else:
                    missing[key] = self._job(architecture, own, number == 0)

        def train(keys: list[Key], may: Callable[[Key], bool]) -> Iterator[tuple[Row, bytes]]:
            jobs = [missing[key] for key in keys]
            for position, trained in self._trainer.run(jobs, lambda each: may(keys[each])):
                yield self._row_of(keys[position], trained), trained.weights

        for _ in fill(self._table, missing, train):
            yield

    def _measured(self, architecture: Any, seed: int, trainings: int) -> Measured:
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
        self._fetch_weights(row)
        try:
            net.load_state_dict(load_tensors(self._path(row["candidate"]), row["weights_digest"]))
        except (DamagedError, RuntimeError) as error:
            problem = getattr(error, "problem", "do not fit")
            tell(f"weights of {row['candidate']}: {problem}; it is trained again.")
            again = self._train_again(architecture, seed)
            net.load_state_dict(load_tensors(self._path(row["candidate"]), again["weights_digest"]))
        return net.eval()

    def _fetch_weights(self, row: dict[str, str]) -> None:
        """Take the weights of `row` from the table, where another machine trained them."""
        path = self._path(row["candidate"])
        if path.is_file() and file_digest(path) == row["weights_digest"]:
            return
        if weights := self._table.attached(row["weights_digest"]):
            self._weights.mkdir(exist_ok=True)
            save_packed(path, weights)

    def _key(self, architecture: Any, seed: int) -> Key:
        """Return the key of a training at the length of now."""
        return candidate_name(architecture), str(self.training.steps), str(seed), self._digest

    def _row(self, architecture: Any, seed: int, number: int = 0) -> dict[str, str]:
        for _ in self.fill([(architecture, seed)], number + 1):
            pass
        row = self._table.find(self._key(architecture, _seed(seed, number)))
        assert row is not None
        return row

    def _job(self, architecture: Any, seed: int, is_first: bool) -> Job:
        """Return the training, of which the weights are kept if it is the candidate's first."""
        data = self.dataset
        return Job(
            space=self._space,
            architecture=architecture,
            seed=seed,
            training=self.training,
            train=data.train,
            held_out=(data.validation, data.test),
            keeps_weights=is_first,
        )

    def _train_again(self, architecture: Any, seed: int) -> dict[str, str]:
        """Make the first training again, and return its row."""
        job = self._job(architecture, seed, True)
        ((_, trained),) = self._trainer.run([job])
        row = self._row_of(self._key(architecture, seed), trained)
        self._table.append(row, trained.weights)
        return self._row(architecture, seed)

    def _row_of(self, key: Key, trained: Trained) -> dict[str, object]:
        """Return what a training came to as a row; its weights are kept before."""
        digest, outcomes = "", trained.outcomes or (UNKNOWN, UNKNOWN)
        if trained.weights:
            self._weights.mkdir(exist_ok=True)
            digest = save_packed(self._path(key[0]), trained.weights)
        return {
            **dict(zip(KEY, key, strict=True)),
            "validation_accuracy": outcomes[0].accuracy,
            "validation_loss": outcomes[0].loss,
            "test_accuracy": outcomes[1].accuracy,
            "seconds": trained.seconds,
            "weights_digest": digest,
            "failure": trained.failure,
        }

    def _path(self, name: str) -> Path:
        return self._weights / f"{name}-{self.training.steps}-{self._digest[:8]}.safetensors"

    def _macs(self, architecture: Any) -> float:
        data = self.dataset
        shown = FORWARD_BACKWARD * self.training.images_shown(len(data.train))
        measured = FORWARD * (len(data.validation) + len(data.test))
        try:
            return float((shown + measured) * self._space.cost(architecture).macs)
        except Exception:  # it failed in training too
            return 0.0

    def lengthen(self, first_few: Callable[[], Sample]) -> None:
        """Double the training until the validation loss of the first few stops falling.

        It has stopped where twice the steps lower its mean by less than a fifth; no training is
        doubled beyond 2,000 steps. Rows of every length are kept.
        """
        shorter = self.training
        while 2 * shorter.steps <= MAX_DOUBLED:
            sample = first_few()
            before = self._losses(sample)
            self.training = replace(shorter, steps=2 * shorter.steps)
            after = self._losses(sample)
            pairs = [pair for pair in zip(before, after, strict=True) if not math.isnan(sum(pair))]
            if not pairs or fmean(b for _, b in pairs) > (1 - FALLING) * fmean(a for a, _ in pairs):
                self.training = shorter
                return
            shorter = self.training

    def _losses(self, sample: Sample) -> list[float]:
        what = f"full data, {self.training.steps} steps"
        for _ in follow(self.fill(sample), what, total=len(sample), unit="training"):
            pass
        return [self.validation_loss(architecture, seed=seed) for architecture, seed in sample]


def _seed(seed: int, number: int) -> int:
    """Return the seed of a candidate's training with the `number`, from 0."""
    return derive_seed(seed, "again", number) if number else seed
