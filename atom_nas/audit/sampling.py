"""The candidates of an audit: uniform draws, in an order that spreads any few over all sizes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from atom_nas.scoring.space import (
    Space,
    candidate_name,
    candidate_seed,
    uniform_architectures,
)
from atom_nas.storage.files import derive_seed
from atom_nas.training.cost import Cost

NUM_STRATA, BLOCK = 10, 100

Drawn = TypeVar("Drawn")


def audited_sample(
    space: Space,
    known: Sequence[Any],
    *,
    is_allowed: Callable[[Cost], bool],
    seed: int,
    cost: Callable[[Any], Cost] | None = None,
) -> Iterator[tuple[Any, int]]:
    """Yield distinct (architecture, seed), until the space is used up.

    First the architectures that are `known`, uniform draws too, then others, stratified by their
    parameters. `cost` says what one costs, if more than `space` counts; it is asked for a hundred
    at a time, before the first of them is yielded.
    """
    names = {candidate_name(architecture) for architecture in known}

    def others() -> Iterator[Any]:
        own = derive_seed(seed, "audit")
        draws = uniform_architectures(space, seed=own, is_allowed=is_allowed, cost=cost)
        return (each for each in draws if candidate_name(each) not in names)

    stratified = in_strata(
        others(),
        size=lambda architecture: space.cost(architecture).num_params,
        seed=derive_seed(seed, "strata"),
    )
    for architecture in chain(known, stratified):
        yield architecture, candidate_seed(seed, candidate_name(architecture))


def in_strata(
    draws: Iterable[Drawn], *, size: Callable[[Drawn], float], seed: int
) -> Iterator[Drawn]:
    """Yield `draws` in another order, 100 at a time.

    Each hundred is cut into tenths by `size`; every ten in a row then have one of each tenth. So
    the first 10, 20, ... are a proportionally stratified sample, which needs no weights, and each
    hundred is the same set as without. Inside the strata the order is random, by `seed`.
    """
    generator = np.random.default_rng(seed)
    stream = iter(draws)
    while block := list(islice(stream, BLOCK)):
        ordered = sorted(block, key=size)
        strata = [
            [ordered[index] for index in generator.permutation(part)]
            for part in np.array_split(np.arange(len(block)), NUM_STRATA)
        ]
        while any(strata):
            for number in generator.permutation(NUM_STRATA):
                if strata[number]:
                    yield strata[number].pop()
