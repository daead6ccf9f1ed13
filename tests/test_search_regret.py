"""Searches in a made pool: what they pay, what they pick, and how far that is below the best."""

import importlib
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from atom_nas.scoring.estimator import Estimator

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
N = 27
TRUE = np.linspace(0.5, 0.76, N)
"""Of 3 x 3 x 3 candidates, which all differ by 1 point."""


@pytest.fixture
def rooms(monkeypatch, quiet):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("search_pool", "search_by_score", "search_regret")
    return [importlib.import_module(name) for name in names]


@pytest.fixture
def pool(rooms):
    pools = rooms[0]
    proxy = Estimator(
        name="atom", kind="distilled", scores=TRUE, setup_macs=50, macs_per_candidate=1
    )
    return pools.Pool(
        name="made",
        names=tuple(f"{a}-{b}-{c}" for a in range(3) for b in range(3) for c in range(3)),
        trainings=tuple((each, each) for each in TRUE),
        test=None,
        full_macs=100.0,
        proxies={"atom": (proxy,)},
        free=tuple(
            Estimator(name=name, kind=kind, scores=-TRUE)
            for name, kind in (("size", "size"), ("free_average", "rank_average"))
        ),
        shorter={0.25: TRUE},
        eta=4,
    )


def run(rooms, pool, name, seed=0):
    view = rooms[0].View(pool, seed)
    return list(rooms[2].methods(pool)[name](view))


def test_each_method_trains_every_candidate_once_in_the_end(rooms, pool):
    for name in rooms[2].methods(pool):
        trained = [index for _, index in run(rooms, pool, name) if index is not None]
        assert len(trained) == len(set(trained)), name
        assert len(trained) == N or name in ("successive halving", "Hyperband"), name


def test_until_they_have_learnt_the_methods_draw_alike(rooms, pool):
    first, second = (
        [run(rooms, pool, name, seed)[:10] for name in ("random search", "TPE")] for seed in (0, 1)
    )
    assert first[0] == first[1] != second[0] == second[1]
    start = 10
    assert run(rooms, pool, "regularised evolution")[:start] == first[0]
    assert run(rooms, pool, "combined, atom")[: len(first[0])] == first[0]


@pytest.mark.parametrize("name", ["TPE", "regularised evolution"])
def test_what_is_learnt_finds_better_candidates_than_chance(rooms, pool, name):
    """Of the 17 that are left after the start the next 5 are better than uniform ones."""
    found = [
        np.mean([TRUE[index] for _, index in run(rooms, pool, which, seed)[10:15]])
        for which in (name, "random search")
        for seed in range(10)
    ]
    assert np.mean(found[:10]) > np.mean(found[10:]) + 0.02


def test_a_proxy_is_paid_whole_and_its_best_are_trained_first(rooms, pool):
    steps = run(rooms, pool, "atom, all")
    assert steps[0] == (pytest.approx((50 + N) / 100), None)
    assert [index for _, index in steps[1:4]] == [26, 25, 24]
    assert [index for _, index in run(rooms, pool, "size")[1:3]] == [0, 1]
    searched = rooms[1].by_proxy("atom", 12)
    cost, index = next(searched(rooms[0].View(pool, 0)))
    assert (cost, index) == (pytest.approx((50 + 12) / 100), None)


def test_the_model_is_fitted_on_what_was_trained_and_ranks_the_others(rooms, pool):
    steps = run(rooms, pool, "combined, atom")
    audited = [index for _, index in steps[:10]]
    best = max(index for index in range(N) if index not in audited)
    assert steps[10] == (pytest.approx((50 + N) / 100), None)
    assert steps[11][1] == best


def test_a_stopped_training_costs_its_share(rooms, pool):
    for name in ("successive halving", "Hyperband"):
        steps = run(rooms, pool, name)
        shares = {cost for cost, index in steps if index is None}
        rests = {cost for cost, index in steps if index is not None}
        assert shares == {0.25} and rests <= {0.75}
        assert len(rests) == 1 and len([i for _, i in steps if i is not None]) < N


def test_regret_is_that_of_the_best_seen_in_the_trainings_not_seen(rooms, pool):
    pools, _, search = rooms
    found = search.regrets(pools.View(pool, 0), search.methods(pool)["atom, all"])
    at = dict(zip(search.BUDGETS, found, strict=True))
    assert at[1.5] == np.inf and at[2] == pytest.approx(0)
    noisy = replace(pool, trainings=((0.9, 0.1),) * N)
    view = pools.View(noisy, 0)
    assert np.allclose(view.seen + view.judged, 1.0)  # one was seen, the other judges
    order = search.regrets(view, lambda view: iter([(1.0, 0), (1.0, 1)]))
    pick = 0 if view.seen[0] >= view.seen[1] else 1
    assert order[search.BUDGETS.index(2)] == pytest.approx(100 * (0.5 - view.judged[pick]))


def test_a_half_of_a_pool_keeps_what_belongs_together(rooms, pool):
    half = pool.of(np.array([3, 5, 26]))
    assert half.names == (pool.names[3], pool.names[5], pool.names[26])
    assert half.proxies["atom"][0].scores.tolist() == TRUE[[3, 5, 26]].tolist()
    assert half.shorter[0.25].tolist() == half.judged.tolist() == TRUE[[3, 5, 26]].tolist()
    assert half.digest != pool.digest == pool.of(np.arange(N)).digest


def test_quartiles_of_what_is_not_trained_yet_are_not_known(rooms):
    search = rooms[2]
    rows = [np.array([np.inf, 1.0]), np.array([np.inf, 2.0]), np.array([0.0, 3.0])]
    assert search.quartiles(rows) == [[0.0, None, None], [1.0, 2.0, 3.0]]
    assert list(islice(map(search.shown, search.quartiles(rows)), 2)) == ["", "2.00 (1.00 to 3.00)"]
