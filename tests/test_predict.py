"""`atom-nas predict`: the classes of pictures by an export, and what is wrong in one line."""

import numpy as np
import pytest
import torch
from made_export import GREY, convnet_of, expected_logits, make_trained, random_pixels
from PIL import Image
from tiny_run import error_of

from atom_nas.cli import main
from atom_nas.export.folder import export_model
from search_spaces import convnet

pytestmark = pytest.mark.usefixtures("only_source")


@pytest.fixture(scope="module")
def trained():
    return make_trained(convnet, convnet_of(depth=1), GREY)


@pytest.fixture
def folder(tmp_path, trained):
    return export_model(trained, tmp_path / "best", metrics={})


def save_picture(path, pixels):
    Image.fromarray(pixels[0].numpy()).save(path)
    return path


def test_a_line_a_picture_with_the_most_probable_classes(tmp_path, trained, folder, capsys):
    pixels = random_pixels(2, GREY)
    paths = [save_picture(tmp_path / f"a={n}.png", each) for n, each in enumerate(pixels)]
    main(["predict", str(folder), *map(str, paths)])
    lines = capsys.readouterr().out.splitlines()
    for path, line, logits in zip(paths, lines, expected_logits(trained, pixels), strict=True):
        shares = logits.softmax(0)
        best = [f"{trained.class_names[i]} {shares[i]:.1%}" for i in shares.argsort().flip(0)[:3]]
        assert line == f"{path}: {', '.join(best)}"


def test_two_classes_are_both_named(tmp_path, capsys):
    net = make_trained(convnet, convnet_of(depth=1), GREY, class_names=("cat", "dog"))
    picture = save_picture(tmp_path / "a.png", torch.zeros(GREY, dtype=torch.uint8))
    main(["predict", str(export_model(net, tmp_path / "two", metrics={})), str(picture)])
    assert capsys.readouterr().out.count("%") == 2


@pytest.mark.parametrize("made", ["nothing", "folder", "run"])
def test_what_is_no_export(tmp_path, capsys, made):
    target = tmp_path / "no"
    if made != "nothing":
        target.mkdir()
    if made == "run":
        (target / "settings.json").write_text("{}")
    line = error_of(capsys, ["predict", target, tmp_path / "a.png"])
    assert f"{target} is no export" in line
    assert "`atom-nas run`" in line


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "model.py", "architecture.json", "preprocessing.json"]
)
def test_a_damaged_file_is_named(tmp_path, folder, capsys, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    line = error_of(capsys, ["predict", folder, tmp_path / "a.png"])
    assert f"{folder / name} is damaged" in line


def test_what_is_missing_is_named(tmp_path, folder, capsys):
    (folder / "weights.safetensors").unlink()
    line = error_of(capsys, ["predict", folder, tmp_path / "a.png"])
    assert f"{folder / 'weights.safetensors'} is missing" in line


def test_source_that_does_not_run_is_told(tmp_path, trained, capsys, monkeypatch):
    folder = export_model(trained, tmp_path / "best", metrics={})
    monkeypatch.setattr("atom_nas.export.reopened.check_files", lambda *_: None)
    (folder / "model.py").write_text("raise SystemExit(0)")
    line = error_of(capsys, ["predict", folder, tmp_path / "a.png"])
    assert f"{folder / 'model.py'} does not run: SystemExit: 0" in line


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken.png", "cannot identify"),
        ("none.png", "No such file"),
        ("deep.png", "8 bits a channel are needed"),
    ],
)
def test_a_picture_that_cannot_be_read(tmp_path, folder, capsys, name, reason):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    line = error_of(capsys, ["predict", folder, tmp_path / name])
    assert f"{tmp_path / name} cannot be read" in line
    assert reason in line
    assert "PNG" in line


def test_a_second_export_is_no_picture(folder, capsys):
    line = error_of(capsys, ["predict", folder, folder])
    assert f"{folder} is a folder; give one export, and then pictures." in line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "EXPORT is missing; give a path."),
        (["here"], "PICTURE is missing; give a path."),
        (["here", "a.png", "--tpo", "3"], "unknown option '--tpo'"),
    ],
)
def test_what_was_not_given(capsys, args, message):
    assert message in error_of(capsys, ["predict", *args])
