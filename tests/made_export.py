"""Made trained nets for the tests of the export, and readers of what is exported."""

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import torch

from atom_nas.data.images import Normalization
from atom_nas.export.folder import TrainedNet
from search_spaces import convnet

GREY, RGB = (1, 8, 8), (3, 32, 32)
METRICS = {"test_accuracy": 0.75, "num_params": 1234, "macs": 5678, "loss": float("nan")}

SOURCES = {
    *("model.py", "architecture.json", "weights.safetensors", "preprocessing.json"),
    *("metrics.json", "verification.json", "README.md"),
}


def convnet_of(**fields):
    defaults = {"width": 32, "depth": 2, "activation": "relu", "norm": "batch", "pooling": "avg"}
    return convnet.Architecture(**(defaults | fields))


def make_trained(space, architecture, image_shape, class_names=("cat", "dog", "newt", "owl")):
    """A net whose logits depend on its input and whose running statistics are not fresh."""
    torch.manual_seed(0)
    net = space.build(architecture, image_shape, len(class_names))
    with torch.no_grad():
        for _ in range(20):
            net(torch.randn(8, *image_shape) + 0.5)
    channels = range(image_shape[0])
    return TrainedNet(
        space_code=Path(space.__file__).read_bytes(),
        architecture=architecture,
        net=net,
        image_shape=image_shape,
        class_names=class_names,
        normalization=Normalization(
            mean=tuple(0.3 + 0.1 * c for c in channels), std=tuple(0.2 + 0.01 * c for c in channels)
        ),
    )


def expected_logits(trained, pixels):
    with torch.no_grad():
        return trained.net.eval()(trained.normalization(pixels))


def random_pixels(batch, image_shape):
    generator = torch.Generator().manual_seed(7)
    noise = torch.randint(256, (batch, *image_shape), generator=generator)
    brightness = torch.linspace(1, 0.1, batch)[:, None, None, None]
    return (noise * brightness).to(torch.uint8)


def load_source(folder):
    return runpy.run_path(str(folder / "model.py"))


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


SPACE = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Architecture:
    widths: tuple[tuple[int, ...], ...]


def sample(trial):
    return Architecture(((3,),))


class Net(nn.Module):
    def __init__(self, architecture, image_shape, num_classes):
        super().__init__()
        assert hash(architecture)
        (width,), = architecture.widths
        self.first = nn.Linear(image_shape[0], width)
        self.last = nn.Linear(width, num_classes)
        self.tied = self.last

    def forward(self, images):
        {body}
        return self.tied(self.first(images.mean((2, 3))))


def build(architecture, image_shape, num_classes):
    return Net(architecture, image_shape, num_classes)
"""


def trained_of_source(tmp_path, source):
    path = tmp_path / "own.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("own", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["own"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["own"]
    return make_trained(module, module.Architecture(((3,),)), GREY)
