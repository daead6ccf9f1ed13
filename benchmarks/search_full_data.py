"""Searches by full trainings alone, each a stream of what it spends and trains.

A step is (cost, candidate): so many full trainings are spent, and with them, unless it is None, the
candidate is trained on the full data. A method sees the validation accuracies of its own trainings.
What it asks for and the pool does not hold is answered by the nearest untried candidate.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState, create_trial
from search_pool import View

from atom_nas.scoring.estimator import Array
from atom_nas.search.samplers import SAMPLERS

Steps = Iterator[tuple[float, int | None]]

STARTUP = 10
"""Uniform draws before TPE picks, as by Optuna's default, and before evolution breeds."""

TOURNAMENT = 3


def random_search(view: View) -> Steps:
    """Train uniform draws."""
    for index in view.order:
        yield 1.0, int(index)


def tpe(view: View) -> Steps:
    """Train what Optuna's tree-structured Parzen estimator picks by validation accuracy."""
    for index in picked_by_tpe(view, view.seen, STARTUP):
        yield 1.0, index


def picked_by_tpe(view: View, values: Array, startup: int) -> Iterator[int]:
    """Yield candidates: `startup` uniform draws, then those that TPE picks by `values` (n,)."""
    words = view.pool.words
    names = [str(column) for column in range(words.shape[1])]
    choices = [CategoricalDistribution(sorted(set(column))) for column in words.T.tolist()]
    distributions: dict[str, BaseDistribution] = dict(zip(names, choices, strict=True))
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS["tpe"](view.seed))
    left, generator = [int(index) for index in view.order], view.generator()
    for count in range(len(left)):
        if count < startup:
            index = left[0]
        else:
            asked = study.ask(distributions)
            study.tell(asked, state=TrialState.FAIL)  # what is nearest to it is told instead
            index = nearest(words, [asked.params[name] for name in names], left, generator)
        left.remove(index)
        yield index
        params = dict(zip(names, words[index].tolist(), strict=True))
        trial = create_trial(params=params, distributions=distributions, value=values[index])
        study.add_trial(trial)


def nearest(
    words: NDArray[np.str_], wanted: Sequence[str], left: list[int], generator: np.random.Generator
) -> int:
    """Return which of those `left` differs from `wanted` in the fewest fields, ties drawn."""
    apart = (words[left] != np.array(wanted)).sum(axis=1)
    return left[int(generator.choice(np.flatnonzero(apart == apart.min())))]


def evolution(view: View) -> Steps:
    """Train by regularised evolution: of `STARTUP` the oldest dies when a mutant is born.

    The parent is the best of `TOURNAMENT` drawn; one field of it changes (Real et al.,
    "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019).
    """
    words, generator = view.pool.words, view.generator()
    values = [sorted(set(column)) for column in words.T.tolist()]
    left = [int(index) for index in view.order]
    population: deque[int] = deque(maxlen=STARTUP)
    while left:
        index = left[0]
        if len(population) == STARTUP:
            drawn = generator.choice(population, TOURNAMENT, replace=False)
            child = words[max(drawn, key=lambda one: view.seen[one])].tolist()
            column = int(generator.choice([i for i, known in enumerate(values) if len(known) > 1]))
            child[column] = generator.choice([v for v in values[column] if v != child[column]])
            index = nearest(words, child, left, generator)
        left.remove(index)
        population.append(index)
        yield 1.0, index


def halving(view: View) -> Steps:
    """Train uniform draws, stopped early by Optuna's successive halving."""
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=1, reduction_factor=view.pool.eta, min_early_stopping_rate=0
    )
    return pruned(view, pruner)


def hyperband(view: View) -> Steps:
    """Train uniform draws, stopped early by Optuna's Hyperband."""
    eta = view.pool.eta
    pruner = optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=eta ** len(view.pool.shorter), reduction_factor=eta
    )
    return pruned(view, pruner)


def pruned(view: View, pruner: optuna.pruners.BasePruner) -> Steps:
    """Train uniform draws for ever longer, until the pruner stops them.

    It pays for the longest training alone, as if the shorter ones were its beginnings.
    """
    study = optuna.create_study(
        study_name=str(view.seed),
        direction="maximize",
        pruner=pruner,
        sampler=SAMPLERS["random"](0),
    )
    for index in map(int, view.order):
        trial, paid = study.ask(), 0.0
        for rung, (share, accuracies) in enumerate(sorted(view.pool.shorter.items())):
            yield share - paid, None
            paid = share
            trial.report(accuracies[index], view.pool.eta**rung)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            yield 1 - paid, index
            study.tell(trial, view.seen[index])
