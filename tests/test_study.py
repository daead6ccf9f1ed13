"""The search: distinct candidates, limits, failures, samplers, and going on from a shorter one."""

from dataclasses import asdict

import pytest
from made_search import FAST, SOURCE, Recorder, ignore, make_search, make_space, score

from atom_nas.errors import UserError
from atom_nas.scoring.space import candidate_name, load_space
from atom_nas.search.candidate import Limits
from atom_nas.search.journal import Journal
from atom_nas.search.samplers import SAMPLERS
from atom_nas.search.study import read_candidates
from atom_nas.training.cost import Cost

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return make_space(tmp_path_factory.mktemp("space"))


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_finds_distinct_candidates_and_repeats_by_seed(tmp_path, space, sampler):
    runs = []
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        search = make_search(tmp_path / name, space, sampler=sampler, num_uniform=8, seed=seed)
        runs.append(search.run(12, ignore))
    first, again, other = runs
    assert len({candidate.name for candidate in first}) == len(first) == 12
    assert all(candidate.accuracy is not None for candidate in first)
    assert first == again
    assert [candidate.name for candidate in first] != [candidate.name for candidate in other]


def test_samplers_share_the_uniform_start_and_differ_after_it(tmp_path, space):
    names = [
        [candidate.name for candidate in search.run(12, ignore)]
        for search in (
            make_search(tmp_path / name, space, sampler=name)
            for name in ("tpe", "brute_force", "random", "nsga2")
        )
    ]
    assert len({tuple(found[:6]) for found in names}) == 1
    assert len({tuple(found[6:]) for found in names}) == len(names)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_the_uniform_start_is_known_ahead(tmp_path, sampler):
    """With its repeats, failures and limits; whatever the values, before a search and after."""
    space = make_space(tmp_path, widths=(2, 3, 13), depth=4)
    limits, recorder = Limits(num_params=100), Recorder()
    changes = {"sampler": sampler, "limits": limits, "num_uniform": 8, "evaluate": recorder}
    search = make_search(tmp_path / "search", space, **changes)
    ahead = search.uniform_start(12)
    assert ahead[: len(few := search.uniform_start(3))] == few
    assert not recorder.calls
    uniform = [each for each in search.run(10, ignore) if each.is_uniform]
    assert len(uniform) == 8 and any(each.reason for each in uniform)
    assert ahead == recorder.calls[: len(ahead)] and 0 < len(ahead) < 8
    assert search.uniform_start(12) == ahead and len(recorder.calls) < 12


@pytest.mark.parametrize("sampler", FAST)
def test_the_uniform_start_is_of_those_that_may_start_as_far_as_they_turn_up(tmp_path, sampler):
    """What is passed over is no trial, and the optimiser picks among all."""
    space, allowed = make_space(tmp_path), {"2-1-relu", "3-2-tanh", "5-4-relu", "9-3-tanh"}
    search = make_search(
        tmp_path / "search",
        space,
        sampler=sampler,
        num_uniform=6,
        may_start=lambda architecture: candidate_name(architecture) in allowed,
    )
    found = search.run(10, ignore)
    assert {each.name for each in found[:4]} == allowed
    assert len({each.name for each in found} - allowed) == 6
    assert [each.is_uniform for each in found] == [True] * 6 + [False] * 4
    names = {trial.user_attrs["candidate"] for trial in search.trials.find()}
    assert names == {each.name for each in found}


@pytest.mark.parametrize("optimiser", ["tpe", "nsga2"])
def test_a_short_search_finds_better_candidates_than_chance(tmp_path, optimiser):
    space = make_space(tmp_path, widths=tuple(range(2, 12)), depth=20)
    means = []
    for sampler in (optimiser, "random"):
        search = make_search(tmp_path / sampler, space, sampler=sampler, num_uniform=8)
        picked = search.run(24, ignore)[12:]
        means.append(sum(candidate.accuracy for candidate in picked) / len(picked))
    assert means[0] > means[1] + 0.05


def test_uniform_draws_of_nsga2_inherit_nothing_though_it_has_bred(tmp_path):
    space = make_space(tmp_path, widths=tuple(range(2, 15)), depth=20)
    chance = make_search(tmp_path / "a", space, sampler="random", limits=Limits(macs=900))
    chance.run(40, ignore)
    drawn = [trial.params for trial in chance.trials.find()]
    for num_uniform, trials in [(10, 16), (24, 30)]:
        search = make_search(
            tmp_path / "b",
            space,
            sampler="nsga2",
            limits=Limits(macs=900),
            num_uniform=num_uniform,
        )
        candidates = search.run(trials, ignore)
    is_as_drawn = {c.trial: asdict(c.architecture) == drawn[c.trial] for c in candidates}
    assert sum(candidate.is_uniform for candidate in candidates) == 18
    assert all(is_as_drawn[c.trial] for c in candidates if c.is_uniform)
    assert not all(is_as_drawn[c.trial] for c in candidates if not c.is_uniform)


def test_a_candidate_says_all(tmp_path, space):
    search = make_search(tmp_path, space)
    candidate = search.run(3, ignore)[2]
    assert candidate.trial == 2
    measured = (candidate.objective, candidate.accuracy, candidate.seconds)
    assert measured == score(candidate.architecture, candidate.seed)
    assert candidate.cost == search.space.cost(candidate.architecture)
    assert candidate.is_uniform
    assert candidate.reason == ""
    parts = candidate.architecture
    assert candidate.name == f"{parts.width}-{parts.depth}-{parts.act}"


def test_seeds_of_candidates_differ(tmp_path, space):
    candidates = make_search(tmp_path, space).run(8, ignore)
    assert len({candidate.seed for candidate in candidates}) == 8


@pytest.mark.parametrize("num_uniform", [0, 1, 6, 20])
def test_uniform_flags_the_first_draws(tmp_path, space, num_uniform):
    candidates = make_search(tmp_path, space, num_uniform=num_uniform).run(10, ignore)
    assert [c.is_uniform for c in candidates] == [i < num_uniform for i in range(10)]


@pytest.mark.parametrize("sampler", FAST)
def test_a_tiny_space_is_searched_whole_and_then_ends(tmp_path, sampler):
    evaluate = Recorder()
    space = make_space(tmp_path, widths=(2, 3, 5), depth=1)
    search = make_search(tmp_path, space, evaluate, sampler=sampler, num_uniform=3)
    assert len({c.name for c in search.run(6, ignore)}) == 6
    assert len(evaluate.calls) == 6


def test_asking_a_tiny_space_for_more_than_it_has_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("atom_nas.search.study.MAX_IDLE_DRAWS", 60)
    evaluate = Recorder()
    search = make_search(tmp_path, make_space(tmp_path, widths=(2, 3), depth=1), evaluate)
    assert len(search.run(50, ignore)) == len(evaluate.calls) == 4
    assert len(search.run(50, ignore)) == len(evaluate.calls) == 4


def test_a_failing_build_is_a_failed_candidate_with_its_reason(tmp_path):
    space = make_space(tmp_path, widths=(2, 13, 5))
    candidates = make_search(tmp_path, space).run(15, ignore)
    failed = [c for c in candidates if c.accuracy is None]
    assert len(candidates) == 15
    assert failed
    assert all(c.architecture.width == 13 for c in failed)
    assert all(c.reason == "ValueError: width 13 is unlucky" for c in failed)
    assert not any(c.architecture.width == 13 for c in candidates if c.accuracy is not None)


def test_a_failing_training_is_a_failed_candidate_with_its_reason(tmp_path, space):
    evaluate = Recorder(stop=2, error=RuntimeError("the loss is\nnot finite"))
    candidates = make_search(tmp_path, space, evaluate).run(6, ignore)
    assert [c.accuracy is None for c in candidates] == [False, False, True, False, False, False]
    assert candidates[2].reason == "RuntimeError: the loss is not finite"
    assert candidates[2].cost is not None
    assert len({c.name for c in candidates}) == 6


@pytest.mark.parametrize("error", [UserError("no worker starts"), OSError(5, "broken disk")])
def test_what_is_no_candidate_s_failure_ends_the_search_and_is_tried_again(tmp_path, space, error):
    with pytest.raises(type(error)):
        make_search(tmp_path, space, Recorder(stop=2, error=error)).run(6, ignore)
    found = make_search(tmp_path, space).run(6, ignore)
    assert found == make_search(tmp_path / "whole", space).run(6, ignore)
    assert all(each.accuracy is not None for each in found)


def test_an_error_without_a_message_is_named(tmp_path, space):
    found = make_search(tmp_path, space, Recorder(stop=1, error=AssertionError())).run(3, ignore)
    assert [each.reason for each in found] == ["", "AssertionError", ""]


def test_a_failing_sample_is_a_failed_trial(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(SOURCE.format(widths=(2,), depth=1) + "def sample(trial):\n    1 / 0\n")
    space = load_space(str(file), (1, 4, 4), 3)
    candidates = make_search(tmp_path, space).run(3, ignore)
    assert [(c.architecture, c.accuracy) for c in candidates] == [(None, None)] * 3
    assert {c.reason for c in candidates} == {"ZeroDivisionError: division by zero"}


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_limits_hold_and_uncounted_trials_do_not_count(tmp_path, space, sampler):
    evaluate = Recorder()
    allowed = Limits(num_params=120, macs=100)
    search = make_search(tmp_path, space, evaluate, sampler=sampler, limits=allowed, num_uniform=4)
    candidates = search.run(9, ignore)
    assert len(candidates) == len(evaluate.calls) == 9
    costs = [space.cost(architecture) for architecture, _ in evaluate.calls]
    assert all(cost.num_params <= 120 and cost.macs <= 100 for cost in costs)


def test_limits_that_nothing_keeps_end_the_search(tmp_path, space, monkeypatch):
    monkeypatch.setattr("atom_nas.search.study.MAX_IDLE_DRAWS", 40)
    evaluate = Recorder()
    search = make_search(tmp_path, space, evaluate, limits=Limits(macs=1))
    assert search.run(5, ignore) == []
    assert evaluate.calls == []


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (Limits(), True),
        (Limits(num_params=51), True),
        (Limits(num_params=50), False),
        (Limits(macs=38), False),
        (Limits(num_params=51, macs=39), True),
    ],
)
def test_a_limit_is_the_largest_allowed(limits, allowed):
    assert limits.allow(Cost(num_params=51, macs=39)) is allowed


def test_watch_sees_all_so_far_at_the_start_and_after_each(tmp_path, space):
    seen = []
    make_search(tmp_path, space).run(3, lambda candidates: seen.append(len(candidates)))
    make_search(tmp_path, space).run(4, lambda candidates: seen.append(len(candidates)))
    assert seen == [0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize("sampler", FAST)
def test_a_longer_search_goes_on_from_a_shorter(tmp_path, space, sampler):
    """By one or more times four picks: those asked together are told together."""
    whole = make_search(tmp_path / "a", space, sampler=sampler).run(12, ignore)
    evaluate = Recorder()
    part = make_search(tmp_path / "b", space, evaluate, sampler=sampler)
    part.run(10, ignore)
    assert part.run(12, ignore) == whole
    assert part.run(12, ignore) == whole
    assert len(evaluate.calls) == 12


def test_found_candidates_are_read_without_an_evaluation(tmp_path, space):
    journal = tmp_path / "study.journal"
    assert read_candidates(Journal(journal), space) == [] and not journal.exists()
    found = make_search(tmp_path, space).run(5, ignore)
    assert read_candidates(Journal(journal), space) == found
