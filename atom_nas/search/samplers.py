"""Optuna samplers by name, every option stated."""

import warnings
from collections.abc import Callable
from typing import Any

from optuna import samplers
from optuna.exceptions import ExperimentalWarning

POPULATION = 4
"""Size of a generation of NSGA-II: small, as a search of 5 fills one in its uniform start."""


def _brute_force(seed: int) -> samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return samplers.BruteForceSampler(seed=seed, avoid_premature_stop=True)


def _nsga2(seed: int, breed: Callable[..., dict[str, Any]] | None = None) -> samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return samplers.NSGAIISampler(
            population_size=POPULATION,
            mutation_prob=None,
            crossover=samplers.nsgaii.UniformCrossover(swapping_prob=0.5),
            crossover_prob=0.9,
            child_generation_strategy=breed,
            seed=seed,
        )


SAMPLERS: dict[str, Callable[[int], samplers.BaseSampler]] = {
    "tpe": lambda seed: samplers.TPESampler(
        n_startup_trials=0, n_ei_candidates=24, group=False, constant_liar=True, seed=seed
    ),
    "random": lambda seed: samplers.RandomSampler(seed=seed),
    "brute_force": _brute_force,
    "gp": lambda seed: samplers.GPSampler(
        n_startup_trials=0,
        deterministic_objective=False,
        independent_sampler=samplers.RandomSampler(seed=seed),
        warn_independent_sampling=False,
        seed=seed,
    ),
    "nsga2": _nsga2,
}
"""Name -> the sampler for a seed. The uniform start is the search's own, hence no start-ups."""


def uniform(sampler: str, seed: int) -> samplers.BaseSampler:
    """Return a sampler of uniform draws, the same draws for every `sampler` that learns from them.

    NSGA-II breeds only from what it drew itself: its generations take these in, born of no parents.
    """
    return _nsga2(seed, lambda *_: {}) if sampler == "nsga2" else samplers.RandomSampler(seed=seed)
