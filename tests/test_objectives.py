"""Several objectives: what is named, the front, and a study that carries a value of each."""

import json
import math
from itertools import product

import pytest
from made_search import Recorder, ignore, make_search, make_space, score

from atom_nas.errors import UserError
from atom_nas.options import Options
from atom_nas.search.candidate import Limits, front_of
from atom_nas.search.importances import write_importances
from atom_nas.search.journal import Journal
from atom_nas.search.names import SAMPLER_NAMES
from atom_nas.search.objectives import Objectives, front, spread
from atom_nas.search.table import write_candidates
from atom_nas.storage.files import read_csv, read_json
from atom_nas.training.cost import Cost

pytestmark = pytest.mark.usefixtures("quiet")

BOTH = Objectives(("macs",))


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return make_space(tmp_path_factory.mktemp("space"))


def make(folder, space, evaluate=score, costs=("macs",), **changes):
    objectives = Objectives(costs)
    return make_search(
        folder, space, evaluate, objectives=objectives, goes_by=f"by {costs}", **changes
    )


@pytest.mark.parametrize(
    ("text", "costs"),
    [
        ("accuracy", ()),
        ("accuracy,macs", ("macs",)),
        ("latency, accuracy", ("latency",)),
        ("latency,accuracy,params", ("params", "latency")),
    ],
)
def test_names_are_read_in_whatever_order(text, costs):
    assert Options(objectives=text).objectives == text
    assert Objectives.parse(text).costs == costs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": "accuracy,mac"}, r"unknown name in --objectives 'mac'. .*'macs'"),
        (
            {"objectives": "accuracy,"},
            r"unknown name in --objectives ''\. Known: accuracy, latency",
        ),
        ({"objectives": "accuracy,macs,macs"}, r"accuracy,macs,macs; name macs once\."),
        (
            {"objectives": "macs,params"},
            r"smallest net is best; add accuracy, as in accuracy,macs,p",
        ),
        ({"objectives": "accuracy,macs", "latency_batch": 8}, r"or --objectives accuracy,latency"),
    ],
)
def test_impossible_objectives_are_named(change, message):
    with pytest.raises(UserError, match=message):
        Options(**change)
    assert Options(objectives="accuracy,latency", latency_batch=8).is_latency_optimised


def test_the_front_of_known_points():
    points = [(2, 5), (1, 9), (3, 3), (3, 3), (2, 6), (4, 3), (5, 1), (0, math.nan), (6, 0.5)]
    assert front(enumerate(points), lambda each: each[1]) == [
        *((1, (1, 9)), (0, (2, 5)), (2, (3, 3)), (6, (5, 1)), (8, (6, 0.5)))
    ]
    assert front([(1,), (0,), (0,), (2,)], lambda each: each) == [(0,)]
    assert front([], lambda each: each) == []
    cube = [point for point in product(range(3), repeat=3) if sum(point) >= 2]
    assert sorted(front(cube, lambda each: each)) == [each for each in cube if sum(each) == 2]


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(1, [0]), (2, [0, 6]), (3, [0, 3, 6]), (5, [0, 1, 3, 4, 6]), (9, range(7))],
)
def test_of_a_front_its_ends_and_places_between_are_chosen(count, chosen):
    assert spread(range(7), count) == [*chosen]


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_every_sampler_takes_several_objectives_and_repeats_by_seed(tmp_path, space, sampler):
    """With limits, repeats and failures; and four picks are drawn before the first is told."""
    narrow = make_space(tmp_path, widths=(2, 3, 5, 13), depth=4)
    runs, trials = [], 10 if sampler == "gp" else 12  # a pick of gp takes seconds
    for name in "ab":
        search = make(
            tmp_path / name,
            narrow,
            Recorder(stop=2, error=RuntimeError("not finite")),
            costs=("params", "macs"),
            sampler=sampler,
            limits=Limits(num_params=160),
            num_uniform=8,
        )
        runs.append(search.run(trials, ignore))
    assert runs[0] == runs[1] and len(runs[0]) == trials
    assert any(each.reason == "RuntimeError: not finite" for each in runs[0])
    told = [trial for trial in search.trials.find() if trial.values]
    for trial in told:
        if cost := trial.user_attrs.get("cost"):  # a repeat has the values of its like
            assert trial.values[1:] == [cost["num_params"], cost["macs"]]
    by_number = {trial.number: trial for trial in told}
    scored = [each for each in runs[0] if each.objective is not None]
    assert [each.objective for each in scored] == [by_number[c.trial].values[0] for c in scored]


def test_a_search_by_two_finds_smaller_nets_than_one_by_the_score(tmp_path):
    space = make_space(tmp_path, widths=tuple(range(2, 12)), depth=20)
    sizes = []
    for name, costs in (("one", ()), ("two", ("macs",))):
        picked = make(tmp_path / name, space, costs=costs, num_uniform=8).run(24, ignore)[8:]
        sizes.append(sum(each.cost.macs for each in picked))
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("stop", [2, 7])
def test_it_goes_on_where_it_was_killed_and_with_more_trials(tmp_path, space, stop):
    whole = make(tmp_path / "whole", space).run(14, ignore)
    journal, left = tmp_path / "killed" / "study.journal", []

    def dying(architecture, seed):
        if len(evaluate.calls) == stop:
            left.append(journal.read_bytes())
        return evaluate(architecture, seed)

    evaluate = Recorder(stop=stop)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "killed", space, dying).run(10, ignore)
    journal.write_bytes(left[0] + b'{"op_code": 6, "values": [0.5, 1')
    search = make(tmp_path / "killed", space, evaluate)
    assert search.run(10, ignore) == whole[:10]
    assert search.run(14, ignore) == whole and len(set(evaluate.calls)) == 14


def test_what_was_searched_by_the_score_is_told_by_more_and_back(tmp_path, space):
    """Latency, which was not measured before, is measured then; told back, all is as it was."""

    def timed(architecture):
        cost = space.cost(architecture)
        return Cost(num_params=cost.num_params, macs=cost.macs, latency_ms=architecture.depth / 8)

    changes = {"sampler": "random"}
    alone = make(tmp_path / "told", space, costs=(), **changes).run(8, ignore)
    by_time = {"costs": ("macs", "latency"), "cost": timed, **changes}
    told = make(tmp_path / "told", space, **by_time).run(8, ignore)
    assert told == make(tmp_path / "whole", space, **by_time).run(8, ignore)
    values = [
        [trial.values for trial in Journal(tmp_path / name / "study.journal").find()]
        for name in ("told", "whole")
    ]
    assert values[0] == values[1] and {len(each) for each in values[0] if each} == {3}
    assert [c.objective for c in told] == [c.objective for c in alone]
    assert make(tmp_path / "told", space, costs=(), **changes).run(8, ignore) == alone


def test_a_study_of_other_values_that_a_kill_left_empty_is_made_again(tmp_path, space):
    make(tmp_path, space).run(0, ignore)
    journal = tmp_path / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[0])["directions"] == [2, 1]
    journal.write_bytes(lines[0])
    found = make(tmp_path, space, costs=()).run(3, ignore)
    assert [len(trial.values) for trial in Journal(journal).find()] == [1] * 3 and len(found) == 3


def test_the_table_says_who_is_on_the_front_and_importances_are_of_the_score(tmp_path, space):
    search = make(tmp_path, space, num_uniform=12)
    candidates = search.run(12, ignore)
    write_candidates(tmp_path / "c.csv", candidates, space, BOTH)
    members = front_of(candidates, BOTH)
    rows = read_csv(tmp_path / "c.csv")
    assert {row["candidate"] for row in rows if row["on_front"] == "1"} == {
        each.name for each in members
    }
    for each in members:
        others = [c for c in candidates if c.cost.macs <= each.cost.macs and c is not each]
        assert all(other.objective < each.objective for other in others)
    assert max(candidates, key=lambda each: each.objective) is members[0]
    write_importances(tmp_path / "both.json", search.trials)
    alone = make(tmp_path / "alone", space, costs=(), num_uniform=12)
    assert alone.run(12, ignore) == candidates
    write_importances(tmp_path / "alone.json", alone.trials)
    assert read_json(tmp_path / "both.json") == read_json(tmp_path / "alone.json")
    write_candidates(tmp_path / "c.csv", candidates, space, Objectives())
    assert "on_front" not in read_csv(tmp_path / "c.csv")[0]
