"""Runs by several objectives: the front in the table, the exports, the report, with others."""

import json
import shutil
from dataclasses import replace

import pytest
from made_run import edit_csv, edit_json, make_run, tables
from made_search import ignore, make_search, make_space
from tiny_run import SPACE, error_of, rows_of, run_args, save_data, save_space
from torch import nn

from atom_nas.cli import main
from atom_nas.report.answers import answers
from atom_nas.report.front import about_front, pareto_front
from atom_nas.report.going_on import steps
from atom_nas.report.results import read_results
from atom_nas.search.objectives import Objectives
from atom_nas.training.latency import Latency

pytestmark = pytest.mark.usefixtures("quiet")


def by_width(net: nn.Module, image_shape, batch_size, device) -> Latency:
    return Latency(median_ms=batch_size / net[-1].in_features, iqr_ms=0.5, runs=40)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run by accuracy and latency: (its folder, its arguments)."""
    folder = tmp_path_factory.mktemp("run")
    more = ["--objectives", "latency,accuracy", "--latency-batch", "4", "--workers", "1"]
    args = run_args(save_data(folder), save_space(folder), folder / "out", *more, "--top-k", "5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atom_nas.scoring.latencies.measure_latency", by_width)
        main(args)
    return folder / "out", args


def test_the_front_is_in_the_table_exported_and_shown(finished):
    out, _ = finished
    rows = [row for row in rows_of(out / "candidates.csv") if row["state"] == "COMPLETE"]
    assert {row["latency_ms"] for row in rows} == {"0.5", "1.0"}
    best = [
        max((row for row in rows if row["width"] == width), key=lambda row: float(row["objective"]))
        for width in ("8", "4")
    ]
    if float(best[1]["objective"]) <= float(best[0]["objective"]):
        best.pop()
    names = {row["candidate"] for row in best}
    assert {row["candidate"] for row in rows if row["on_front"] == "1"} == names
    exports = {path.name.partition("-")[2]: path for path in (out / "export").iterdir()}
    assert exports.keys() == names
    for row in best:
        metrics = json.loads((exports[row["candidate"]] / "metrics.json").read_text())
        assert metrics["latency_ms"] == float(row["latency_ms"]) and metrics["latency_batch"] == 4
    page, text = ((out / f"report.{kind}").read_text() for kind in ("html", "md"))
    for told in (page, text):
        assert f"A front of {len(best)} net" in told and "at no more latency" in told
        assert "Score against latency" in told and "a batch of 4" in told
    shown = next(table for table in tables(text) if table[0][0] == "Candidate")
    assert shown[0][3] == "Latency (ms)" and [row[0] for row in shown[1:]] == [
        each["candidate"] for each in sorted(best, key=lambda row: -float(row["objective"]))
    ]


def test_latency_is_measured_once_and_for_the_search_alone(finished):
    """The audit, which draws by the hundred, needs none."""
    out, _ = finished
    tried = {row["candidate"] for row in rows_of(out / "candidates.csv") if row["macs"]}
    measured = [row["candidate"] for row in rows_of(out / "latency.csv")]
    assert len(measured) == len(set(measured)) and set(measured) == tried


def test_other_objectives_are_told_at_no_cost(finished, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "out"
    shutil.copytree(finished[0], folder)
    monkeypatch.setattr(
        "atom_nas.scoring.trainer.fit_in_parts", lambda *_, **__: pytest.fail("trained")
    )
    args = ["search", *finished[1][1:], "--latency-batch", "1", "--out", str(folder)]
    main([*args, "--objectives", "accuracy,params,macs"])
    rows = rows_of(folder / "candidates.csv")
    members = [row for row in rows if row["on_front"] == "1"]
    said = capsys.readouterr().out
    assert f"front of {len(members)} of 6 candidates: no other scores as high at no more" in said
    assert all(f" multiply-adds: {row['candidate']}\n" in said for row in members)
    main([*args, "--objectives", "accuracy"])
    assert "front" not in capsys.readouterr().out
    alone = rows_of(folder / "candidates.csv")
    assert "on_front" not in alone[0] and "latency_ms" not in alone[0]
    assert [row["objective"] for row in alone] == [row["objective"] for row in rows]


@pytest.mark.parametrize(
    ("text", "culprit"), [("accuracy,mac", "'mac'"), ("macs", "add accuracy, as in accuracy,macs")]
)
def test_what_cannot_be_optimised_is_one_line_before_anything_is_written(
    capsys, tmp_path, text, culprit
):
    line = error_of(capsys, ["run", "--objectives", text, "--out", tmp_path / "out"])
    assert culprit in line and not (tmp_path / "out").exists()


def test_the_study_does_not_depend_on_the_number_of_workers(tmp_path):
    data, space = save_data(tmp_path), tmp_path / "twenty.py"
    space.write_text(SPACE.replace("(4, 8, 13)", str(tuple(range(2, 12)))))
    found = []
    for workers in ("1", "3"):
        out = tmp_path / workers
        more = ["--objectives", "accuracy,macs", "--workers", workers, "--proxy", "random_ipc4"]
        main(["search", *run_args(data, space, out, *more, "--trials", "12")[1:]])
        rows = rows_of(out / "candidates.csv")
        found.append([{**row, "seconds": "", "checksum": ""} for row in rows])
    assert found[0] == found[1] and any(row["uniform"] == "0" for row in found[0])


def test_a_shared_study_carries_the_values_too(database, tmp_path):
    from atom_nas.cluster.address import Address
    from atom_nas.cluster.server import Server
    from atom_nas.cluster.shared_run import SharedRun
    from atom_nas.cluster.shared_study import after_death

    space, changes = make_space(tmp_path), {"objectives": Objectives(("params", "macs"))}
    alone = make_search(tmp_path / "alone", space, **changes)
    whole = alone.run(12, ignore)
    server = Server(Address(database.new_url()), after_death)
    try:
        shared = make_search(tmp_path, space, trials=SharedRun(server, "two"), **changes)
        assert shared.run(8, ignore) == whole[:8]
        values = [trial.values for trial in alone.trials.find()[:8]]
        assert [trial.values for trial in shared.trials.find()] == values
        assert len(values[0]) == 3
    finally:
        server.close()


FRONT = ("net-1", "net-2", "net-13")


@pytest.fixture
def two(tmp_path):
    """A made run whose front, by accuracy and parameters, is net-1, net-2 and net-13."""
    run = make_run(tmp_path)
    edit_csv(
        run / "candidates.csv",
        lambda rows: [{**row, "on_front": int(row["candidate"] in FRONT)} for row in rows],
    )
    edit_json(run / "options.json", objectives="accuracy,params")
    return read_results(run)


def test_the_first_answer_says_how_large_the_front_is(two):
    which, costs, *_ = answers(two)
    assert which.answer == (
        "A front of 3 nets, 2 exported: no other of 14 candidates scores as high on the "
        "proxy at no more parameters."
    )
    assert costs.answer == "The most accurate: 1.50 k parameters, 150 k multiply-adds."
    assert "none exported" in answers(replace(two, exports=()))[0].answer
    assert steps(two)[-1].option == "--top-k 3"
    whole = replace(two, exports=tuple(replace(two.exports[0], candidate=n) for n in FRONT))
    assert not any("--top-k" in step.option for step in steps(whole))


@pytest.mark.parametrize("costs", [("params",), ("params", "macs")])
def test_the_figure_draws_the_front_of_the_search(two, costs):
    found = replace(two, objectives=Objectives(costs))
    (axes,) = pareto_front(found).axes
    assert axes.get_title() == "3 of 13 candidates are on the front"
    assert axes.get_xlabel() == "Parameters"
    marked = [line for line in axes.lines if line.get_marker() == "o"]
    assert [*marked[0].get_xdata()] == [1532, 2532, 13532]
    assert len(axes.lines) == (2 if len(costs) == 1 else 1)
    title, caption = about_front(found)
    assert title == "Score against parameters" and caption.endswith("net-1, net-2, net-13.")
    assert ("parameters and multiply-adds" in caption) is (len(costs) == 2)
