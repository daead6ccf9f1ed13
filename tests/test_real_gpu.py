"""What only a real GPU shows: recorded steps, nets that take turns, a full memory, a whole run."""

import numpy as np
import pytest
import torch
from tiny_run import rows_of, run_args, save_data, save_space

from atom_nas.cli import main
from atom_nas.training import course
from atom_nas.training.batches import Examples
from atom_nas.training.convnet import ConvNet
from atom_nas.training.fit import fit
from atom_nas.training.schedule import Training

DEVICE = "cuda"

pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="no GPU here"
)

GREEDY = '''"""Nets of which the larger ones want more memory than there is."""
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int


class Greedy(nn.Module):
    def forward(self, images):
        return images + torch.zeros(2**50, device=images.device)[0]


def sample(trial):
    return Architecture(width=trial.suggest_categorical("width", (4, 8)))


def build(architecture, image_shape, num_classes):
    first = Greedy() if image_shape[0] == 1 else nn.Identity()
    head = nn.Linear(architecture.width, num_classes)
    net = [nn.Conv2d(1, architecture.width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head]
    return nn.Sequential(first, *net)
'''


def on_device(args):
    """The arguments with the device tested, which those of tiny_run leave on the CPU."""
    return [DEVICE if arg == "cpu" else str(arg) for arg in args]


def curves(count, examples):
    """The losses of `count` trainings of one net."""
    found = []
    for _ in range(count):
        torch.manual_seed(0)
        net = ConvNet(tuple(examples.images.shape[1:]), 4, width=16).to(DEVICE)
        found.append(fit(net, examples, Training(steps=60, flip=False), seed=0))
    return found


def test_a_recorded_step_trains_as_a_plain_one(monkeypatch):
    labels = torch.arange(256) % 4
    torch.manual_seed(0)
    images = torch.randn(256, 3, 8, 8) / 4 + torch.randn(4, 3, 8, 8)[labels]
    examples = Examples(images=images.to(DEVICE), labels=labels.to(DEVICE))
    recorded, again = curves(2, examples)
    monkeypatch.setattr(course, "record_graph", None)
    (plain,) = curves(1, examples)
    assert recorded[-1] < 0.9 * recorded[0]
    noise = np.abs(np.subtract(recorded, again)).max()
    np.testing.assert_allclose(recorded, plain, rtol=0, atol=max(0.02, 5 * noise))


def test_a_whole_run(tmp_path, capsys):
    args = on_device(run_args(save_data(tmp_path), save_space(tmp_path), tmp_path / "out"))
    main(args)
    assert "exported: " in capsys.readouterr().out
    rows = rows_of(tmp_path / "out" / "scores.csv")
    main(args)
    assert rows_of(tmp_path / "out" / "scores.csv") == rows


def test_nets_that_take_turns_are_trained_as_alone(tmp_path):
    data, space = save_data(tmp_path), save_space(tmp_path)
    found = []
    for workers in ("1", "4"):
        more = ["--workers", workers, "--proxy", "random_ipc20", "--proxy-epochs", "60"]
        args = run_args(data, space, tmp_path / workers, *more)
        main(on_device(["search", *args[1:]]))
        rows = rows_of(tmp_path / workers / "scores.csv")
        found.append({row["candidate"]: float(row["accuracy"] or "nan") for row in rows})
    assert found[0].keys() == found[1].keys()
    names = sorted(found[0])
    one, four = ([each[name] for name in names] for each in found)
    np.testing.assert_allclose(one, four, rtol=0, atol=0.15)


def test_a_full_memory_ends_the_run_and_leaves_no_score(tmp_path, capsys):
    space = tmp_path / "greedy.py"
    space.write_text(GREEDY)
    args = run_args(save_data(tmp_path), space, tmp_path / "out", "--proxy", "random_ipc2")
    with pytest.raises(SystemExit) as caught:
        main(on_device(["search", *args[1:]]))
    assert caught.value.code == 2
    assert "nothing of it was kept" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out" / "scores.csv").exists() or not rows_of(
        tmp_path / "out" / "scores.csv"
    )
