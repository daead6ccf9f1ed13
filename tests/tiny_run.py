"""A made data set, a space of six nets, and what a command does with them."""

import csv

import numpy as np
import pytest

from atom_nas.cli import main

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


def save_data(folder):
    """Save three classes of 60 grey 8x8 images: stripes across, stripes down, a bright half."""
    random = np.random.default_rng(0)
    stripes = np.tile(np.arange(8) % 2, (8, 1))
    half = np.repeat([[0] * 4 + [1] * 4], 8, axis=0)
    labels = np.repeat(np.arange(3), 60)
    pictures = np.stack([stripes, stripes.T, half])[labels] * 150
    pixels = pictures + random.integers(0, 100, (180, 8, 8))
    path = folder / "toy.npz"
    np.savez(path, train_images=pixels.astype(np.uint8), train_labels=labels)
    return path


def save_space(folder):
    path = folder / "six.py"
    path.write_text(SPACE)
    return path


def run_args(data, space, out, *more):
    args = ["run", "--dataset", data, "--space", space, "--proxy", "atom_ipc2", "--out", out]
    sizes = ["--trials", "6", "--audit-size", "4", "--steps", "3", "--top-k", "1"]
    epochs = ["--proxy-epochs", "1", "--full-epochs", "1", "--device", "cpu"]
    return [str(arg) for arg in [*args, *sizes, *epochs, *more]]


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
