"""The candidates of an audit: uniform draws, in an order that spreads any few over all sizes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from atom_nas.scoring.space import Space, candidate_name, uniform_architectures
from atom_nas.storage import derive_seed
from atom_nas.training.cost import Cost

NUM_STRATA, BLOCK = 10, 100

Drawn = TypeVar("Drawn")


def draw_sample(
    space: Space,
    known: Sequence[tuple[Any, int]],
    *,
    is_allowed: Callable[[Cost], bool],
    seed: int,
) -> Iterator[tuple[Any, int]]:
    """Yield distinct (architecture, seed), until the space is used up.

    First those that are `known`, uniform draws too, then others, stratified by their parameters.
    """
    yield from known

    def draw() -> Iterator[tuple[Any, int]]:
        seen = {candidate_name(architecture) for architecture, _ in known}
        draws = uniform_architectures(space, seed=derive_seed(seed, "audit"), is_allowed=is_allowed)
        for architecture in draws:
            if (name := candidate_name(architecture)) not in seen:
                seen.add(name)
                yield architecture, derive_seed(seed, "audited", name)

    yield from in_strata(
        draw(),
        size=lambda drawn: space.cost(drawn[0]).num_params,
        seed=derive_seed(seed, "strata"),
    )


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
