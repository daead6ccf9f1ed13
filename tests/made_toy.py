"""A toy data set of dark and bright images, and a space with nets that fail in every way."""

import pytest
import torch

from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Source, split
from atom_nas.distillation.proxy import Proxy
from atom_nas.scoring.space import load_space
from atom_nas.training.schedule import Training

CPU = torch.device("cpu")
TRAINING = Training(steps=50, flip=False, batch_size=16)
SOURCE = """
from dataclasses import dataclass
from torch import nn
import torch

class Wild(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
    def forward(self, x):
        return torch.zeros(len(x), 2) * self.scale * torch.inf

class Wrong(Wild):
    def forward(self, x):
        raise RuntimeError("shapes\\nof 3 and 4 do not fit")

@dataclass(frozen=True, kw_only=True)
class Architecture:
    kind: str

def sample(trial):
    return Architecture(kind="linear")

def build(architecture, image_shape, num_classes):
    size = image_shape[0] * image_shape[1] * image_shape[2]
    match architecture.kind:
        case "wild":
            return Wild()
        case "wrong":
            return Wrong()
        case "none":
            raise ValueError("no such net")
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(size), nn.Linear(size, num_classes))
"""


def make_images(count, seed, flipped=False):
    """Return dark (0) and bright (1) images, or with the labels exchanged."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 60, (count, 1, 4, 4), generator=generator)
    pixels = (noise + 150 * labels[:, None, None, None]).to(torch.uint8)
    return ImageSet(
        pixels=pixels, labels=1 - labels if flipped else labels, class_names=("dark", "bright")
    )


def make_dataset():
    """A test split with exchanged labels gives itself away: it scores near 0."""
    source = Source(
        train=make_images(80, 0),
        validation=make_images(40, 1),
        test=make_images(40, 2, flipped=True),
    )
    return split("toy", source, seed=0)


def make_space(folder):
    file = folder / "toy_space.py"
    file.write_text(SOURCE)
    return load_space(str(file), (1, 4, 4), 2)


def make_proxy(seed=3, flipped=False, **manifest):
    made = {"proxy": "toy_ipc8", "seed": 0, "seconds": 1.0, "digest": "0" * 64}
    return Proxy(images=make_images(16, seed, flipped), manifest={**made, **manifest})


def architecture(space, kind="linear"):
    return space.module.Architecture(kind=kind)


def no_training(*args, **kwargs):
    pytest.fail("trained again")
