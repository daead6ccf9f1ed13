"""The command line: bad input in one line, and the help."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
from PIL import Image
from tiny_run import SPACE, error_of, save_data, save_space

from atom_nas import plugins
from atom_nas.cli import COMMANDS, main


@pytest.fixture
def data(tmp_path):
    return save_data(tmp_path)


@pytest.fixture
def space(tmp_path):
    return save_space(tmp_path)


@pytest.mark.parametrize("command", ["run", "search", "audit"])
@pytest.mark.parametrize(
    ("args", "culprit", "suggestion"),
    [
        (["--proxy", "atmo_ipc50"], "'atmo'", "'atom'"),
        (["--proxy", "atom50"], "'atom50'", "atom_ipc50"),
        (
            ["--dataset", "digits", "--proxy", "atom_ipc5000"],
            "5000 images per class",
            "take at most",
        ),
        (["--proxy", "atom_ipc5000"], "atom_ipc5000", "--dataset cifar10"),
        (["--dataset", "digit"], "'digit'", "'digits'"),
        (["--dataset", "./none.npz"], "none.npz", "No such file"),
        (["--dataset", "./none"], "./none", "folder"),
        (["--space", "convnt"], "'convnt'", "'convnet'"),
        (["--space", "./none.py"], "none.py", "give the path"),
        (["--sampler", "tppe"], "'tppe'", "'tpe'"),
        (["--recipe", "papre"], "'papre'", "'paper'"),
        (["--device", "cdua"], "'cdua'", "'cuda'"),
        (["--device", "cuda:99"], "'cuda:99'", "this machine has"),
        (["--proxy", "random_ipc2", "--adjust", "widht=8"], "'widht'", "'width'"),
        (
            ["--proxy", "atom_ipc2", "--shrink", "foo"],
            "'foo' in --shrink has no value",
            "foo=VALUE",
        ),
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
        (
            ["--dataset", "digits", "--proxy", "atom_ipc5000"],
            "5000 images per class",
            "take at most",
        ),
        (["--proxy", "atom_ipc5000"], "atom_ipc5000", "--dataset cifar10"),
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


@pytest.mark.parametrize(
    ("command", "args", "culprit", "suggestion"),
    [
        ("audit", ["--hours", "1"], "--hours ends a search", "leave it out"),
        ("run", ["--truth-seeds", "2"], "--truth-seeds is 2", "--dataset cifar10"),
    ],
)
def test_options_that_change_nothing_are_refused(
    capsys, tmp_path, command, args, culprit, suggestion
):
    line = error_of(capsys, [command, *args, "--out", tmp_path / "out"])
    assert culprit in line
    assert suggestion in line
    assert not (tmp_path / "out").exists()


def test_the_version_and_the_help_of_list(capsys):
    main(["--version"])
    assert re.fullmatch(r"atom_nas \d+\.\d+\.\d+\n", capsys.readouterr().out)
    main(["list", "--help"])
    assert "usage: atom-nas list" in capsys.readouterr().out


def test_unknown_command(capsys):
    line = error_of(capsys, ["serach"])
    assert "'serach'" in line
    assert "'search'" in line


@pytest.mark.parametrize(
    ("args", "culprit", "suggestion"),
    [
        (["distill", "--trials", "3"], "'--trials'", "--steps."),
        (["run", "--dataset", "digits", "--adjust", "los_scale=3"], "'los_scale'", "'loss_scale'"),
    ],
)
def test_options_that_do_not_parse(capsys, args, culprit, suggestion):
    line = error_of(capsys, args)
    assert culprit in line
    assert suggestion in line


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
    assert "give the path of a whole .npz file" in line


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


def test_a_space_that_lacks_a_part(capsys, tmp_path, space):
    space.write_text(SPACE + "\ndel sample\n")
    line = error_of(capsys, ["run", "--space", space, "--out", tmp_path / "out"])
    assert str(space) in line
    assert "lacks sample" in line
    assert not (tmp_path / "out").exists()


def test_a_space_that_does_not_import(capsys, tmp_path, space):
    space.write_text("def sample(trial:\n")
    line = error_of(capsys, ["run", "--space", space, "--out", tmp_path / "out"])
    assert str(space) in line
    assert "SyntaxError" in line


def test_a_bad_config(capsys, tmp_path):
    (tmp_path / "c.toml").write_text("sampler = 'tppe'")
    line = error_of(capsys, ["run", "--config", tmp_path / "c.toml"])
    assert "'tppe'" in line
    assert "'tpe'" in line


@pytest.mark.parametrize("command", ["export", "report"])
def test_a_stage_of_no_run(capsys, tmp_path, command):
    line = error_of(capsys, [command, "--out", tmp_path / "none"])
    assert f"{tmp_path / 'none'} is not a run folder" in line
    assert not (tmp_path / "none").exists()


def test_export_goes_on_with_a_run_and_starts_none(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "is not a run folder" in error_of(capsys, ["export"])
    assert list(tmp_path.iterdir()) == []


def test_a_report_says_which_run_it_is_of(capsys, tmp_path):
    assert "--out is missing; give the folder of a run" in error_of(capsys, ["report"])
    line = error_of(capsys, ["report", "--compare", tmp_path, "--storage", "postgresql://a/b"])
    assert "--storage is of one run" in line
    assert "unknown option '--trials'" in error_of(capsys, ["report", "--trials", "9"])
    assert "list takes no option" in error_of(capsys, ["list", "foo"])


def test_what_cannot_be_read_or_written_is_one_line(capsys, tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setitem(COMMANDS, "list", denied)
    line = error_of(capsys, ["list"])
    assert line == "error: some/file: Permission denied; give another, or mend that."


def test_a_reader_who_has_left_is_no_traceback():
    command = f"{sys.executable} -m atom_nas list | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


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


@pytest.mark.parametrize("command", ["run", "distill", "search", "audit", "export"])
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


def test_the_module_and_the_script_are_the_same_command(capsys, monkeypatch):
    script = Path(__file__).parents[1] / "run_search.py"
    said = []
    for run, target, command in (
        (runpy.run_path, str(script), []),
        (runpy.run_module, "atom_nas", ["run"]),
    ):
        monkeypatch.setattr(sys, "argv", [target, *command, "--proxy", "atmo_ipc5"])
        with pytest.raises(SystemExit) as caught:
            run(target, run_name="__main__")
        assert caught.value.code == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1] and "'atom'" in said[0]
