"""Optuna samplers by name, every option stated."""

import warnings
from collections.abc import Callable

from optuna import samplers
from optuna.exceptions import ExperimentalWarning


def _brute_force(seed: int) -> samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return samplers.BruteForceSampler(seed=seed, avoid_premature_stop=True)


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
    "nsga2": lambda seed: samplers.NSGAIISampler(
        population_size=20,
        mutation_prob=None,
        crossover=samplers.nsgaii.UniformCrossover(swapping_prob=0.5),
        crossover_prob=0.9,
        seed=seed,
    ),
}
"""Name -> the sampler for a seed. The uniform start is the search's own, hence no start-ups."""
