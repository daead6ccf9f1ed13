"""What a search optimises, one thing or several at once, and the front of what it tried.

A candidate is on the front where no other is at least as good in everything that is optimised. The
module needs neither torch nor Optuna: options and the report read it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from atom_nas.errors import UserError, unknown

SCORE = "accuracy"
"""The name of the score on the proxy, whatever measure of the trainings it is."""

COSTS: Mapping[str, str] = {"params": "num_params", "macs": "macs", "latency": "latency_ms"}
"""The costs that can be optimised too, by name: where a `Cost` has them."""

Item = TypeVar("Item")


class Costly(Protocol):
    """What says its costs: a `Cost`, or a row of the table of candidates."""

    @property
    def num_params(self) -> float:
        """Parameters."""

    @property
    def macs(self) -> float:
        """Multiply-adds of one image."""

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds of a forward pass; None where it was not measured."""


@dataclass(frozen=True)
class Objectives:
    """The score, as high as can be, and beside it `costs`, as low as can be; none of them alone."""

    costs: tuple[str, ...] = ()
    """Keys of `COSTS`, in its order."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `text` names, as in accuracy,macs, in whatever order.

        Raises UserError for a name that is not known or given twice, and without the score.
        """
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in (SCORE, *COSTS):
                raise unknown("name in --objectives", name, (SCORE, *COSTS))
            if names.count(name) > 1:
                raise UserError(f"--objectives is {text}; name {name} once.")
        if SCORE not in names:
            raise UserError(
                f"--objectives is {text}, for which the smallest net is best; "
                f"add {SCORE}, as in {SCORE},{text}."
            )
        return cls(tuple(name for name in COSTS if name in names))

    def values(self, score: float, cost: Costly) -> tuple[float, ...]:
        """Return what a candidate comes to: its score and the costs that count."""
        found = (getattr(cost, COSTS[name]) for name in self.costs)
        return (score, *(math.nan if each is None else float(each) for each in found))

    def losses(self, score: float, cost: Costly) -> tuple[float, ...]:
        """Return the same, with the score turned round: all as low as can be."""
        score, *costs = self.values(score, cost)
        return (-score, *costs)


def front(items: Iterable[Item], losses: Callable[[Item], tuple[float, ...]]) -> list[Item]:
    """Return the items to which no other is equal or better in all `losses`, the first loss rising.

    Of equals the first is kept. An item with a loss that is not finite is left out.
    """
    members: list[tuple[tuple[float, ...], Item]] = []
    known = ((loss, item) for item in items if all(map(math.isfinite, loss := losses(item))))
    for loss, item in sorted(known, key=lambda pair: pair[0]):
        if not any(all(a <= b for a, b in zip(o, loss, strict=True)) for o, _ in members):
            members.append((loss, item))
    return [item for _, item in members]


def spread(members: Sequence[Item], count: int) -> list[Item]:
    """Return at most `count` members: the first, the last, and places evenly between them."""
    if count >= len(members):
        return [*members]
    return [members[i * (len(members) - 1) // max(count - 1, 1)] for i in range(count)]
