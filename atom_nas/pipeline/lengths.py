"""How long candidates are trained, on a proxy and on the full data: decided once, and kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.errors import UserError
from atom_nas.scoring.chance import are_at_chance, chance, is_unbalanced
from atom_nas.scoring.scorer import Sample
from atom_nas.storage.once import Once, kept, once
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
        once: Once = once,
    ) -> None:
        """Take what the file at `path` holds, else the lengths given."""
        self._path, self._most = path, MAX_LENGTHENED * proxy.steps
        self._is_proxy_open, self._is_full_open = is_proxy_open, is_full_open
        self._once, found = once, kept(path)
        self.proxy = replace(proxy, steps=found.get("proxy_steps", proxy.steps))
        self.given_full = full
        self.full = replace(full, steps=found.get("full_steps", full.steps))

    def look(self, name: str, accuracies: Callable[[], list[float]], labels: Tensor) -> str:
        """Lengthen the training on the proxy `name` until nets learn something from it.

        `accuracies` trains the first candidates at the length of now. Where classes are unbalanced
        accuracy cannot tell, and the length stays. Returns what is to be said, or nothing. Raises
        UserError where no length that is tried suffices.
        """
        said = ""

        def suffices() -> int | None:
            nonlocal said
            while found := accuracies():
                if not are_at_chance(found, labels):
                    return self.proxy.steps
                if is_unbalanced(labels):
                    said = (
                        f"the first {len(found)} candidates are right no more often than the "
                        f"commonest class is there ({chance(labels):.1%}); classes are unbalanced, "
                        f"so that does not say that they learn nothing from {name}: all are "
                        f"trained for {self.proxy.steps} steps (--proxy-steps)."
                    )
                    return self.proxy.steps
                said = self._lengthen(name, len(found), labels)
                if not self._is_proxy_open:
                    return self.proxy.steps
            return None

        if steps := self._once(self._path, "proxy_steps", suffices):
            self.proxy = replace(self.proxy, steps=steps)
        return said

    def _lengthen(self, name: str, count: int, labels: Tensor) -> str:
        """Double the training on the proxy `name`, if it is open; return what is to be said."""
        what = (
            f"the first {count} candidates classify at chance ({chance(labels):.1%}) "
            f"after {self.proxy.steps} steps on {name}"
        )
        if not self._is_proxy_open:
            return f"{what}: their order means little; lengthen --proxy-steps."
        if 2 * self.proxy.steps > self._most:
            raise UserError(
                f"{what}; condense more images a class (--proxy), train longer "
                "(--proxy-steps), or look at the labels."
            )
        self.proxy = replace(self.proxy, steps=2 * self.proxy.steps)
        return f"{what}: all are trained for {self.proxy.steps} steps."

    def settle(self, truth: TrainedTruth, first: Callable[[], Sample]) -> None:
        """Lengthen the full training until the validation loss of the first few stops falling."""
        truth.training = self.full

        def suffices() -> int:
            truth.lengthen(first)
            return truth.training.steps

        if self._is_full_open:
            steps = self._once(self._path, "full_steps", suffices)
            truth.training = self.full = replace(self.full, steps=steps)
