"""A search that ends early, by its hours or as its space has no more, says so, and goes on."""

import pytest
from made_search import make_search, make_space
from tiny_run import error_of, rows_of, run_args, save_data, save_space

from atom_nas.cli import main
from atom_nas.pipeline.deadline import Deadline
from atom_nas.search.study import OutOfTime, read_candidates
from atom_nas.storage.files import read_json

pytestmark = pytest.mark.usefixtures("quiet")


class Clock:
    """Each training takes 36 s, a hundredth of an hour."""

    def __init__(self):
        self.now, self.trained = 1000.0, 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("atom_nas.pipeline.deadline.monotonic", clock)
    from atom_nas.scoring import trainer

    fit = trainer.fit_in_parts

    def slow(*args, **more):
        clock.now += 36.0
        clock.trained += 1
        return fit(*args, **more)

    monkeypatch.setattr("atom_nas.scoring.trainer.fit_in_parts", slow)
    return clock


@pytest.fixture
def args(tmp_path):
    made = run_args(save_data(tmp_path), save_space(tmp_path), tmp_path / "out")
    return ["search", *made[1:], "--workers", "1"]


def test_a_search_ends_with_its_hours_and_goes_on_with_the_next(tmp_path, args, clock, capsys):
    main([*args, "--hours", "0.015"])
    said = capsys.readouterr().out
    out = tmp_path / "out"
    tried = len(rows_of(out / "candidates.csv"))
    assert clock.trained == 2 and 2 <= tried < 6
    assert f"{tried} of 6 trials are done, and 0.015 hours are over: the same command goes" in said
    assert "trials fit into 0.015 hours at" in said
    assert "hours" not in read_json(out / "settings.json")
    assert read_json(out / "options.json")["hours"] is None
    main(args)
    said = capsys.readouterr().out
    assert clock.trained == 4 and "are done" not in said and "fit into" not in said
    whole = rows_of(out / "candidates.csv")
    main([*args, "--out", str(tmp_path / "whole")])
    for row, other in zip(whole, rows_of(tmp_path / "whole" / "candidates.csv"), strict=True):
        assert {**row, "seconds": "", "checksum": ""} == {**other, "seconds": "", "checksum": ""}


def test_hours_that_end_before_a_training_are_one_line(args, clock, capsys, monkeypatch):
    monkeypatch.setattr(Deadline, "is_ahead", lambda self: False)
    with pytest.raises(SystemExit):
        main([*args, "--hours", "0.01"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: the 0.01 hours of --hours were over before a candidate")
    assert clock.trained == 0


@pytest.mark.parametrize("sampler", ["tpe", "brute_force"])
def test_a_space_that_has_no_more_is_said_to(tmp_path, args, capsys, monkeypatch, sampler):
    for where in ("search.study", "pipeline.ending"):
        monkeypatch.setattr(f"atom_nas.{where}.MAX_IDLE_DRAWS", 40)
    args = [*args, "--sampler", sampler]
    for _ in range(2):
        main([*args, "--trials", "9"])
        line = "6 of 9 trials are done, and six has no more: 40 draws in a row gave no new"
        assert line in capsys.readouterr().out
    assert len(rows_of(tmp_path / "out" / "candidates.csv")) == 6
    main([*args, "--trials", "6"])
    assert "has no more" not in capsys.readouterr().out


def test_another_limit_on_latency_is_another_run(tmp_path, args, capsys, monkeypatch):
    from atom_nas.training.latency import Latency

    def measure(net, image_shape, batch_size, device):
        return Latency(median_ms=float(len(net)), iqr_ms=0.0, runs=1)

    monkeypatch.setattr("atom_nas.scoring.latencies.measure_latency", measure)
    monkeypatch.setattr("atom_nas.search.study.MAX_IDLE_DRAWS", 40)
    main(["run", *args[1:], "--max-latency-ms", "5.5"])
    out = tmp_path / "out"
    rows = rows_of(out / "candidates.csv")
    assert {row["candidate"] for row in rows if row["state"] == "COMPLETE"} == {"4-1", "8-1"}
    assert {row["latency_ms"] for row in rows if row["state"] == "COMPLETE"} == {"5.0"}
    assert {row["candidate"] for row in rows_of(out / "truth.csv")} == {"4-1", "8-1"}
    assert len(rows_of(out / "latency.csv")) == 4
    (metrics,) = (read_json_of(path) for path in out.glob("export/*/metrics.json"))
    assert (metrics["latency_ms"], metrics["latency_device"]) == (5.0, "cpu")
    capsys.readouterr()
    line = error_of(capsys, args)
    assert "max_latency_ms 5.5 (now not given)" in line
    line = error_of(capsys, [*args, "--max-latency-ms", "5.5", "--latency-batch", "2"])
    assert "latency_batch 1 (now 2)" in line


def read_json_of(path):
    import json

    return json.loads(path.read_text())


def test_out_of_time_leaves_the_trial_to_be_drawn_again(tmp_path):
    space = make_space(tmp_path)

    def evaluate(architecture, seed):
        if len(calls) == 4:
            raise OutOfTime
        calls.append(architecture)
        return 0.5, 0.5, 1.0

    calls = []
    search = make_search(tmp_path, space, evaluate)
    with pytest.raises(OutOfTime):
        search.run(8, lambda candidates: None)
    found = read_candidates(search.trials, space)
    assert [each.reason for each in found] == [""] * 4
    whole = make_search(tmp_path / "whole", space, lambda *_: (0.5, 0.5, 1.0))
    again = make_search(tmp_path, space, lambda *_: (0.5, 0.5, 1.0))
    assert again.run(8, lambda c: None) == whole.run(8, lambda c: None)


@pytest.mark.parametrize(
    ("done", "uniform", "workers", "fit"),
    [(3, 0, 1, 37), (3, 27, 1, 37), (3, 0, 3, 106), (3, 0, 8, 141), (3, 20, 2, 72), (3, 90, 2, 72)],
)
def test_the_forecast(monkeypatch, done, uniform, workers, fit):
    clock = Clock()
    monkeypatch.setattr("atom_nas.pipeline.deadline.monotonic", clock)
    deadline = Deadline(0.5)
    clock.now += 1800 - 34.5 * 42
    said = deadline.forecast(
        done=done,
        wanted=200,
        seconds=42.0,
        uniform=uniform,
        workers=workers,
    )
    assert said == f"about {fit} of 200 trials fit into 0.5 hours at 42 s a trial."
    assert deadline.is_ahead()
    clock.now += 34.5 * 42
    assert not deadline.is_ahead()
    assert Deadline(None).is_ahead()
