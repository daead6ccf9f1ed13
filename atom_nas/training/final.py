"""The last training of a net: measured every epoch, its best weights kept, gone on after a kill."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from atom_nas.errors import DamagedError
from atom_nas.storage.files import tell_made_again
from atom_nas.storage.tensors import load_sealed, save_sealed
from atom_nas.training.batches import Examples
from atom_nas.training.course import Course
from atom_nas.training.fit import DivergenceError, Outcome, evaluate
from atom_nas.training.schedule import Training

CHECKPOINT_SECONDS = 5.0
"""Where an epoch is shorter, so much is lost at most."""

WATCHED = 50
"""Steps between two looks at the loss."""


@dataclass(frozen=True, kw_only=True)
class BestEpoch:
    """The weights of the epoch with the best validation accuracy, of equals the lowest loss."""

    epoch: int
    """From 1."""
    outcome: Outcome
    """On the validation images."""
    weights: dict[str, Tensor]
    """By name, on the device."""


def final_training(*, epochs: int, num_images: int, flip: bool) -> Training:
    """Return how a net that is chosen is trained: as a candidate, but with smoothed labels and no
    decay of norms and biases (benchmarks/final_recipe.py)."""
    recipe = Training(steps=1, flip=flip, label_smoothing=0.1, decays_norms=False)
    return replace(recipe, steps=recipe.steps_in(epochs, num_images))


def fit_to_best(
    net: nn.Module,
    train: Examples,
    validation: Examples,
    training: Training,
    *,
    seed: int,
    checkpoint: Path,
    watch: Callable[[int, BestEpoch | None], None],
) -> tuple[BestEpoch, float]:
    """Train `net` in place on `train`; return its best epoch and the seconds spent.

    After an epoch, where 5 s have passed, all that the rest depends on is kept in `checkpoint`,
    where the next call goes on, to the same weights; with a damaged one it begins again.
    `watch(steps, best)` is called now and then with those made. Raises DivergenceError when a loss
    is not finite.
    """
    course = Course(net, train, training, seed=seed)
    best, spent = None, 0.0
    if checkpoint.exists():
        try:
            best, spent = _load(checkpoint, course)
        except DamagedError as damage:
            tell_made_again(damage)
    start = saved = time.perf_counter()
    length = training.steps_in(1, len(train.labels))
    while course.steps < training.steps:
        for first in range(0, length, WATCHED):
            loss = course.go_on(min(WATCHED, length - first))
            if not math.isfinite(loss.item()):
                raise DivergenceError("the training loss is not finite")
            watch(course.steps, best)
        best = _better(best, course, validation, course.steps // length)
        now = time.perf_counter()
        if now - saved > CHECKPOINT_SECONDS or course.steps == training.steps:
            _save(checkpoint, course, best, spent + now - start)
            saved = now
    assert best is not None
    watch(course.steps, best)
    return best, spent + time.perf_counter() - start


def _better(best: BestEpoch | None, course: Course, validation: Examples, epoch: int) -> BestEpoch:
    """Return `best`, or the weights of now where they are better."""
    twin = copy.deepcopy(course.net)  # to be measured may move parameters that a step writes to
    found = evaluate(twin, validation)
    if best and (found.accuracy, -found.loss) <= (best.outcome.accuracy, -best.outcome.loss):
        return best
    return BestEpoch(epoch=epoch, outcome=found, weights=twin.state_dict())


def _save(path: Path, course: Course, best: BestEpoch, seconds: float) -> None:
    weights = {f"best.{name}": tensor for name, tensor in best.weights.items()}
    numbers = {
        "epoch": best.epoch,
        "accuracy": best.outcome.accuracy,
        "loss": best.outcome.loss,
        "seconds": seconds,
    }
    save_sealed(path, course.state() | weights, {name: str(n) for name, n in numbers.items()})


def _load(path: Path, course: Course) -> tuple[BestEpoch, float]:
    """Have `course` go on from `path`; return the best epoch so far, and the seconds spent."""
    tensors, notes = load_sealed(path)
    course.restore(tensors)
    best = BestEpoch(
        epoch=int(notes["epoch"]),
        outcome=Outcome(accuracy=float(notes["accuracy"]), loss=float(notes["loss"])),
        weights={
            name.removeprefix("best."): tensor
            for name, tensor in tensors.items()
            if name.startswith("best.")
        },
    )
    return best, float(notes["seconds"])
