"""`atom-nas retrain`: an exported architecture on other data, as an export again."""

import hashlib
from pathlib import Path

import pytest
import torch
from made_export import GREY, SOURCES, convnet_of, load_source, make_trained, read_json
from tiny_run import error_of, save_data

from atom_nas.cli import main
from atom_nas.data import sources, splits
from atom_nas.errors import UserError
from atom_nas.export import folder as export
from atom_nas.export.folder import export_model
from atom_nas.export.portable import TAIL, portable_source, space_part
from atom_nas.pipeline.export_options import RetrainOptions
from atom_nas.pipeline.retraining import retrain
from search_spaces import convnet

CHOSEN = {
    "candidate": "32-2-relu-batch-avg",
    "dataset": "colours",
    "proxy": "atom_ipc1",
    "proxy_spearman": {"value": 0.5, "low": 0.1, "high": 0.8, "n": 30},
    "test_accuracy": 0.123,
}

pytestmark = pytest.mark.usefixtures("only_source")


@pytest.fixture
def data(tmp_path):
    """Three classes of 60 grey 8x8 images."""
    return save_data(tmp_path)


@pytest.fixture
def source(tmp_path):
    """The export of a net for colour pictures of four classes."""
    trained = make_trained(convnet, convnet_of(), (3, 16, 16))
    return export_model(trained, tmp_path / "best", metrics=CHOSEN)


def run(*args):
    main(["retrain", *map(str, args), "--device", "cpu"])


def test_the_net_learns_other_images_and_classes(tmp_path, source, data, capsys):
    run(source, "--dataset", data, "--epochs", 8)
    folder = tmp_path / "best-toy"
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == f"exported: {folder}"
    assert {path.name for path in folder.iterdir()} == SOURCES
    assert {path.name for path in tmp_path.iterdir()} == {"best", "best-toy", "toy.npz"}

    assert (folder / "model.py").read_bytes() == (source / "model.py").read_bytes()
    assert read_json(folder / "architecture.json") == read_json(source / "architecture.json")
    assert read_json(folder / "preprocessing.json")["image_shape"] == list(GREY)
    assert read_json(folder / "preprocessing.json")["class_names"] == ["0", "1", "2"]

    found, dataset = (
        read_json(folder / "metrics.json"),
        sources.open_dataset(str(data), tmp_path, seed=0),
    )
    assert found["images"] == {"train": 108, "validation": 27, "test": 45}
    assert (found["dataset"], found["epochs"], found["steps"]) == ("toy", 8, 16)
    assert 1 <= found["best_epoch"] <= 8
    assert found["seconds"] > 0
    assert (found["retrained_from"], found["chosen_on"]) == ("best", "colours")
    assert (found["proxy"], found["proxy_spearman"]) == ("atom_ipc1", CHOSEN["proxy_spearman"])
    module = load_source(folder)
    model = module["load_model"]()
    for split in ("validation", "test"):
        images = getattr(dataset, split)
        with torch.no_grad():
            right = model(module["preprocess"](images.pixels)).argmax(1) == images.labels
        assert found[f"{split}_accuracy"] == pytest.approx(right.double().mean().item())
        assert found[f"{split}_accuracy"] > 0.6
    assert f"{found['test_accuracy']:.1%} on the test split" in out
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "the architecture of the export best; 8 epochs, 16 steps" in text
    assert "a small stand-in for colours" in text


def test_of_an_export_of_a_run_it_lies_beside_the_exports(tmp_path, data):
    trained = make_trained(convnet, convnet_of(), (3, 16, 16))
    own = export_model(trained, tmp_path / "run" / "export" / "1-net", metrics=CHOSEN)
    run(own, "--dataset", data, "--epochs", 1)
    assert [path.name for path in own.parent.iterdir()] == ["1-net"]
    assert (tmp_path / "run" / "retrained" / "1-net-toy" / "model.py").exists()


def test_the_same_export_is_kept_and_another_left_alone(tmp_path, source, data, capsys):
    run(source, "--dataset", data, "--epochs", 2)
    folder = tmp_path / "best-toy"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    run(source, "--dataset", data, "--epochs", 2)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    capsys.readouterr()
    for other in (["--epochs", 3], ["--epochs", 2, "--seed", 1]):
        line = error_of(capsys, ["retrain", source, "--dataset", data, *other, "--device", "cpu"])
        assert f"{folder} is an export of another training" in line
        assert "--out" in line
    line = error_of(capsys, ["retrain", source, "--dataset", data, "--out", source])
    assert f"{source} is an export of another training" in line
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_damaged_result_is_made_again(tmp_path, source, data, capsys):
    args = [source, "--dataset", data, "--epochs", 2]
    run(*args)
    weights = tmp_path / "best-toy" / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    run(*args)
    assert weights.read_bytes() == whole
    assert f"{weights} is damaged: it is made again." in capsys.readouterr().err


def test_a_retrained_net_can_be_retrained(tmp_path, source, data):
    run(source, "--dataset", data, "--epochs", 1)
    run(tmp_path / "best-toy", "--dataset", data, "--epochs", 1, "--out", tmp_path / "again")
    found = read_json(tmp_path / "again" / "metrics.json")
    assert (found["retrained_from"], found["chosen_on"]) == ("best-toy", "colours")
    first, second = (tmp_path / n / "weights.safetensors" for n in ("best-toy", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_by_default_there_are_enough_steps(tmp_path, source, data, monkeypatch):
    monkeypatch.setattr("atom_nas.pipeline.retraining.SMALL_EPOCHS", 3)
    monkeypatch.setattr("atom_nas.pipeline.retraining.LEAST_STEPS", 9)
    run(source, "--dataset", data)
    assert read_json(tmp_path / "best-toy" / "metrics.json")["epochs"] == 5


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_of_an_excerpt_all_images_are_taken_where_they_are(
    tmp_path, source, data, monkeypatch, capsys, is_at_hand
):
    whole = sources.load_source(str(data), tmp_path)[1]
    excerpt = splits.Excerpt(
        of="toy",
        sets={},
        truth="toy",
        scores=tmp_path / "none.csv",
        whole=lambda: whole if is_at_hand else None,
    )
    few = splits.Source(train=whole.train.select(torch.arange(0, 180, 3)), excerpt=excerpt)
    monkeypatch.setattr(
        "atom_nas.pipeline.retraining.open_dataset",
        lambda *_, seed: splits.split("box", few, seed=seed),
    )
    run(source, "--dataset", "box", "--epochs", 1)
    name, count = ("toy", 108) if is_at_hand else ("box", 36)
    assert read_json(tmp_path / f"best-{name}" / "metrics.json")["images"]["train"] == count
    said = "is trained on the 36 images of box; --dataset toy has all."
    assert (said in capsys.readouterr().out) is not is_at_hand


def test_a_relative_path_of_no_name_has_one(tmp_path, source, data, monkeypatch):
    monkeypatch.chdir(source)
    options = RetrainOptions(export=Path("."), dataset=str(data), epochs=1, device="cpu")
    assert retrain(options) == tmp_path / "best-toy"


def test_the_folder_of_now_may_be_the_one_to_write(tmp_path, source, data, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    options = RetrainOptions(
        export=source, dataset=str(data), epochs=1, device="cpu", out=Path(".")
    )
    assert retrain(options) == tmp_path / "here" and (tmp_path / "here" / "model.py").exists()


@pytest.mark.parametrize(
    ("args", "culprit", "suggestion"),
    [
        (["--dataset", "digit"], "'digit'", "'digits'"),
        (["--epochs", "0", "--dataset", "digits"], "--epochs is 0", "at least 1"),
        (["--seed", "-1", "--dataset", "digits"], "--seed is -1", "from 0"),
        (["--device", "cdua", "--dataset", "digits"], "'cdua'", "'cuda'"),
        ([], "--dataset is missing", "give a text"),
    ],
)
def test_bad_input(tmp_path, source, capsys, args, culprit, suggestion):
    line = error_of(capsys, ["retrain", source, *args])
    assert culprit in line
    assert suggestion in line
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_what_is_no_export(tmp_path, data, capsys):
    line = error_of(capsys, ["retrain", tmp_path, "--dataset", data])
    assert f"{tmp_path} is no export" in line


def test_a_foreign_out_is_refused_before_the_training(tmp_path, source, data, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    args = ["retrain", source, "--dataset", data, "--out", tmp_path / "mine"]
    assert "holds what is not an export" in error_of(capsys, args)
    assert not list(tmp_path.glob(".*"))


def test_an_unwritable_out(tmp_path, source, data, capsys):
    args = ["retrain", source, "--dataset", data, "--out", data / "here"]
    assert "choose another folder with --out" in error_of(capsys, args)


def test_a_net_that_does_not_fit_the_data_is_told_in_one_line(tmp_path, data, capsys):
    path = tmp_path / "own.py"
    text = Path(convnet.__file__).read_text(encoding="utf-8")
    path.write_text(text.replace("    channels, height, width = image_shape\n", BROKEN, 1))
    trained = make_trained(convnet, convnet_of(depth=1), (3, 16, 16))
    folder = export_model(trained, tmp_path / "best", metrics={})
    (folder / "model.py").write_bytes(portable_source(path.read_bytes()))
    verification = read_json(folder / "verification.json")
    verification.pop("checksum")
    verification["digests"]["model.py"] = hashlib.sha256(
        (folder / "model.py").read_bytes()
    ).hexdigest()
    export.write_json(folder / "verification.json", verification)
    with pytest.raises(SystemExit):
        run(folder, "--dataset", data, "--epochs", 1)
    found, line = capsys.readouterr().err.splitlines()
    assert found.startswith("toy: 108 training, 27 validation and 45 test images of 1 x 8 x 8")
    assert "cannot be trained on toy, images of 1 x 8 x 8 and 3 classes" in line
    assert "ValueError: no colour" in line


BROKEN = """    channels, height, width = image_shape
    if channels == 1:
        raise ValueError("no colour")
"""


def test_the_space_is_cut_out_exactly(tmp_path, source):
    expected = Path(convnet.__file__).read_bytes()
    assert space_part(source / "model.py") == expected
    for text in (b"x = 1", b"x = 1\r\n", "x = 'é'\n\n\n".encode()):
        (tmp_path / "own.py").write_bytes(text)
        (tmp_path / "model.py").write_bytes(portable_source((tmp_path / "own.py").read_bytes()))
        assert space_part(tmp_path / "model.py") == text
    (tmp_path / "model.py").write_bytes(expected)
    with pytest.raises(UserError, match=r"is no model\.py of an export"):
        space_part(tmp_path / "model.py")


def test_the_tail_begins_as_it_did_in_exports_of_earlier():
    begin = "\n\n# Added by the export: the trained net, its preprocessing and a command line.\n"
    assert TAIL.startswith(begin)
