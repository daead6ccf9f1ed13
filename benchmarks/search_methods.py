"""Searches in a pool of known candidates, each a stream of what it spends and trains.

A step is (cost, candidate): so many full trainings are spent, and with them, unless it is None, the
candidate is trained on the full data. A method sees the validation accuracies of its own trainings.
What it asks for and the pool does not hold is answered by the nearest untried candidate.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from search_figure import RANDOM
from search_pools import Pool, part

from atom_nas.audit.combination import MIN_FITTED, fit_predictor
from atom_nas.audit.ranking import rank_average
from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.search.samplers import SAMPLERS

Steps = Iterator[tuple[float, int | None]]

STARTUP = 10
"""Uniform draws before TPE picks, as by Optuna's default, and before evolution breeds."""

TRIALS, UNIFORM = 40, 30
"""Candidates of a search by default, and those drawn before the optimiser picks."""

TOURNAMENT = 3


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
    distributions = dict(zip(names, choices, strict=True))
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


def ranked(view: View, scores: Array, candidates: NDArray[np.intp], cost: float) -> Steps:
    """Train the `candidates` from the highest score (n,) down, after this `cost`; ties drawn."""
    yield cost, None
    places = np.argsort(view.order)[candidates]
    for index in candidates[np.lexsort((places, -scores[candidates]))]:
        yield 1.0, int(index)


def by_free_score(name: str) -> Callable[[View], Steps]:
    """Train the best by a free score, taken of all."""

    def search(view: View) -> Steps:
        found = next(each for each in view.pool.free if each.name == name)
        return ranked(view, found.ranked, everyone(view), cost_of_all(view, found))

    return search


def by_proxy(name: str, trials: int | None) -> Callable[[View], Steps]:
    """Train the best of a search on one draw of a proxy: `trials` by TPE, or all in the pool."""

    def search(view: View) -> Steps:
        found = view.draw_of(name)
        scored = everyone(view)
        if trials is not None:
            picks = picked_by_tpe(view, found.ranked, UNIFORM)
            scored = np.array(list(islice(picks, trials)))
        return ranked(view, found.ranked, scored, cost_of_all(view, found, len(scored)))

    return search


def by_ranks(name: str) -> Callable[[View], Steps]:
    """Train the best by the mean rank of a draw of a proxy and of free_average, taken of all."""

    def search(view: View) -> Steps:
        found, free = view.draw_of(name), view.pool.free[-1]
        cost = cost_of_all(view, found) + cost_of_all(view, free)
        return ranked(view, rank_average(found.ranked, free.ranked), everyone(view), cost)

    return search


def by_model(name: str) -> Callable[[View], Steps]:
    """Train `MIN_FITTED` uniform draws, fit the model of --objective combined on these, and train
    the best of the others by it."""

    def search(view: View) -> Steps:
        found, free = view.draw_of(name), view.pool.free
        audited, others = np.split(view.order, [MIN_FITTED])
        for index in audited:
            yield 1.0, int(index)
        fitted, new = ((part(found, at), [part(e, at) for e in free]) for at in (audited, others))
        predict = fit_predictor(*fitted, view.seen[audited])
        scores = np.zeros(len(view.order))
        scores[others] = predict(*new)
        cost = cost_of_all(view, found) + sum(cost_of_all(view, each) for each in free[:-1])
        yield from ranked(view, scores, others, cost)

    return search


def everyone(view: View) -> NDArray[np.intp]:
    """Return all candidates."""
    return np.arange(len(view.order))


def cost_of_all(view: View, estimator: Estimator, count: int | None = None) -> float:
    """Return what an estimator of so many candidates costs, all by default, in full trainings.

    What is spent once, a distillation, is in it whole.
    """
    each = (len(view.order) if count is None else count) * estimator.macs_per_candidate
    return (estimator.setup_macs + each) / view.pool.full_macs


def methods(pool: Pool) -> dict[str, Callable[[View], Steps]]:
    """Return the searches by name that the pool has the rows for."""
    proxies = list(pool.proxies)
    whole = len(pool.names)
    return {
        RANDOM: random_search,
        "TPE": tpe,
        "regularised evolution": evolution,
        **({"successive halving": halving, "Hyperband": hyperband} if pool.shorter else {}),
        **{each.name: by_free_score(each.name) for each in pool.free},
        **{
            f"{name}, {TRIALS} trials": by_proxy(name, TRIALS) for name in proxies if whole > TRIALS
        },
        **{f"{name}, all": by_proxy(name, None) for name in proxies},
        **{f"combined_ranks, {name}": by_ranks(name) for name in proxies},
        **{f"combined, {name}": by_model(name) for name in proxies},
    }
