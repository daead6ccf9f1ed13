"""Free scores: each taken once, each failing for itself, with its reason and the worst rank."""

import numpy as np
import pytest
import torch
from made_toy import CPU, architecture, make_dataset, make_space
from tiny_run import rows_of

from atom_nas.audit import free_scores
from atom_nas.audit.free_scores import PASSES, FreeScores


@pytest.fixture
def space(tmp_path):
    return make_space(tmp_path)


def open_scores(folder, space):
    return FreeScores(folder / "free.csv", space=space, dataset=make_dataset(), seed=0, device=CPU)


def test_one_score_that_fails_leaves_the_others_and_says_why(tmp_path, space, monkeypatch):
    def fail(net, images, labels):
        raise RuntimeError("no\njacobian")

    monkeypatch.setitem(free_scores.SCORES, "jacob_cov", fail)
    sample = [architecture(space)]
    found = {each.name: each.scores[0] for each in open_scores(tmp_path, space).estimators(sample)}
    assert {name for name, value in found.items() if np.isnan(value)} == {"jacob_cov"}
    reasons = {row["score"]: row["failure"] for row in rows_of(tmp_path / "free.csv")}
    assert reasons.pop("jacob_cov") == "RuntimeError: no jacobian"
    assert set(reasons.values()) == {""}


def test_a_failed_score_is_the_worst_even_where_scores_are_negative(tmp_path, space, monkeypatch):
    values = iter([-70.0, np.nan, -80.0])
    monkeypatch.setitem(free_scores.SCORES, "jacob_cov", lambda *_: next(values))
    sample = [architecture(space, kind) for kind in ("linear", "a", "b")]
    found = {each.name: each for each in open_scores(tmp_path, space).estimators(sample)}
    assert found["jacob_cov"].ranked.argsort().tolist() == [1, 2, 0]


def test_what_a_net_draws_when_it_is_scored_depends_on_the_seed_alone(tmp_path, space, monkeypatch):
    def drawing(net, images, labels):
        return torch.nn.functional.dropout(torch.ones(100)).sum().item() + torch.rand(1).item()

    monkeypatch.setitem(free_scores.SCORES, "jacob_cov", drawing)
    found = []
    for number in range(2):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        (tmp_path / str(number)).mkdir()
        scores = open_scores(tmp_path / str(number), space).estimators([architecture(space)])
        found += [each.scores[0] for each in scores if each.name == "jacob_cov"]
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]


def test_a_kill_at_any_row_repeats_none(tmp_path, space):
    sample = [architecture(space, kind) for kind in ("linear", "a")]
    first = open_scores(tmp_path, space).estimators(sample)
    path = tmp_path / "free.csv"
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * len(PASSES)
    for kept in range(1, len(lines)):
        path.write_text("".join(lines[:kept]))
        again = open_scores(tmp_path, space).estimators(sample)
        keys = [(row["candidate"], row["score"]) for row in rows_of(tmp_path / "free.csv")]
        assert len(set(keys)) == len(keys) == 2 * len(PASSES)
        for one, other in zip(first, again, strict=True):
            np.testing.assert_allclose(one.scores, other.scores)
