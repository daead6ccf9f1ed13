"""An export: its source, weights and graphs give the logits of the net that was trained."""

import importlib.util
import json
import warnings
from dataclasses import asdict, replace

import pytest
import safetensors.torch
import torch
from made_export import (
    GREY,
    METRICS,
    RGB,
    SOURCES,
    SPACE,
    convnet_of,
    expected_logits,
    load_source,
    make_trained,
    random_pixels,
    read_json,
    trained_of_source,
)
from torch import nn

from atom_nas.errors import UserError
from atom_nas.export import folder as export
from atom_nas.export import graphs
from atom_nas.export.folder import export_model
from atom_nas.export.portable import portable_source
from search_spaces import convnet, mobile

HAS_ONNX = all(importlib.util.find_spec(name) for name in graphs.ONNX_PACKAGES)
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="needs the extra `export`")

CONVNETS = {
    "batch": (GREY, {"norm": "batch", "pooling": "avg"}),
    "layer": (GREY, {"norm": "layer", "pooling": "none"}),
    "group": (RGB, {"norm": "group", "pooling": "max"}),
    "none": (RGB, {"norm": "none", "pooling": "avg"}),
}


@pytest.fixture(scope="module")
def small():
    return make_trained(convnet, convnet_of(depth=1), GREY)


@pytest.fixture(scope="module", params=[*CONVNETS, "mobile"])
def exported(request, tmp_path_factory):
    if request.param == "mobile":
        choice = {name: allowed[-1] for name, allowed in mobile.CHOICES.items()}
        smallest = {"width": 0.5, "depth_1": 1, "depth_2": 2, "depth_3": 1, "expansion": 2}
        trained = make_trained(mobile, mobile.Architecture(**(choice | smallest)), RGB)
    else:
        image_shape, fields = CONVNETS[request.param]
        trained = make_trained(convnet, convnet_of(**fields), image_shape)
    folder = tmp_path_factory.mktemp("exports") / "nested" / request.param
    return trained, export_model(trained, folder, metrics=METRICS)


def test_folder_is_whole_and_verified(exported):
    trained, folder = exported
    graph_names = {"model.pt2"} | ({"model.onnx"} if HAS_ONNX else set())
    assert {path.name for path in folder.iterdir()} == SOURCES | graph_names
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    found = read_json(folder / "verification.json")
    for name in {"model.py", *graph_names}:
        check = found["files"][name]
        assert check["max_abs_difference"] <= found["tolerance"] * check["max_abs_logit"]
    assert read_json(folder / "architecture.json") == asdict(trained.architecture)
    assert read_json(folder / "metrics.json") == METRICS | {"loss": None}
    preprocessing = read_json(folder / "preprocessing.json")
    assert preprocessing["image_shape"] == list(trained.image_shape)
    assert preprocessing["class_names"] == list(trained.class_names)
    assert preprocessing["mean"] == list(trained.normalization.mean)
    assert preprocessing["std"] == list(trained.normalization.std)
    assert preprocessing["resize"]


def test_source_and_weights_give_the_logits_of_the_net(exported):
    trained, folder = exported
    module = load_source(folder)
    pixels = random_pixels(5, trained.image_shape)
    model = module["load_model"]()
    assert not model.training
    expected = expected_logits(trained, pixels)
    assert expected.std(0).max() > 1e-3, "the net ignores its input"
    torch.testing.assert_close(module["preprocess"](pixels), trained.normalization(pixels))
    torch.testing.assert_close(model(module["preprocess"](pixels)), expected)
    assert module["CLASS_NAMES"] == trained.class_names
    other = module["build"](module["load_architecture"](), (2, 16, 16), 7)
    assert other(torch.zeros(2, 2, 16, 16)).shape == (2, 7)


@pytest.mark.parametrize("batch", [1, 5])
def test_pt2_gives_the_logits_of_the_net(exported, batch):
    trained, folder = exported
    extra = {"preprocessing.json": ""}
    program = torch.export.load(folder / "model.pt2", extra_files=extra)
    pixels = random_pixels(batch, trained.image_shape)
    found = program.module()(trained.normalization(pixels))
    torch.testing.assert_close(found, expected_logits(trained, pixels))
    assert json.loads(extra["preprocessing.json"]) == read_json(folder / "preprocessing.json")


@needs_onnx
@pytest.mark.parametrize("batch", [1, 5])
def test_onnx_gives_the_logits_of_the_net(exported, batch):
    trained, folder = exported
    session = importlib.import_module("onnxruntime").InferenceSession(folder / "model.onnx")
    pixels = random_pixels(batch, trained.image_shape)
    (found,) = session.run(["logits"], {"images": trained.normalization(pixels).numpy()})
    torch.testing.assert_close(
        torch.from_numpy(found), expected_logits(trained, pixels), atol=1e-4, rtol=1e-4
    )
    carried = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])
    assert carried == read_json(folder / "preprocessing.json")


def test_readme_names_only_what_is_there(exported):
    _, folder = exported
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert ("onnx" in text) == HAS_ONNX
    assert ("torchvision" in text) == (folder.name == "mobile")
    assert "safetensors, torch" in text
    assert "atom_nas" not in text
    how, card = text.split("\n\n## Model card\n\n")
    assert len(how.splitlines()) <= 6
    assert "1,234 parameters, 5,678 multiply-adds an image." in card


def test_source_is_the_space_verbatim_and_imports_nothing_of_this_package(exported):
    trained, folder = exported
    source = (folder / "model.py").read_bytes()
    assert source.startswith(trained.space_code)
    assert b"atom_nas" not in source


def test_net_random_state_and_console_are_left_alone(tmp_path, capfd):
    trained = make_trained(convnet, convnet_of(depth=1), GREY)
    net = trained.net.train().to(torch.bfloat16, memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        folder = export_model(trained, tmp_path / "best", metrics={})
    out, err = capfd.readouterr()
    assert (out, err, [str(warning.message) for warning in caught]) == ("", "", [])
    assert torch.equal(torch.get_rng_state(), state)
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    for name, tensor in net.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    assert weights["0.weight"].dtype == torch.float32
    assert torch.equal(weights["0.weight"], before["0.weight"].float())


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, logits):
        return self.factor * logits


@pytest.mark.parametrize("name", ["model.pt2", pytest.param("model.onnx", marks=needs_onnx)])
@pytest.mark.parametrize("wrong", ["weights", "bytes", "nan"])
def test_wrong_graph_is_found(tmp_path, small, monkeypatch, name, wrong):
    real = graphs.FORMATS[name]

    def write(program, preprocessing, path):
        if wrong == "bytes":
            path.write_bytes(b"no graph")
            return
        factor = 1.001 if wrong == "weights" else float("nan")
        scaled = nn.Sequential(*small.net.eval(), Scale(factor))
        real.write(graphs.trace(scaled, GREY), preprocessing, path)

    monkeypatch.setattr(export, "FORMATS", {name: replace(real, write=write)})
    with pytest.raises(RuntimeError, match=name.replace(".", r"\.")):
        export_model(small, tmp_path / "best", metrics={})
    assert list(tmp_path.iterdir()) == []


def test_nested_tuples_and_tied_weights_come_back(tmp_path):
    trained = trained_of_source(tmp_path, SPACE.replace("{body}", ""))
    folder = export_model(trained, tmp_path / "best", metrics={})
    module = load_source(folder)
    assert asdict(module["load_architecture"]()) == {"widths": ((3,),)}
    model = module["load_model"]()
    assert model.tied.weight is model.last.weight
    assert {"model.py", "model.pt2"} <= set(read_json(folder / "verification.json")["files"])


@pytest.mark.parametrize(
    "body",
    [
        "images = images if images.sum() > 0 else -images",
        "images = images.view(len(images.tolist()), 1, 8, 8)",
    ],
    ids=["branches_on_values", "fixes_the_batch"],
)
def test_net_that_is_no_graph_is_exported_as_source(tmp_path, body, capfd):
    trained = trained_of_source(tmp_path, SPACE.replace("{body}", body))
    folder = export_model(trained, tmp_path / "best", metrics={})
    assert capfd.readouterr() == ("", "")
    found = read_json(folder / "verification.json")
    assert set(found["files"]) == {"model.py"}
    assert set(found["skipped"]) == {"model.pt2", "model.onnx"}
    assert {path.name for path in folder.iterdir()} == SOURCES
    stamp = (folder / "verification.json").stat().st_mtime_ns
    export_model(trained, folder, metrics={})
    assert (folder / "verification.json").stat().st_mtime_ns == stamp
    assert load_source(folder)["load_model"]()(torch.zeros(2, *GREY)).shape == (2, 4)


def test_space_that_uses_a_name_of_the_export_is_refused(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("def preprocess(x):\n    return x\n\nCLASS_NAMES: tuple = ()\n")
    with pytest.raises(UserError, match=r"the space defines CLASS_NAMES, preprocess"):
        portable_source(path.read_bytes())
