"""Made scores and truths, for the tests of the ranking and of the audit."""

import math

import numpy as np

from atom_nas.audit.figures import audit_scores
from atom_nas.audit.truth import Truth
from atom_nas.scoring.estimator import Estimator


def pair(seed, n, rho):
    """A bivariate normal sample with Pearson correlation rho."""
    first, noise = np.random.default_rng(seed).normal(size=(2, n))
    return rho * first + math.sqrt(1 - rho**2) * noise, first


def with_ties(seed, n):
    scores, truth = pair(seed, n, 0.7)
    return np.round(2 * scores) / 2, np.round(truth)


def limits(estimate):
    return estimate.low, estimate.high


def make_truth(n=40, seed=0):
    return np.random.default_rng(seed).uniform(0.3, 0.7, n)


def estimator(name, scores, **more):
    return Estimator(name=name, kind="zero_cost", scores=scores, **more)


def noise(n=40, seed=1, name="noise", **more):
    return estimator(name, np.random.default_rng(seed).uniform(size=n), **more)


def judge(proxy, rivals, truth, **more):
    return audit_scores(proxy, rivals, Truth(validation=truth, seconds=100.0, macs=1e6), **more)
