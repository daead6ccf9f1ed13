"""Two processes run the tests, each with one thread: threads that wait for each other cost more."""

import optuna
import pytest
import torch

from atom_nas.export import folder as export

torch.set_num_threads(1)

LONGEST = ("cluster_runs", "soak", "faults", "kill", "default_training", "cli_run", "pool")
"""Files that take a minute and more; with one of them last a process would wait for the other."""


def pytest_collection_modifyitems(items):
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr("atom_nas.audit.ranking.NUM_RESAMPLES", 299)


@pytest.fixture
def only_source(monkeypatch):
    """Export Python source and weights, without graphs, which take seconds."""
    monkeypatch.setattr(export, "FORMATS", {})


@pytest.fixture(scope="session")
def database():
    """A PostgreSQL server of these tests, on loopback."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    from made_cluster import programs, running_database

    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with running_database() as found:
        yield found
