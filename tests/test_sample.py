"""The stratified order: nothing lost, every ten spread, estimates no worse than uniform ones."""

from itertools import count, islice

import numpy as np
import pytest
from scipy.stats import spearmanr

from atom_nas.audit.sampling import in_strata


def ordered(draws, seed=0):
    return list(in_strata(draws, size=lambda value: value, seed=seed))


@pytest.mark.parametrize("number", [0, 1, 9, 10, 57, 100, 230])
def test_every_draw_comes_once_and_a_hundred_stays_a_hundred(number):
    draws = list(np.random.default_rng(1).permutation(number))
    found = ordered(draws)
    assert sorted(found) == list(range(number))
    assert set(found[:100]) == set(draws[:100])


def test_every_ten_have_one_of_each_tenth():
    found = ordered(np.random.default_rng(1).permutation(100))
    for start in range(0, 100, 10):
        assert sorted(value // 10 for value in found[start : start + 10]) == list(range(10))


def test_the_order_depends_on_the_seed_alone_and_takes_from_an_endless_stream():
    first, again, other = (
        list(islice(in_strata(count(), size=lambda value: -value, seed=seed), 150))
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_stratified_sample_of_30_estimates_spearman_better_than_a_uniform_one():
    """Size, proxy and truth jointly normal: 600 samples of each kind, errors against n = 10,000."""
    generator = np.random.default_rng(0)
    size = generator.normal(size=10_000)
    truth = size + generator.normal(scale=0.7, size=10_000)
    proxy = size + generator.normal(scale=0.7, size=10_000)
    rho = spearmanr(proxy, truth)[0]
    errors = {"uniform": [], "stratified": []}
    for repeat in range(600):
        draws = generator.choice(10_000, 100, replace=False)
        spread = in_strata(draws, size=lambda index: size[index], seed=repeat)
        for kind, sample in (("uniform", draws[:30]), ("stratified", list(islice(spread, 30)))):
            errors[kind].append(spearmanr(proxy[sample], truth[sample])[0] - rho)
    assert np.std(errors["stratified"]) < np.std(errors["uniform"])
    assert abs(np.mean(errors["stratified"])) < 0.02
