"""The search: distinct candidates, limits, failures, samplers, and going on after any end."""

import contextlib
import json
from dataclasses import asdict, replace

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from atom_nas.errors import UserError
from atom_nas.scoring.space import load_space
from atom_nas.search.candidate import Limits
from atom_nas.search.journal import open_study
from atom_nas.search.samplers import SAMPLERS
from atom_nas.search.study import Search, read_candidates

SOURCE = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int
    depth: int
    act: str

def sample(trial):
    return Architecture(
        width=trial.suggest_categorical("width", {widths}),
        depth=trial.suggest_int("depth", 1, {depth}),
        act=trial.suggest_categorical("act", ("relu", "tanh")),
    )

def build(architecture, image_shape, num_classes):
    if architecture.width == 13:
        raise ValueError("width 13\\nis unlucky")
    layers, size = [nn.Flatten()], image_shape[0] * image_shape[1] * image_shape[2]
    for _ in range(architecture.depth):
        layers += [nn.Linear(size, architecture.width), nn.ReLU()]
        size = architecture.width
    return nn.Sequential(*layers, nn.Linear(size, num_classes))
"""
UNLIMITED = Limits()
FAST = sorted(SAMPLERS.keys() - {"gp"})


@pytest.fixture(scope="module", autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def make_space(folder, widths=(2, 3, 5, 8, 9), depth=4):
    file = folder / "my_space.py"
    file.write_text(SOURCE.format(widths=widths, depth=depth))
    return load_space(str(file), (1, 4, 4), 3)


def score(architecture, seed):
    """Return a made accuracy that the architecture and the seed decide, and seconds."""
    noise = seed % 1000 / 1e5
    accuracy = 0.5 + 0.03 * architecture.depth - 0.01 * architecture.width + noise
    return 2 * accuracy, accuracy, 0.25


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return make_space(tmp_path_factory.mktemp("space"))


def make_search(folder, space, evaluate=score, **changes):
    folder.mkdir(exist_ok=True)
    options = {
        **{"limits": UNLIMITED, "sampler": "tpe", "num_uniform": 6, "seed": 0, "goes_by": "score"},
        **changes,
    }
    return Search(
        journal=folder / "study.journal",
        space=space,
        evaluate=evaluate,
        **options,
    )


def ignore(candidates):
    pass


class Recorder:
    """An evaluation that counts, and raises `error` at its call number `stop`."""

    def __init__(self, stop=None, error=KeyboardInterrupt):
        self.calls, self.stop, self.error = [], stop, error

    def __call__(self, architecture, seed):
        if len(self.calls) == self.stop:
            self.stop = None
            raise self.error
        self.calls.append((architecture, seed))
        return score(architecture, seed)


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
    drawn = [trial.params for trial in open_study(chance.journal).get_trials()]
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
    assert all(c.reason == "width 13 is unlucky" for c in failed)
    assert not any(c.architecture.width == 13 for c in candidates if c.accuracy is not None)


def test_a_failing_training_is_a_failed_candidate_with_its_reason(tmp_path, space):
    evaluate = Recorder(stop=2, error=RuntimeError("the loss is\nnot finite"))
    candidates = make_search(tmp_path, space, evaluate).run(6, ignore)
    assert [c.accuracy is None for c in candidates] == [False, False, True, False, False, False]
    assert candidates[2].reason == "the loss is not finite"
    assert candidates[2].cost is not None
    assert len({c.name for c in candidates}) == 6


def test_a_failing_sample_is_a_failed_trial(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(SOURCE.format(widths=(2,), depth=1) + "def sample(trial):\n    1 / 0\n")
    space = load_space(str(file), (1, 4, 4), 3)
    candidates = make_search(tmp_path, space).run(3, ignore)
    assert [(c.architecture, c.accuracy) for c in candidates] == [(None, None)] * 3
    assert {c.reason for c in candidates} == {"division by zero"}


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
def test_a_limit_is_the_largest_allowed(tmp_path, limits, allowed):
    """16 inputs, a layer of 3, a layer of 3: 16*3+3 + 3*3+3 parameters, less 12 for the last."""
    space = make_space(tmp_path, widths=(2,), depth=1)
    cost = replace(
        space.cost(space.module.Architecture(width=2, depth=1, act="relu")), num_params=51, macs=39
    )
    assert limits.allow(cost) is allowed


def test_watch_sees_all_so_far_at_the_start_and_after_each(tmp_path, space):
    seen = []
    make_search(tmp_path, space).run(3, lambda candidates: seen.append(len(candidates)))
    make_search(tmp_path, space).run(4, lambda candidates: seen.append(len(candidates)))
    assert seen == [0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize("sampler", FAST)
def test_a_longer_search_goes_on_from_a_shorter(tmp_path, space, sampler):
    whole = make_search(tmp_path / "a", space, sampler=sampler).run(12, ignore)
    evaluate = Recorder()
    part = make_search(tmp_path / "b", space, evaluate, sampler=sampler)
    part.run(8, ignore)
    assert part.run(12, ignore) == whole
    assert part.run(12, ignore) == whole
    assert len(evaluate.calls) == 12


@pytest.mark.parametrize("sampler", FAST)
@pytest.mark.parametrize("stop", [0, 9])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path, space, sampler, stop):
    whole = make_search(tmp_path / "a", space, sampler=sampler).run(12, ignore)
    evaluate = Recorder(stop=stop)
    search = make_search(tmp_path / "b", space, evaluate, sampler=sampler)
    with pytest.raises(KeyboardInterrupt):
        search.run(12, ignore)
    assert search.run(12, ignore) == whole
    assert len(set(evaluate.calls)) == len(evaluate.calls) == 12


def leave_as_killed(folder, space, *, sampled, sampler="tpe"):
    """Leave what kill -9 leaves: a trial RUNNING, a torn line in the journal, a stale lock."""

    class Killed(BaseException):
        """No handler of Optuna's or the search's sees a kill."""

    journal = folder / "study.journal"

    def die(architecture, seed):
        content.append(journal.read_bytes())
        raise Killed

    content = []
    search = make_search(folder, space, die, sampler=sampler)
    with pytest.raises(Killed):
        search.run(20, ignore)
    lines = content[0].splitlines(keepends=True)
    if not sampled:
        codes = [json.loads(line)["op_code"] for line in lines]
        create_trial = 4
        lines = lines[: len(codes) - codes[::-1].index(create_trial)]
    journal.write_bytes(b"".join(lines) + b'{"op_code": 6, "wor')
    (folder / "study.journal.lock").write_text("")


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("done", [4, 8])
@pytest.mark.parametrize("sampler", FAST)
def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path, space, sampler, done, sampled):
    whole = make_search(tmp_path / "a", space, sampler=sampler).run(12, ignore)
    evaluate = Recorder()
    search = make_search(tmp_path / "b", space, evaluate, sampler=sampler)
    if done:
        search.run(done, ignore)
    leave_as_killed(tmp_path / "b", space, sampled=sampled, sampler=sampler)
    assert search.run(12, ignore) == whole
    assert len(evaluate.calls) == len(set(evaluate.calls)) == 12


def test_a_search_killed_again_and_again_goes_on(tmp_path, space):
    whole = make_search(tmp_path / "a", space).run(12, ignore)
    search = make_search(tmp_path / "b", space)
    for done in (3, 3, 3, 7, 10):
        search.run(done, ignore)
        leave_as_killed(tmp_path / "b", space, sampled=True)
    assert search.run(12, ignore) == whole


class Killed(BaseException):
    """Neither Optuna nor the search catches it."""


@pytest.mark.parametrize("is_after", [False, True])
def test_an_interrupt_at_any_line_of_the_journal_changes_nothing(
    tmp_path, space, is_after, monkeypatch
):
    changes = {"num_uniform": 2}
    whole = make_search(tmp_path / "whole", space, **changes).run(4, ignore)
    num_lines = len((tmp_path / "whole" / "study.journal").read_bytes().splitlines())
    plain = JournalFileBackend.append_logs
    assert num_lines > 30
    for line in range(num_lines):
        error = (KeyboardInterrupt, Killed)[line % 2]
        left = line

        def interrupted(self, logs, error=error):
            nonlocal left
            left -= 1
            if left == 0 and not is_after:
                raise error
            plain(self, logs)
            if left == 0:
                raise error

        search = make_search(tmp_path / f"{line}", space, **changes)
        with monkeypatch.context() as patch, contextlib.suppress(error):
            patch.setattr(JournalFileBackend, "append_logs", interrupted)
            search.run(4, ignore)
        assert search.run(4, ignore) == whole


def test_another_objective_is_told_again_to_the_same_trials(tmp_path, space):
    first = make_search(tmp_path, space, num_uniform=8).run(8, ignore)

    def negated(architecture, seed):
        evaluated.append(architecture)
        objective, accuracy, seconds = score(architecture, seed)
        return -objective, accuracy, seconds

    evaluated = []
    search = make_search(tmp_path, space, negated, goes_by="negated")
    again = search.run(8, ignore)
    assert [(c.name, c.seed, -c.objective) for c in again] == [
        (c.name, c.seed, c.objective) for c in first
    ]
    assert len(evaluated) == 8
    longer = search.run(12, ignore)
    assert longer[:8] == again and len(evaluated) == 12
    assert make_search(tmp_path, space, num_uniform=8).run(8, ignore)[:8] == first


def test_what_fails_by_another_objective_is_a_failed_candidate(tmp_path, space):
    make_search(tmp_path, space).run(3, ignore)
    evaluate = Recorder(stop=1, error=RuntimeError("no second draw"))
    candidates = make_search(tmp_path, space, evaluate, goes_by="two draws").run(3, ignore)
    assert [c.reason for c in candidates] == ["", "no second draw", ""]


def test_found_candidates_are_read_without_an_evaluation(tmp_path, space):
    journal = tmp_path / "study.journal"
    assert read_candidates(journal, space) == [] and not journal.exists()
    found = make_search(tmp_path, space).run(5, ignore)
    assert read_candidates(journal, space) == found


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_journal_is_seen(tmp_path, space, share):
    make_search(tmp_path, space).run(5, ignore)
    journal = tmp_path / "study.journal"
    content = bytearray(journal.read_bytes())
    content[int(share * len(content))] ^= 1
    journal.write_bytes(content)
    with pytest.raises(UserError, match=r"study.journal is damaged .*delete it") as caught:
        make_search(tmp_path, space).run(5, ignore)
    assert "\n" not in str(caught.value)
