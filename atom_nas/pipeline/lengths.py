"""How long candidates are trained, on a proxy and on the full data: decided once, and kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.errors import DamagedError, UserError
from atom_nas.scoring.chance import are_at_chance, chance
from atom_nas.scoring.scorer import Sample
from atom_nas.storage.files import read_json, tell_made_again, write_json
from atom_nas.training.schedule import Training

LOOKED_AT = 3
"""Candidates whose first trainings decide how long all others are."""

MAX_LENGTHENED = 8
"""A training on a proxy is lengthened to at most so many times the default."""


class Lengths:
    """The trainings of a run; those whose length the user left open may be lengthened."""

    def __init__(
        self,
        path: Path,
        *,
        proxy: Training,
        full: Training,
        is_proxy_open: bool,
        is_full_open: bool,
    ) -> None:
        """Take what the file at `path` holds, else the lengths given.

        A damaged file counts as none: the trainings that settled it are kept elsewhere.
        """
        self._path, self._most = path, MAX_LENGTHENED * proxy.steps
        self._is_proxy_open, self._is_full_open = is_proxy_open, is_full_open
        self._kept = _read(path)
        self.proxy = replace(proxy, steps=self._kept.get("proxy_steps", proxy.steps))
        self.given_full = full
        self.full = replace(full, steps=self._kept.get("full_steps", full.steps))

    def look(self, name: str, accuracies: Callable[[], list[float]], labels: Tensor) -> str:
        """Lengthen the training on the proxy `name` until nets learn something from it.

        `accuracies` trains the first candidates at the length of now. Returns what is to be said,
        or nothing. Raises UserError where no length that is tried suffices.
        """
        said = ""
        while "proxy_steps" not in self._kept:
            if not (found := accuracies()):
                break
            if not are_at_chance(found, labels):
                self._keep("proxy_steps", self.proxy.steps)
                break
            what = (
                f"the first {len(found)} candidates classify at chance ({chance(labels):.1%}) "
                f"after {self.proxy.steps} steps on {name}"
            )
            if not self._is_proxy_open:
                self._keep("proxy_steps", self.proxy.steps)
                return f"{what}: their order means little; lengthen --proxy-steps."
            if 2 * self.proxy.steps > self._most:
                raise UserError(
                    f"{what}; condense more images a class (--proxy), train longer "
                    "(--proxy-steps), or look at the labels."
                )
            self.proxy = replace(self.proxy, steps=2 * self.proxy.steps)
            said = f"{what}: all are trained for {self.proxy.steps} steps."
        return said

    def settle(self, truth: TrainedTruth, first: Callable[[], Sample]) -> None:
        """Lengthen the full training until the validation loss of the first few stops falling."""
        truth.training = self.full
        if self._is_full_open and "full_steps" not in self._kept:
            truth.lengthen(first)
            self.full = truth.training
            self._keep("full_steps", self.full.steps)

    def _keep(self, name: str, steps: int) -> None:
        self._kept[name] = steps
        write_json(self._path, self._kept)


def _read(path: Path) -> dict[str, int]:
    try:
        return read_json(path) if path.exists() else {}
    except DamagedError as damage:
        tell_made_again(damage)
        return {}
