"""Searches by a score: the best by it are trained on the full data, one after the other.

Steps are those of search_full_data.py.
"""

from collections.abc import Callable
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from search_full_data import Steps, picked_by_tpe
from search_pool import View, part

from atom_nas.audit.combination import MIN_FITTED, fit_predictor
from atom_nas.audit.ranking import rank_average
from atom_nas.scoring.estimator import Array, Estimator

UNIFORM = 30
"""Candidates that a search draws before its optimiser picks."""


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
