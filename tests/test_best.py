"""Which candidates are exported: by the score, and in turn by a model once enough are audited."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_run import AUDIT
from made_search import make_space

from atom_nas.pipeline.best import best, found_audit
from atom_nas.scoring.objective import OBJECTIVES
from atom_nas.scoring.space import candidate_name, uniform_architectures
from atom_nas.search.candidate import Candidate
from atom_nas.search.objectives import Objectives
from atom_nas.storage.files import write_json

N = 30


@pytest.fixture
def space(tmp_path):
    return make_space(tmp_path)


@pytest.fixture
def drawn(space):
    """All 40 architectures; the first 30 are audited, the last 15 searched: 5 are both."""
    return list(uniform_architectures(space, seed=0, is_allowed=lambda cost: True))


def searched(space, drawn):
    """The searched ones, the earlier the higher their score."""
    return [
        Candidate(
            trial=number,
            name=candidate_name(each),
            architecture=each,
            seed=number,
            objective=1 - number / 100,
            accuracy=0.5,
            cost=space.cost(each),
            seconds=1.0,
            is_uniform=True,
            reason="",
        )
        for number, each in enumerate(drawn[25:])
    ]


def audit_of(drawn, accuracies):
    names = tuple(map(candidate_name, drawn[: len(accuracies)]))
    return replace(AUDIT, candidates=names, truth=tuple(accuracies))


class MadeRun:
    """A run whose model says the more the later a candidate was tried; it keeps what it fits."""

    def __init__(self, drawn, objective="accuracy", objectives="accuracy", stream=None, top_k=3):
        self.options = SimpleNamespace(top_k=top_k, proxy="atom_ipc50")
        self.objective, self.objectives = OBJECTIVES[objective], Objectives.parse(objectives)
        self.stream = drawn if stream is None else stream
        self.fitted = []

    def audited(self):
        return ((each, 7) for each in self.stream)

    def scorer(self):
        """Return what scores trial 4 highest, and the others the lower the farther from it."""
        return SimpleNamespace(
            outcomes=lambda proxy, architecture, seed: [proxy, seed],
            score=lambda outcomes: -abs(outcomes[1] - 4),
        )

    def auditor(self):
        def predict(tried, *, fitted_on, truth):
            self.fitted.append(fitted_on)
            self.truth = list(truth)
            return np.array([seed / 20 for _, seed in tried])

        return SimpleNamespace(predict=predict)


def trials(found):
    return [each.trial for each in found.candidates]


def test_a_model_of_thirty_audited_chooses_too_and_those_count_by_full_training(space, drawn):
    accuracies = [0.5] * 25 + [0.1, 0.2, 0.9, 0.3, None]
    run = MadeRun(drawn, top_k=4)
    found = best(run, searched(space, drawn), audit_of(drawn, accuracies))
    # by the model: trial 2, the best of 30 by its full training, then 14 (0.70) and 13 (0.65)
    assert (trials(found), found.fitted_on) == ([2, 0, 1, 14], N)
    assert run.fitted == [[(each, 7) for each in drawn[:N]]]
    assert run.truth == [*accuracies[:-1], 0.0]  # as the audit found it: nothing is trained


def test_the_score_chooses_where_too_few_are_audited_or_none(space, drawn):
    run, candidates = MadeRun(drawn), searched(space, drawn)
    for audit in (audit_of(drawn, [0.5] * (N - 1)), None):
        found = best(run, candidates, audit)
        assert (trials(found), found.fitted_on) == ([0, 1, 2], None)
    assert not run.fitted


@pytest.mark.parametrize("given", ["own.py_ipc5", "./own.py_ipc5", "mine/own.py_ipc5"])
def test_an_audit_is_found_however_the_proxy_was_given(space, drawn, tmp_path, given):
    audit = audit_of(drawn, [0.5] * N)
    audit = replace(audit, proxy=replace(audit.proxy, name="own.py_ipc5"))
    write_json(tmp_path / "audit.json", json.loads(audit.to_json()))
    run = SimpleNamespace(folder=tmp_path, options=SimpleNamespace(proxy=given))
    assert found_audit(run) == audit
    run.options.proxy = "other.py_ipc5"
    assert found_audit(run) is None


def test_a_search_by_ranks_exports_by_them(space, drawn):
    run = MadeRun(drawn, "combined_ranks")
    found = best(run, searched(space, drawn), audit_of(drawn, [0.5] * N))
    assert (trials(found), run.fitted) == ([0, 1, 2], [])


def test_a_search_by_the_model_exports_by_the_proxy_too(space, drawn):
    accuracies = [0.5] * 25 + [0.1, 0.2, 0.9, 0.3, None]
    run = MadeRun(drawn, "combined", top_k=4)
    found = best(run, searched(space, drawn), audit_of(drawn, accuracies))
    # by the proxy 4 and then 3, of equals the higher by the search; by the model 2 and then 14
    assert (trials(found), found.fitted_on) == ([2, 4, 3, 14], N)


def test_of_several_objectives_the_front_is_exported(space, drawn):
    run = MadeRun(drawn, objectives="accuracy,params")
    candidates = searched(space, drawn)
    found = best(run, candidates, audit_of(drawn, [0.5] * N))
    assert not run.fitted and found.candidates[0].trial == 0
    sizes = [each.cost.num_params for each in found.candidates]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)


def test_an_audit_of_other_candidates_than_now_come_first_has_no_part(space, drawn):
    run = MadeRun(drawn, stream=drawn[::-1])
    found = best(run, searched(space, drawn), audit_of(drawn, [0.5] * N))
    assert (trials(found), run.fitted) == ([0, 1, 2], [])
