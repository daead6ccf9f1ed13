"""Signal and noise of made scores, and in an audit."""

import numpy as np
import pytest
from made_scores import judge, make_truth

from atom_nas.audit import ranking
from atom_nas.audit.signal import signal_and_noise, signal_to_noise
from atom_nas.errors import UserError
from atom_nas.scoring.estimator import Estimator


@pytest.mark.parametrize("draws", [2, 5])
@pytest.mark.parametrize(("signal", "noise"), [(2.0, 1.0), (0.5, 1.5)])
def test_they_are_found_as_they_were_made_whatever_the_shift_of_a_draw(draws, signal, noise):
    generator = np.random.default_rng(0)
    n = 20_000
    own, left = generator.normal(size=n), generator.normal(size=(draws, n))
    shift = 10 * np.arange(draws)[:, None]
    found = signal_and_noise(signal * own + noise * left + shift)
    assert found == pytest.approx((signal, noise), rel=0.05)


def test_by_hand():
    # Means 1, 3, 5 and 2, 3, 4; each draw is off by 1, 0, -1: a residual square of 4, over 2.
    scores = [[0.0, 3.0, 6.0], [2.0, 3.0, 4.0]]
    noise = 2.0**0.5
    assert signal_and_noise(scores) == pytest.approx(((4 - noise**2 / 2) ** 0.5, noise))
    assert signal_to_noise(scores) == pytest.approx((3 / 2) ** 0.5)


def test_draws_that_differ_by_a_shift_alone_have_no_ratio_and_noise_alone_has_zero():
    assert signal_to_noise([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]) is None
    assert signal_to_noise([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]) == 0


@pytest.mark.parametrize("scores", [[[1.0, 2.0]], [[1.0], [2.0]], [1.0, 2.0]])
def test_one_draw_or_one_candidate_tells_nothing(scores):
    with pytest.raises(UserError, match="give 2 of each or more"):
        signal_and_noise(scores)


def test_an_audit_of_several_seeds_knows_it_over_all_and_in_the_best_half(monkeypatch):
    monkeypatch.setattr(ranking, "NUM_RESAMPLES", 99)
    truth = make_truth(40)
    repeats = np.where(truth > np.median(truth), 0.6, truth - 1)
    repeats = repeats + 0.01 * np.random.default_rng(0).normal(size=(3, 40))
    proxy = Estimator(name="p", kind="random", scores=repeats.mean(0), repeats=repeats)
    seeds = judge(proxy, [], truth).seeds
    assert seeds.signal_to_noise == pytest.approx(signal_to_noise(repeats))
    assert seeds.signal_to_noise > 20 > 2 > seeds.signal_to_noise_half
