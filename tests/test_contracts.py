"""The contracts that ship in atom_nas.testing: what keeps them passes, what does not is found."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = re.search(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(), re.DOTALL
)[1]
SPACE = """
from dataclasses import dataclass
import torch
from torch import nn

GENERATOR = torch.Generator()

@dataclass(frozen=True)
class Architecture:
    kind: str

def sample(trial):
    return Architecture(trial.suggest_categorical("kind", ["relu", "tanh"]))

def build(architecture, image_shape, num_classes):
    activation = nn.ReLU() if architecture.kind == "relu" else nn.Tanh()
    conv = nn.Conv2d(image_shape[0], 4, 3)
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(conv, activation, pool, nn.Flatten(), nn.Linear(4, num_classes))
"""
COUNTED = """kind: str
    count: int = 0

    def __post_init__(self):
        object.__setattr__(self, "count", self.count + 1)
"""
BROKEN = {
    "source_imports_only": ("import torch\n", "import torch, numpy\n"),
    "source_shares_no_name": ("import torch\n", "import torch\nCLASS_NAMES = ()\n"),
    "come_back_from_json": ("kind: str", COUNTED),
    "trial_alone_decides": ('"relu", "tanh"]', '"relu", "tanh"][:: 1 - 2 * (trial.number % 2)]'),
    "logits_of_its_own": ("nn.Flatten()", "nn.Flatten(), nn.Softmax(0)"),
    "weights_can_be_kept": ("    pool =", "    conv.register_buffer('b', conv.bias)\n    pool ="),
    "seed_alone": ("    pool", "    nn.init.normal_(conv.weight, generator=GENERATOR)\n    pool"),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """Run the example of CONTRIBUTING.md on each space; return the names of its failed tests."""
    folder = tmp_path_factory.mktemp("contracts")
    spaces = {"sound": SPACE, **{name: SPACE.replace(*change) for name, change in BROKEN.items()}}
    for name, source in spaces.items():
        (folder / f"{name}.py").write_text(source)
        (folder / f"test_{name}.py").write_text(EXAMPLE.replace("my_space", name))
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--no-header", "."]
    output = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
    ended = re.findall(r"^(PASSED|FAILED|ERROR) test_(\w+)\.py::TestMySpace::(\w+)", output, re.M)
    assert {name for _, name, _ in ended} == spaces.keys(), output
    return {
        name: {test for state, own, test in ended if own == name and state != "PASSED"}
        for name in spaces
    }


def test_the_example_of_contributing_passes_on_a_sound_space(failed):
    assert failed["sound"] == set()


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_space_is_found_for_what_it_breaks(failed, broken):
    assert any(broken in test for test in failed[broken]), failed[broken]
