"""A limit on latency: measured once, kept, and held by the search and by uniform draws."""

from itertools import count, islice

import pytest
import torch
from made_run import edit_csv, edit_json, make_run, tables
from made_search import Recorder, ignore, make_search, make_space
from torch import nn

from atom_nas.audit.sampling import audited_sample
from atom_nas.errors import UserError
from atom_nas.options import Options
from atom_nas.pipeline.budget import Budget
from atom_nas.report import write_report
from atom_nas.scoring.latencies import Latencies
from atom_nas.scoring.space import candidate_name
from atom_nas.search.candidate import Limits
from atom_nas.search.names import SAMPLER_NAMES
from atom_nas.search.objectives import Objectives
from atom_nas.search.table import write_candidates
from atom_nas.storage.files import read_csv
from atom_nas.training.latency import Latency, measure_latency

pytestmark = pytest.mark.usefixtures("quiet")

CPU = torch.device("cpu")
LIMITS = Limits(num_params=250, latency_ms=2.0)


class Clockwork:
    """A measure that gives the number of layers in ms, and is interrupted at call `stop`."""

    def __init__(self, stop=None):
        self.measured, self.stop = [], stop

    def __call__(self, net, image_shape, batch_size, device):
        if len(self.measured) == self.stop:
            self.stop = None
            raise KeyboardInterrupt
        self.measured.append(str(net))
        depth = sum(isinstance(each, nn.Linear) for each in net) - 1
        return Latency(median_ms=float(depth), iqr_ms=0.125 * batch_size, runs=40)


@pytest.fixture
def clockwork(monkeypatch):
    measure = Clockwork()
    monkeypatch.setattr("atom_nas.scoring.latencies.measure_latency", measure)
    return measure


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return make_space(tmp_path_factory.mktemp("space"))


def make_budget(folder, space, limits=LIMITS, batch_size=1):
    path = folder / "latency.csv"
    latencies = Latencies(path, space=space, device=CPU, batch_size=batch_size)
    return Budget(space=space, limits=limits, latencies=latencies)


def limited(folder, space, evaluate, **changes):
    folder.mkdir(exist_ok=True)
    budget = make_budget(folder, space)
    return make_search(folder, space, evaluate, limits=LIMITS, cost=budget.cost, **changes)


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_the_limit_holds_in_a_search_and_is_told_to_its_sampler(
    tmp_path, space, sampler, clockwork
):
    evaluate = Recorder()
    search = limited(tmp_path, space, evaluate, sampler=sampler, num_uniform=4)
    found = search.run(7, ignore)
    assert len(found) == len(evaluate.calls) == 7
    assert all(each.architecture.depth <= 2 for each in found)
    assert all(each.cost.latency_ms == each.architecture.depth for each in found)
    trials = search.trials.find()
    slow = [t for t in trials if (t.user_attrs.get("cost", {}).get("latency_ms") or 0) > 2]
    assert slow and all(t.user_attrs["uncounted"] for t in slow)
    assert {t.constraints["latency_ms"] for t in slow} <= {1.0, 2.0}


def test_what_a_counted_limit_refuses_is_not_measured_and_nothing_is_twice(
    tmp_path, space, clockwork
):
    search = limited(tmp_path, space, Recorder())
    search.uniform_start(6)
    ahead = len(clockwork.measured)
    assert ahead > 0
    search.run(9, ignore)
    again = limited(tmp_path, space, Recorder())
    assert again.run(12, ignore)
    rows = read_csv(tmp_path / "latency.csv")
    assert len(clockwork.measured) == len(rows) == len({row["candidate"] for row in rows})
    drawn = [
        trial.user_attrs
        for trial in search.trials.find()
        if "cost" in trial.user_attrs and "repeats" not in trial.user_attrs.get("uncounted", "")
    ]
    dear = {each["candidate"] for each in drawn if each["cost"]["num_params"] > 250}
    assert dear and not dear & {row["candidate"] for row in rows}


def test_long_measuring_says_how_far_it_is(tmp_path, space, clockwork, monkeypatch, capsys):
    seconds = count(step=6.0)  # so much passes between two looks at the clock
    monkeypatch.setattr("atom_nas.scoring.latencies.monotonic", lambda: next(seconds))
    budget = make_budget(tmp_path, space, Limits())
    for depth in (3, 1, 2, 4):
        budget.cost(space.module.Architecture(width=2, depth=depth, act="relu"))
    assert capsys.readouterr().err.splitlines() == [
        "latency: 2 candidates measured, the fastest takes 1 ms",
        "latency: 4 candidates measured, the fastest takes 1 ms",
    ]


@pytest.mark.parametrize("stop", [0, 1, 5])
def test_an_interrupted_measurement_loses_none_before_it(tmp_path, space, monkeypatch, stop):
    runs = []
    for name, at in (("whole", None), ("broken", stop)):
        measure = Clockwork(at)
        monkeypatch.setattr("atom_nas.scoring.latencies.measure_latency", measure)
        if at is not None:
            with pytest.raises(KeyboardInterrupt):
                limited(tmp_path / name, space, Recorder()).run(8, ignore)
            assert len(measure.measured) == stop
        runs.append((limited(tmp_path / name, space, Recorder()).run(8, ignore), measure.measured))
    assert runs[0] == runs[1]


def test_an_audited_sample_is_drawn_from_all_that_is_allowed(tmp_path, space, clockwork):
    def draw():
        budget = make_budget(tmp_path, space)
        drawn = audited_sample(space, [], is_allowed=LIMITS.allow, seed=0, cost=budget.cost)
        return [candidate_name(architecture) for architecture, _ in islice(drawn, 100)]

    def is_allowed(width, depth):
        architecture = space.module.Architecture(width=width, depth=depth, act="relu")
        return depth <= 2 and space.cost(architecture).num_params <= 250

    found = draw()
    assert set(found) == {
        f"{width}-{depth}-{act}"
        for width in (2, 3, 5, 8, 9)
        for depth in (1, 2, 3, 4)
        for act in ("relu", "tanh")
        if is_allowed(width, depth)
    }
    count = len(clockwork.measured)
    assert draw() == found and len(clockwork.measured) == count


def test_a_latency_is_of_a_batch_on_a_device(tmp_path, space, clockwork):
    architecture = space.module.Architecture(width=2, depth=2, act="relu")
    for batch_size in (1, 8):
        latencies = make_budget(tmp_path, space, batch_size=batch_size).latencies
        assert latencies.facts(architecture) == {
            "latency_ms": 2.0,
            "latency_iqr_ms": 0.125 * batch_size,
            "latency_runs": 40,
            "latency_batch": batch_size,
            "latency_device": "cpu",
        }
    assert len(clockwork.measured) == len(read_csv(tmp_path / "latency.csv")) == 2


def test_the_table_of_candidates_has_latencies_where_they_were_measured(tmp_path, space, clockwork):
    timed = limited(tmp_path / "timed", space, Recorder()).run(3, ignore)
    for candidates, has_latency in (
        (timed, True),
        (make_search(tmp_path, space).run(3, ignore), 0),
    ):
        write_candidates(tmp_path / "c.csv", candidates, space, Objectives())
        rows = read_csv(tmp_path / "c.csv")
        assert [row.get("latency_ms") for row in rows] == [
            str(each.cost.latency_ms) if has_latency else None for each in candidates
        ]
        assert [row["seconds"] for row in rows] == ["0.25"] * 3


def test_the_report_shows_latencies(tmp_path):
    run = make_run(tmp_path)
    edit_csv(
        run / "candidates.csv",
        lambda rows: [{**row, "latency_ms": 1.5 + i} for i, row in enumerate(rows)],
    )
    edit_json(run / "settings.json", latency_batch=4)
    page = write_report(run).read_text(encoding="utf-8")
    assert ">Latency (ms)<" in page and ">14.5</td>" in page and "a batch of 4;" in page
    best = tables((run / "report.md").read_text(encoding="utf-8"))[3]
    assert best[0][7:9] == ["Latency (ms)", "Time"] and best[1][7:9] == ["14.5", "1.5 s"]


def test_a_real_measurement_leaves_threads_and_generator_alone():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    seen = []

    class Probe(nn.Linear):
        def forward(self, images):
            seen.append((tuple(images.shape), torch.get_num_threads(), self.training))
            assert not torch.is_grad_enabled()
            return super().forward(images)

    net = Probe(5, 3)
    state = torch.get_rng_state()
    found = measure_latency(net, (2, 4, 5), 3, CPU)
    assert set(seen) == {((3, 2, 4, 5), 1, False)}
    assert found.median_ms > 0 and found.iqr_ms >= 0 and 0 < found.runs < len(seen)
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_latency_ms": 0.0}, r"--max-latency-ms is 0; give a number above 0"),
        ({"max_latency_ms": float("nan")}, r"--max-latency-ms is nan"),
        ({"hours": -1.0}, r"--hours is -1; give a number above 0, or leave it out"),
        ({"latency_batch": 8}, r"--latency-batch is 8.*--max-latency-ms"),
        ({"latency_batch": 0}, r"--latency-batch is 0; it must be at least 1"),
    ],
)
def test_impossible_limits_are_named(change, message):
    with pytest.raises(UserError, match=message):
        Options(**change)
