"""The folder of an export: kept, replaced, made again where damaged, whole or not there."""

from itertools import product

import pytest
import safetensors.torch
from made_export import GREY, METRICS, SOURCES, convnet_of, make_trained, read_json

from atom_nas.errors import UserError
from atom_nas.export import folder as export
from atom_nas.export import graphs
from atom_nas.export.folder import export_model
from search_spaces import convnet

pytestmark = pytest.mark.usefixtures("only_source")


@pytest.fixture(scope="module")
def small():
    return make_trained(convnet, convnet_of(depth=1), GREY)


def test_the_same_export_is_kept_and_a_changed_one_replaced(tmp_path, small):
    folder = export_model(small, tmp_path / "best", metrics={"test_accuracy": 0.5})
    (folder / "note.txt").write_text("kept with the folder")
    stamp = (folder / "verification.json").stat().st_mtime_ns
    export_model(small, folder, metrics={"test_accuracy": 0.5})
    assert (folder / "note.txt").exists()
    assert (folder / "verification.json").stat().st_mtime_ns == stamp
    export_model(small, folder, metrics={"test_accuracy": 0.6})
    assert not (folder / "note.txt").exists()
    assert read_json(folder / "metrics.json") == {"test_accuracy": 0.6}
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *product(sorted(SOURCES), [b"", b"{}", b"\xff"]),
        *product(sorted(SOURCES - {"verification.json"}), [None]),
    ],
)
def test_a_damaged_export_is_made_again(tmp_path, small, capsys, name, damage):
    folder = export_model(small, tmp_path / "best", metrics=METRICS)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    if damage is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(damage)
    export_model(small, folder, metrics=METRICS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    problem = "is missing" if damage is None else "is damaged"
    assert capsys.readouterr().err == f"{folder / name} {problem}: it is made again.\n"


def test_an_export_made_without_onnx_is_completed_when_onnx_is_there(tmp_path, small, monkeypatch):
    kept = {"model.onnx": graphs.Format(write=graphs._write_onnx, load=lambda path: small.net)}
    monkeypatch.setattr(export, "FORMATS", kept)
    with monkeypatch.context() as without:
        without.setattr(graphs, "ONNX_PACKAGES", ("no_such_package",))
        folder = export_model(small, tmp_path / "best", metrics={})
        reason = read_json(folder / "verification.json")["skipped"]["model.onnx"]
        assert "no_such_package" in reason
        assert "pip install" in reason
        assert not (folder / "model.onnx").exists()
        assert "onnx" not in (folder / "README.md").read_text(encoding="utf-8")
    written = graphs.Format(
        write=lambda program, text, path: path.write_text("graph"),
        load=lambda path: small.net.eval(),
    )
    monkeypatch.setattr(export, "FORMATS", {"model.onnx": written})
    monkeypatch.setattr(export, "missing_packages", lambda: [])
    export_model(small, folder, metrics={})
    assert (folder / "model.onnx").exists()
    (folder / "model.onnx").unlink()
    export_model(small, folder, metrics={})
    assert (folder / "model.onnx").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("had_one", [False, True])
def test_interrupted_export_leaves_what_was_there(tmp_path, small, monkeypatch, error, had_one):
    folder = tmp_path / "best"
    if had_one:
        export_model(small, folder, metrics={"test_accuracy": 0.5})

    def stop(*_):
        raise error

    monkeypatch.setattr(export, "FORMATS", {"model.pt2": graphs.Format(write=stop, load=stop)})
    with pytest.raises(error):
        export_model(small, folder, metrics={"test_accuracy": 0.6})
    assert [path.name for path in tmp_path.iterdir()] == (["best"] if had_one else [])
    if had_one:
        assert read_json(folder / "metrics.json") == {"test_accuracy": 0.5}


def test_remains_of_a_killed_export_are_cleared(tmp_path, small):
    remains = tmp_path / ".best.partial"
    remains.mkdir()
    (remains / "junk").write_text("half")
    folder = export_model(small, tmp_path / "best", metrics={})
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert not (folder / "junk").exists()


@pytest.mark.parametrize("is_file", [False, True])
def test_foreign_folder_is_left_alone(tmp_path, small, is_file):
    target = tmp_path / "best"
    mine = target if is_file else target / "thesis.tex"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")
    with pytest.raises(UserError, match="not an export"):
        export_model(small, target, metrics={})
    assert mine.read_text() == "years of work"


def truncate(data):
    return data[: len(data) // 2]


def shift_one_weight(data):
    tensors = safetensors.torch.load(data)
    tensors["0.weight"][0, 0, 0, 0] += 0.1
    return safetensors.torch.save(tensors)


def drop_one_weight(data):
    tensors = safetensors.torch.load(data)
    del tensors["0.weight"]
    return safetensors.torch.save(tensors)


@pytest.mark.parametrize("corrupt", [truncate, shift_one_weight, drop_one_weight])
def test_wrong_weights_are_found(tmp_path, small, monkeypatch, corrupt):
    def save_corrupted(path, tensors):
        path.write_bytes(corrupt(safetensors.torch.save(dict(tensors))))

    monkeypatch.setattr(export, "save_tensors", save_corrupted)
    with pytest.raises(RuntimeError, match=r"model\.py"):
        export_model(small, tmp_path / "best", metrics={})
    assert list(tmp_path.iterdir()) == []
