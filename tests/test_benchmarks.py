"""The benchmarks import, and the candidates' speed is taken by its committed command."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import save_data, save_space

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


COMMANDS = [path for path in BENCHMARKS.glob("*.py") if "command.run(" in path.read_text()]


def test_no_benchmark_reads_its_options_otherwise():
    otherwise = [
        path.stem for path in BENCHMARKS.glob("*.py") if "parse_options(" in path.read_text()
    ]
    assert otherwise == ["command"] and len(COMMANDS) > 5


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=lambda path: path.stem)
def test_every_benchmark_says_what_can_be_asked_of_it(path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path), run_name="__main__")
    assert not end.value.code
    assert f"usage: python benchmarks/{path.name}" in capsys.readouterr().out


def test_candidate_speed_trains_the_same_candidates_on_both_sides(tmp_path):
    # Two of the six nets of the space cannot be built: they are not drawn.
    args = [
        *("--space", save_space(tmp_path), "--dataset", save_data(tmp_path), "--device", "cpu"),
        *("--steps", "40", "--num-candidates", "4", "--per-turn", "3", "--images-per-class", "20"),
        *("--workers", "1", "--out", tmp_path / "found"),
    ]
    command = [sys.executable, BENCHMARKS / "candidate_speed.py", *args]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert [turn["candidates"] for turn in found["turns"]] == [3, 1] * 2
    plain, ours = (sum(turn[side] for turn in found["turns"]) for side in ("plain", "ours"))
    assert found["ratio"] == pytest.approx(plain / ours)
    assert len(found["rows"]) == found["n"] == 4
    for row in found["rows"]:  # stripes and halves are learnt, by either side
        assert min(row[f"{side}_{seed}"] for side in ("plain", "ours") for seed in (0, 1)) > 0.5
    assert found["apart_across"] < 0.3
    assert re.search(r"\*\*[0-9.]+ times\*\*", (tmp_path / "found.md").read_text())


def test_the_frontier_goes_on_from_its_rows_and_says_what_a_set_is_worth(tmp_path):
    truth = tmp_path / "truth.csv"
    nets = [f"{width}-{depth},0.{width}{depth}" for width in (4, 8) for depth in (1, 2)]
    truth.write_text("\n".join(["candidate,validation_accuracy", *nets]))
    args = [
        *("--space", save_space(tmp_path), "--dataset", save_data(tmp_path), "--truth", truth),
        *("--n", "4", "--draws", "1", "--workers", "1", "--distil-steps", "2", "--steps", "8"),
        *("--choices", "depth", "--out", tmp_path / "out", "--sets", "random_ipc2", "random_ipc5"),
    ]
    command = list(map(str, [sys.executable, BENCHMARKS / "frontier.py", *args]))
    subprocess.run(command, capture_output=True, check=True)
    rows = (tmp_path / "out" / "scores.csv").read_text()
    assert len(rows.splitlines()) == 1 + 2 * 4
    subprocess.run([*command, "atom_ipc2:width=4+random_ipc2"], capture_output=True, check=True)
    assert (tmp_path / "out" / "scores.csv").read_text().startswith(rows)
    table, choices = (
        (tmp_path / "out" / f"{name}.md").read_text() for name in ("results", "choices")
    )
    worth = "at (?:most 2|least 5)"
    assert re.search(
        rf"\| atom_ipc2:width=4\+random_ipc2 \| 8 \| .*{worth} \[{worth}, {worth}\]", table
    )
    assert "| set | steps | 1 (n = 2) | 2 (n = 2) |" in choices
