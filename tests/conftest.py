"""Two processes run the tests, each with one thread: threads that wait for each other cost more."""

import optuna
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr("atom_nas.audit.ranking.NUM_RESAMPLES", 299)
