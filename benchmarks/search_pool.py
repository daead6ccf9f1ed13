"""A pool of candidates of which all is known, and what one seed of a search sees of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.storage.files import digest


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """n candidates, and all that is known of each."""

    name: str
    names: tuple[str, ...]
    trainings: tuple[tuple[float, ...], ...]
    """For each candidate the validation accuracies of its full trainings."""
    test: Array | None
    """Shape (n,), the mean over trainings; None where no test split was measured."""
    full_macs: float
    """Multiply-adds of a full training, the mean."""
    proxies: Mapping[str, tuple[Estimator, ...]]
    """By name, a draw of the images each."""
    free: tuple[Estimator, ...]
    shorter: Mapping[float, Array]
    """Validation accuracies (n,) after shorter full trainings, by their share of a full one."""
    eta: int
    """One in so many goes on from one length to the next."""

    @cached_property
    def words(self) -> NDArray[np.str_]:
        """The fields of the candidates, (n, fields)."""
        return np.array([name.split("-") for name in self.names])

    @property
    def judged(self) -> Array:
        """By what the best is called the best (n,): test accuracy, or the mean of all trainings."""
        means = np.array([sum(each) / len(each) for each in self.trainings])
        return means if self.test is None else self.test

    @property
    def digest(self) -> str:
        """Of all that a search could see."""
        scores = {key: [each.scores for each in draws] for key, draws in self.proxies.items()}
        costs = [self.full_macs, *(each.cost for draws in self.proxies.values() for each in draws)]
        free = [each.scores for each in self.free]
        known = [self.names, self.trainings, self.test, scores, free, costs]
        plain = json.dumps([known, dict(self.shorter), self.eta], default=np.ndarray.tolist)
        return digest(plain)[:16]

    def of(self, index: Sequence[int] | NDArray[np.intp], name: str = "") -> Self:
        """Return the pool of the candidates at these places."""
        return replace(
            self,
            name=name or self.name,
            names=tuple(self.names[i] for i in index),
            trainings=tuple(self.trainings[i] for i in index),
            test=None if self.test is None else self.test[index],
            proxies={
                key: tuple(part(each, index) for each in draws)
                for key, draws in self.proxies.items()
            },
            free=tuple(part(each, index) for each in self.free),
            shorter={share: found[index] for share, found in self.shorter.items()},
        )


def part(estimator: Estimator, index: Sequence[int] | NDArray[np.intp]) -> Estimator:
    """Return the estimator of the candidates at these places."""
    return replace(
        estimator,
        scores=estimator.scores[index],
        repeats=None,
        variants={key: each[index] for key, each in estimator.variants.items()},
    )


@dataclass(frozen=True, eq=False)
class View:
    """A pool as one seed sees it: the same draws whatever the method."""

    pool: Pool
    seed: int
    seen: Array = field(init=False)
    """Validation accuracy (n,) of the training that this seed makes of a candidate."""
    judged: Array = field(init=False)
    """What the candidate is worth (n,): on the test split, else the mean of its other trainings."""
    best: float = field(init=False)
    """What the best of the pool is worth."""
    order: NDArray[np.intp] = field(init=False)
    """All candidates, as drawn uniformly."""

    def __post_init__(self) -> None:
        generator = self.generator()
        made = [generator.integers(len(each)) for each in self.pool.trainings]
        pairs = list(zip(self.pool.trainings, made, strict=True))
        seen = np.array([each[k] for each, k in pairs])
        others = [(sum(each) - each[k]) / max(1, len(each) - 1) for each, k in pairs]
        test = self.pool.test
        object.__setattr__(self, "seen", seen)
        object.__setattr__(self, "judged", np.array(others) if test is None else test)
        object.__setattr__(self, "best", float(self.pool.judged.max()))
        object.__setattr__(self, "order", generator.permutation(len(seen)))

    def generator(self) -> np.random.Generator:
        """Return a fresh generator of this seed."""
        return np.random.default_rng(self.seed)

    def draw_of(self, proxy: str) -> Estimator:
        """Return the draw of a proxy's images that this seed makes."""
        draws = self.pool.proxies[proxy]
        return draws[self.seed % len(draws)]
