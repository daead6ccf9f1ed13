"""An export by itself: a program for pictures, without this package."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from made_export import (
    GREY,
    RGB,
    convnet_of,
    expected_logits,
    load_source,
    make_trained,
    random_pixels,
)
from PIL import Image

from atom_nas.export.folder import export_model
from search_spaces import convnet, mobile, nas_bench_201


@pytest.fixture(scope="module")
def small():
    return make_trained(convnet, convnet_of(depth=1), GREY)


@pytest.mark.parametrize("image_shape", [GREY, (3, 12, 16)])
def test_command_line_classifies_pictures_without_this_package(image_shape, tmp_path, only_source):
    trained = make_trained(convnet, convnet_of(depth=1), image_shape)
    folder = export_model(trained, tmp_path / "best", metrics={})
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("atom_nas", "search_spaces"):
        (blocked / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name} was imported')")
    channels = image_shape[0]
    pixels = random_pixels(1, image_shape)
    picture = pixels[0].permute(1, 2, 0).numpy()
    Image.fromarray(picture[:, :, 0] if channels == 1 else picture).save(tmp_path / "a.png")
    noise = np.random.default_rng(0).integers(256, size=(90, 70, 4), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")

    def classify(*names):
        return subprocess.run(
            [sys.executable, folder / "model.py", *(tmp_path / name for name in names)],
            cwd="/",
            env={"PATH": os.defpath, "PYTHONPATH": str(blocked), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    good = classify("a.png", "large.png")
    assert good.returncode == 0, good.stderr
    assert good.stderr == ""
    shares = expected_logits(trained, pixels)[0].softmax(0)
    best = ", ".join(
        f"{trained.class_names[i]} {shares[i]:.1%}" for i in shares.argsort(descending=True)[:3]
    )
    first, second = good.stdout.splitlines()
    assert first == f"{tmp_path / 'a.png'}: {best}"
    assert second.startswith(f"{tmp_path / 'large.png'}: ")
    assert second.count("%") == 3

    if image_shape == GREY:
        bad = classify("broken.png")
        assert bad.returncode == 2
        assert "broken.png: cannot identify" in bad.stderr
        assert "Traceback" not in bad.stderr


SPACES = {
    "convnet": (convnet, convnet_of(depth=1)),
    "mobile": (
        mobile,
        mobile.Architecture(**{name: allowed[0] for name, allowed in mobile.CHOICES.items()}),
    ),
    "nas_bench_201": (
        nas_bench_201,
        nas_bench_201.Architecture.from_string(
            "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|none~2|"
        ),
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_nets_of_every_space_run_in_an_isolated_interpreter(name, tmp_path, only_source):
    trained = make_trained(*SPACES[name], RGB)
    folder = export_model(trained, tmp_path / "best", metrics={})
    pixels = random_pixels(1, RGB)
    Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    ended = subprocess.run(
        [sys.executable, "-I", folder / "model.py", tmp_path / "a.png"],
        cwd="/",
        env={"PATH": os.defpath, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    share, best = expected_logits(trained, pixels)[0].softmax(0).max(0)
    start = f"{tmp_path / 'a.png'}: {trained.class_names[best]} {share:.1%}, "
    assert ended.stdout.startswith(start)


def test_picture_is_cropped_at_its_centre(tmp_path, small, only_source):
    module = load_source(export_model(small, tmp_path / "best", metrics={}))
    wide = np.zeros((8, 24), dtype=np.uint8)
    wide[:, 8:16] = random_pixels(1, GREY)[0, 0].numpy()
    Image.fromarray(wide).save(tmp_path / "wide.png")
    found = module["read_picture"](tmp_path / "wide.png")
    assert torch.equal(found, random_pixels(1, GREY)[0])


def test_a_transparent_picture_is_on_white(tmp_path, small, only_source):
    module = load_source(export_model(small, tmp_path / "best", metrics={}))
    drawing = Image.new("LA", (8, 8), (0, 0))
    drawing.paste((0, 255), (0, 0, 4, 8))
    drawing.save(tmp_path / "drawing.png")
    found = module["read_picture"](tmp_path / "drawing.png")
    assert found[:, :, :4].unique().tolist() == [0] and found[:, :, 4:].unique().tolist() == [255]


def test_deep_pictures_and_other_channels_are_refused(tmp_path, small, only_source):
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    module = load_source(export_model(small, tmp_path / "best", metrics={}))
    with pytest.raises(ValueError, match="8 bits"):
        module["read_picture"](tmp_path / "deep.png")
    trained = make_trained(convnet, convnet_of(depth=1), (2, 8, 8))
    module = load_source(export_model(trained, tmp_path / "two", metrics={}))
    with pytest.raises(ValueError, match="2 channels"):
        module["read_picture"](tmp_path / "deep.png")
