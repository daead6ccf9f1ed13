"""The command line: bad input in one line, the artifact of distill, and a whole tiny run."""

import csv
import re
import sys
from pathlib import Path

import filelock
import numpy as np
import pytest
from PIL import Image

from atom_nas import plugins
from atom_nas.audit.record import Audit
from atom_nas.audit.trained_truth import COLUMNS
from atom_nas.cli import COMMANDS, main

SPACE = '''"""Six small nets, two of which cannot be built."""
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int
    depth: int


def sample(trial: Any) -> Architecture:
    return Architecture(
        width=trial.suggest_categorical("width", (4, 8, 13)), depth=trial.suggest_int("depth", 1, 2)
    )


def build(architecture: Architecture, image_shape: Any, num_classes: int) -> nn.Module:
    if architecture.width == 13:
        raise ValueError("13 is unlucky")
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for _ in range(architecture.depth):
        layers += [nn.Conv2d(channels, architecture.width, 3, padding=1), nn.ReLU()]
        channels = architecture.width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)
    )
'''


@pytest.fixture
def data(tmp_path):
    """Three classes of 60 grey images of 8x8: stripes across, stripes down, and a bright half."""
    random = np.random.default_rng(0)
    stripes = np.tile(np.arange(8) % 2, (8, 1))
    half = np.repeat([[0] * 4 + [1] * 4], 8, axis=0)
    labels = np.repeat(np.arange(3), 60)
    pictures = np.stack([stripes, stripes.T, half])[labels] * 150
    pixels = pictures + random.integers(0, 100, (180, 8, 8))
    path = tmp_path / "toy.npz"
    np.savez(path, train_images=pixels.astype(np.uint8), train_labels=labels)
    return path


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "six.py"
    path.write_text(SPACE)
    return path


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def error_of(capsys, args):
    """Run `args`, which must end with status 2, and return its one line of error."""
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in args])
    captured = capsys.readouterr()
    assert caught.value.code == 2
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert captured.out == ""
    return lines[0]


@pytest.mark.parametrize("command", ["run", "search", "audit"])
@pytest.mark.parametrize(
    ("args", "culprit", "suggestion"),
    [
        (["--proxy", "atmo_ipc50"], "'atmo'", "'atom'"),
        (["--proxy", "atom50"], "'atom50'", "atom_ipc50"),
        (["--proxy", "atom_ipc5000"], "5000 images per class", "take at most"),
        (["--dataset", "digit"], "'digit'", "'digits'"),
        (["--dataset", "./none.npz"], "none.npz", "No such file"),
        (["--dataset", "./none"], "./none", "folder"),
        (["--space", "convnt"], "'convnt'", "'convnet'"),
        (["--space", "./none.py"], "none.py", "give the path"),
        (["--sampler", "tppe"], "'tppe'", "'tpe'"),
        (["--recipe", "papre"], "'papre'", "'paper'"),
        (["--device", "cdua"], "'cdua'", "'cuda'"),
        (["--device", "cuda:99"], "'cuda:99'", "this machine has"),
        (["--trials", "0"], "--trials is 0", "at least 1"),
        (["--config", "none.toml"], "none.toml", "cannot be read"),
    ],
)
def test_bad_names_and_numbers(capsys, tmp_path, command, args, culprit, suggestion):
    line = error_of(capsys, [command, *args, "--out", tmp_path / "out"])
    assert culprit in line
    assert suggestion in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "culprit", "suggestion"),
    [
        (["--proxy", "atmo_ipc5"], "'atmo'", "'atom'"),
        (["--proxy", "atom_ipc5000"], "5000 images per class", "take at most"),
        (["--dataset", "cifar"], "'cifar'", "'cifar10'"),
        (["--recipe", "releasd"], "'releasd'", "'released'"),
        (["--device", "gpu"], "'gpu'", "cuda"),
        (["--steps", "0"], "--steps is 0", "at least 1"),
    ],
)
def test_bad_input_of_distill(capsys, tmp_path, args, culprit, suggestion):
    line = error_of(capsys, ["distill", *args, "--out", tmp_path / "out"])
    assert culprit in line
    assert suggestion in line
    assert not (tmp_path / "out").exists()


def test_unknown_command(capsys):
    line = error_of(capsys, ["serach"])
    assert "'serach'" in line
    assert "'search'" in line


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize(
    ("args", "culprit", "suggestion"),
    [
        (["run", "--prxy", "atom_ipc1"], "'--prxy'", "'--proxy'"),
        (["run", "--trails=3"], "'--trails'", "'--trials'"),
        (["report", "--confg", "c.toml"], "'--confg'", "'--config'"),
        (["run", "atom_ipc1"], "'atom_ipc1'", "--proxy"),
        (["distill", "--trials", "3"], "'--trials'", "--steps."),
        (["run", "--trials", "many"], "--trials: ", "int() with base 10: 'many'; "),
        (["run", "--max-params", "many"], "--max-params: ", "{None}|INT"),
        (["run", "--trials"], "'--trials'", "Missing value"),
        (["audit", "--out", "--seed", "3"], "'--out'", "Missing value"),
        (["run", "--config"], "--config", "lacks its value"),
        (["export", "--out"], "--out", "lacks its value"),
    ],
)
def test_options_that_do_not_parse(capsys, monkeypatch, args, culprit, suggestion, is_terminal):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    line = error_of(capsys, args)
    assert culprit in line
    assert suggestion in line
    assert line.endswith(".")
    assert line.isascii()
    assert line.isprintable()


def test_a_folder_of_one_class(capsys, tmp_path):
    (tmp_path / "data" / "cat").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "data" / "cat" / "1.png")
    line = error_of(capsys, ["run", "--dataset", tmp_path / "data", "--out", tmp_path / "out"])
    assert str(tmp_path / "data") in line
    assert "at least 2" in line
    assert not (tmp_path / "out").exists()


def test_an_unreadable_image(capsys, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "data" / name / "1.png")
    (tmp_path / "data" / "dog" / "2.png").write_bytes(b"no picture")
    line = error_of(capsys, ["run", "--dataset", tmp_path / "data", "--out", tmp_path / "out"])
    assert "dog/2.png" in line


def test_a_truncated_npz(capsys, tmp_path, data):
    data.write_bytes(data.read_bytes()[:2000])
    line = error_of(capsys, ["run", "--dataset", data, "--out", tmp_path / "out"])
    assert str(data) in line
    assert "give a whole .npz file" in line


@pytest.mark.parametrize("command", ["run", "distill"])
@pytest.mark.parametrize("place", ["file", "file/run", "/proc/atom_nas"])
def test_an_unwritable_out(capsys, tmp_path, command, place):
    (tmp_path / "file").write_text("mine")
    out = tmp_path / place
    line = error_of(capsys, [command, "--proxy", "random_ipc1", "--out", out])
    assert f"cannot write to {out}" in line
    assert "--out" in line
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["run", "distill"])
def test_a_foreign_out(capsys, tmp_path, command):
    (tmp_path / "thesis.tex").write_text("mine")
    line = error_of(capsys, [command, "--proxy", "random_ipc1", "--out", tmp_path])
    assert str(tmp_path) in line
    assert "thesis.tex" in line
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("command", ["run", "distill"])
def test_an_out_in_use(capsys, tmp_path, command):
    with filelock.FileLock(tmp_path / ".lock"):
        line = error_of(capsys, [command, "--proxy", "random_ipc1", "--out", tmp_path])
    assert f"another process works in {tmp_path}" in line


@pytest.mark.parametrize("lacking", ["Architecture", "sample", "build"])
def test_a_space_that_lacks_a_part(capsys, tmp_path, space, lacking):
    space.write_text(SPACE + f"\ndel {lacking}\n")
    line = error_of(capsys, ["run", "--space", space, "--out", tmp_path / "out"])
    assert str(space) in line
    assert f"lacks {lacking}" in line
    assert not (tmp_path / "out").exists()


def test_a_space_that_does_not_import(capsys, tmp_path, space):
    space.write_text("def sample(trial:\n")
    line = error_of(capsys, ["run", "--space", space, "--out", tmp_path / "out"])
    assert str(space) in line
    assert "SyntaxError" in line


@pytest.mark.parametrize(
    ("text", "culprit", "suggestion"),
    [
        ("trails = 3", "'trails'", "'trials'"),
        ("trials = 'x'", "'x'", "int"),
        ("trials =", "not TOML", "c.toml"),
        ("sampler = 'tppe'", "'tppe'", "'tpe'"),
    ],
)
def test_a_bad_config(capsys, tmp_path, text, culprit, suggestion):
    (tmp_path / "c.toml").write_text(text)
    line = error_of(capsys, ["run", "--config", tmp_path / "c.toml"])
    assert culprit in line
    assert suggestion in line


@pytest.mark.parametrize("command", ["export", "report"])
def test_a_stage_of_no_run(capsys, tmp_path, command):
    line = error_of(capsys, [command, "--out", tmp_path / "none"])
    assert f"{tmp_path / 'none'} is no run folder" in line
    assert not (tmp_path / "none").exists()


def test_no_architecture_within_the_limits(capsys, tmp_path, data, space, monkeypatch):
    monkeypatch.setattr("atom_nas.search.study.MAX_IDLE_DRAWS", 30)
    args = ["--dataset", data, "--space", space, "--proxy", "random_ipc2", "--max-params", "1"]
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in ["search", *args, "--out", tmp_path / "out"]])
    assert caught.value.code == 2
    assert "raise --max-params" in capsys.readouterr().err.splitlines()[-1]


def test_list_names_every_plugin(capsys):
    main(["list"])
    out = capsys.readouterr().out
    for package in ("search_spaces", "atom_nas.distillation.methods", "atom_nas.data.sources"):
        for name, line in plugins.available(package).items():
            assert re.search(rf"^  {name} +{re.escape(line)}$", out, re.MULTILINE), name


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_help_names_every_command(capsys, args):
    main(args)
    out = capsys.readouterr().out
    assert all(re.search(rf"^  {command} ", out, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("command", ["run", "distill", "search", "audit", "export", "report"])
def test_help_of_a_command_names_its_options(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    options = ["proxy", "dataset", "data-dir", "seed", "device", "out", "steps"]
    if command != "distill":
        options += ["space", "trials", "sampler", "max-params", "max-macs", "top-k"]
    assert all(f"--{option} " in out for option in options)
    assert "--config" in out


def distill_args(data, out, *more):
    args = ["distill", "--dataset", data, "--proxy", "atom_ipc2", "--steps", "2", "--out", out]
    return [str(arg) for arg in [*args, *more]]


def test_distill_makes_the_artifact_once(capsys, tmp_path, data, monkeypatch):
    out = tmp_path / "proxy"
    main(distill_args(data, out))
    said = rf"^atom_ipc2: 6 images, \d+ s, in {re.escape(str(out))}$"
    assert re.search(said, capsys.readouterr().out, re.MULTILINE)
    assert {"images.safetensors", "manifest.json", "preview.png"} <= {
        path.name for path in out.iterdir()
    }
    before = (out / "images.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(
        "atom_nas.distillation.condense.distill", lambda *_, **__: pytest.fail("again")
    )
    main(distill_args(data, out))
    assert (out / "images.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (["--seed", "1"], "seed"),
        (["--steps", "3"], "recipe"),
        (["--adjust", "loss_scale=10"], "recipe"),
        (["--proxy", "dm_ipc2"], "method"),
        (["--proxy", "atom_ipc3"], "images_per_class"),
    ],
)
def test_distill_with_other_settings_leaves_the_artifact(capsys, tmp_path, data, change, culprit):
    out = tmp_path / "proxy"
    main(distill_args(data, out))
    capsys.readouterr()
    before = (out / "images.safetensors").read_bytes()
    line = error_of(capsys, distill_args(data, out, *change))
    assert str(out) in line
    assert culprit in line
    assert (out / "images.safetensors").read_bytes() == before


def test_distill_does_not_go_on_from_a_checkpoint_of_other_settings(
    capsys, tmp_path, data, monkeypatch
):
    def interrupted(*args, **kwargs):
        (tmp_path / "proxy" / "checkpoint.safetensors").write_text("of seed 0")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("atom_nas.distillation.condense.distill", interrupted)
        with pytest.raises(SystemExit) as caught:
            main(distill_args(data, tmp_path / "proxy"))
    assert caught.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err
    line = error_of(capsys, distill_args(data, tmp_path / "proxy", "--seed", "1"))
    assert "seed 0 (now 1)" in line


def run_args(data, space, out, *more):
    args = ["run", "--dataset", data, "--space", space, "--proxy", "atom_ipc2", "--out", out]
    sizes = ["--trials", "6", "--audit-size", "4", "--steps", "3", "--top-k", "1"]
    epochs = ["--proxy-epochs", "1", "--full-epochs", "1", "--device", "cpu"]
    return [str(arg) for arg in [*args, *sizes, *epochs, *more]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run: (its folder, its arguments)."""
    folder = tmp_path_factory.mktemp("run")
    data_path = data.__wrapped__(folder)
    space_path = space.__wrapped__(folder)
    args = run_args(data_path, space_path, folder / "out")
    main(args)
    return folder / "out", args


def test_a_run_makes_every_file_of_the_interface(finished):
    out, _ = finished
    files = {"candidates.csv", "truth.csv", "audit.json", "report.html", "report.md"}
    assert files <= {path.name for path in out.iterdir()}
    for suffix in ("png", "svg"):
        assert len(list(out.rglob(f"*.{suffix}"))) >= 4
    (export,) = (out / "export").iterdir()
    assert {"architecture.json"} <= {path.name for path in export.iterdir()}
    assert list(export.glob("*.safetensors"))
    assert list(export.glob("*.py"))
    assert list(export.glob("*.onnx"))
    assert not [path for path in out.rglob("*.partial")]


def test_candidates_of_a_run(finished):
    rows = rows_of(finished[0] / "candidates.csv")
    columns = ["candidate", "state", "width", "depth", "objective", "proxy_accuracy"]
    assert list(rows[0])[:9] == [*columns, "num_params", "macs", "seconds"]
    assert len({row["candidate"] for row in rows}) == len(rows) == 6
    for row in rows:
        assert row["candidate"] == f"{row['width']}-{row['depth']}"
        if row["width"] == "13":
            assert (row["state"], row["objective"], row["proxy_accuracy"]) == ("FAIL", "", "")
            assert row["reason"] == "13 is unlucky"
        else:
            assert row["state"] == "COMPLETE"
            assert 0 <= float(row["proxy_accuracy"]) <= 1
            assert int(row["num_params"]) > 0
            assert int(row["macs"]) > 0
            assert float(row["seconds"]) > 0


def test_truth_of_a_run(finished):
    rows = rows_of(finished[0] / "truth.csv")
    assert list(rows[0]) == [*COLUMNS, "checksum"]
    assert {row["candidate"] for row in rows} == {"4-1", "4-2", "8-1", "8-2"}
    assert len(rows) == 4
    assert all(0 <= float(row["test_accuracy"]) <= 1 for row in rows)


def test_audit_of_a_run(finished):
    audit = Audit.from_json((finished[0] / "audit.json").read_text())
    assert (audit.dataset, audit.space, audit.proxy.name) == ("toy", "six", "atom_ipc2")
    assert audit.n == 4
    rivals = {rival.figures.name for rival in audit.rivals}
    assert {"random_ipc2", "num_params", "free_average"} < rivals
    assert {rival.comparison.verdict for rival in audit.rivals} == {"undecided"}
    assert audit.decision == "undecided"
    assert audit.proxy.setup_seconds > 0
    assert audit.proxy.seconds_per_candidate > 0
    assert audit.full_seconds > 0
    assert any("30 candidates" in sentence for sentence in audit.sentences)


def test_running_again_trains_nothing(finished, monkeypatch):
    out, args = finished
    kept = ["scores.csv", "truth.csv", "candidates.csv", "audit.csv"]
    before = {name: (out / name).read_bytes() for name in kept}
    times = {path: path.stat().st_mtime_ns for path in (out / "weights").iterdir()}
    for where in ("evaluation.fit_and_score", "truth.fit", "condense.distill"):
        monkeypatch.setattr(f"atom_nas.{where}", lambda *_, **__: pytest.fail("trained again"))
    main(["audit", *args[1:]])
    assert {name: (out / name).read_bytes() for name in kept} == before
    assert {path: path.stat().st_mtime_ns for path in (out / "weights").iterdir()} == times


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (["--seed", "1"], "seed 0 (now 1)"),
        (["--proxy", "dm_ipc2"], "proxy atom_ipc2 (now dm_ipc2)"),
        (["--max-macs", "99"], "max_macs null (now 99)"),
        (["--full-epochs", "2"], "full_epochs 1 (now 2)"),
        (["--sampler", "random"], "sampler tpe (now random)"),
        (["--space", "convnet"], "space six (now convnet)"),
    ],
)
def test_a_run_with_other_settings_is_refused(capsys, finished, change, culprit):
    out, args = finished
    before = {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))}
    line = error_of(capsys, [*args, *change])
    assert culprit in line
    assert f"{out} was made with" in line
    assert {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))} == before


def test_options_of_a_config_are_overridden_by_arguments(capsys, finished, tmp_path):
    _, args = finished
    (tmp_path / "c.toml").write_text('sampler = "random"\nseed = 5\n')
    line = error_of(capsys, [*args, "--config", tmp_path / "c.toml", "--seed", "0"])
    assert "sampler tpe (now random)" in line
    assert "seed" not in line.split("was made with")[1].split(";")[0]


def test_the_report_is_written_again_from_the_folder_alone(capsys, finished):
    out, _ = finished
    before = (out / "report.md").read_text()
    (out / "report.md").unlink()
    main(["report", "--out", str(out)])
    assert f"report: {out}" in capsys.readouterr().out
    assert (out / "report.md").read_text() == before


def test_the_module_and_the_script_are_the_same_command(capsys, monkeypatch):
    script = Path(__file__).parents[1] / "run_search.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--proxy", "atmo_ipc5"])
    with pytest.raises(SystemExit) as caught:
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": "__main__"})
    assert caught.value.code == 2
    assert "'atom'" in capsys.readouterr().err
