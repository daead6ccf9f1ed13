"""Real processes killed with -9 at every stage: the same command finishes, nothing is redone."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGINT, SIGKILL

import numpy as np
import pytest
from safetensors import safe_open

from atom_nas.audit.record import Audit

TIMEOUT = 120

DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of the background ignores it
from atom_nas import cli
from atom_nas.distillation import matching as distill
from atom_nas.export import folder
from atom_nas.report import page

folder.FORMATS, page.draw_all = {}, lambda results: []  # seconds that no row depends on
distill.CHECKPOINT_SECONDS = 0.1
gradient = distill.Matching.gradient

def logged(self, images, net, step):
    with open(sys.argv[1], "a") as log:
        print(step, file=log)
    return gradient(self, images, net, step)

distill.Matching.gradient = logged
cli.main(sys.argv[2:])
"""

SPACE = '''"""Ten small nets."""
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int
    depth: int


def sample(trial: Any) -> Architecture:
    return Architecture(
        width=trial.suggest_categorical("width", (8, 16, 24, 32, 40)),
        depth=trial.suggest_int("depth", 1, 2),
    )


def build(architecture: Architecture, image_shape: Any, num_classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for _ in range(architecture.depth):
        layers += [nn.Conv2d(channels, architecture.width, 3, padding=1), nn.ReLU()]
        channels = architecture.width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, num_classes)
    )
'''


@pytest.fixture
def inputs(tmp_path):
    """Three classes of 100 noisy pictures of 8x8, and a space."""
    random = np.random.default_rng(0)
    stripes = np.tile(np.arange(8) % 2, (8, 1))
    half = np.repeat([[0] * 4 + [1] * 4], 8, axis=0)
    labels = np.repeat(np.arange(3), 100)
    pixels = np.stack([stripes, stripes.T, half])[labels] * 90 + random.integers(
        0, 160, (300, 8, 8)
    )
    np.savez(tmp_path / "toy.npz", train_images=pixels.astype(np.uint8), train_labels=labels)
    (tmp_path / "ten.py").write_text(SPACE)
    return ["--dataset", tmp_path / "toy.npz", "--space", tmp_path / "ten.py"]


class Run:
    """One command line with one folder, started as often as it takes."""

    def __init__(self, folder, inputs, *more):
        self.folder, self.steps = folder, folder.with_suffix(".steps")
        sizes = ["--proxy", "atom_ipc2", "--steps", "120", "--trials", "8", "--audit-size", "6"]
        rest = ["--proxy-epochs", "12", "--full-epochs", "3", "--top-k", "1", "--seed", "3"]
        args = ["run", *inputs, *sizes, *rest, "--device", "cpu", "--out", folder, *more]
        self.command = [sys.executable, "-c", DRIVER, *map(str, (self.steps, *args))]

    def start(self):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            self.command,
            cwd=Path(__file__).parents[1],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def kill_when(self, is_time, signal=SIGKILL):
        """Start, wait until `is_time()`, and kill the process with -9 or its group with another."""
        process, start = self.start(), time.monotonic()
        while not is_time():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() - start < TIMEOUT
            time.sleep(0.005)
        (os.kill if signal == SIGKILL else os.killpg)(process.pid, signal)
        output, _ = process.communicate(timeout=TIMEOUT)  # until no process holds the pipe
        assert process.returncode == (-SIGKILL if signal == SIGKILL else 130), output

    def finish(self):
        process = self.start()
        output = process.communicate(timeout=TIMEOUT)[0]
        assert process.returncode == 0, output

    def rows(self, name):
        """Return the whole rows of a table."""
        path = self.folder / name
        if not path.exists():
            return []
        whole = path.read_text().rpartition("\n")[0]
        return list(csv.DictReader(whole.splitlines()))

    def exported(self):
        return sorted(path.name for path in self.folder.glob("export/*"))

    def checkpoints(self):
        return list(self.folder.glob("proxies/*/checkpoint.safetensors"))

    def done_steps(self):
        return [int(line) for line in self.steps.read_text().split()]


def essence(rows):
    return [{k: v for k, v in row.items() if k not in ("seconds", "checksum")} for row in rows]


def test_killed_at_every_stage_and_finished_by_the_same_command(tmp_path, inputs):
    reference, run = Run(tmp_path / "whole", inputs), Run(tmp_path / "killed", inputs)
    uninterrupted = reference.start()

    run.kill_when(run.checkpoints)
    with safe_open(run.checkpoints()[0], "pt") as file:
        saved = int(file.metadata()["step"])
    first = run.done_steps()
    assert 0 < saved <= len(first) < 120

    run.kill_when(lambda: len(run.rows("scores.csv")) >= 3)
    assert run.done_steps()[len(first) :] == list(range(saved, 120))
    scored = run.rows("scores.csv")
    assert 3 <= len(scored) < 8

    run.kill_when(lambda: len(run.rows("truth.csv")) >= 2)
    assert run.rows("scores.csv")[: len(scored)] == scored
    scored, true = run.rows("scores.csv"), run.rows("truth.csv")
    assert 2 <= len(true) < 6
    weights = {p: p.stat().st_mtime_ns for p in (run.folder / "weights").glob("*.safetensors")}

    run.finish()
    output, _ = uninterrupted.communicate(timeout=TIMEOUT)
    assert uninterrupted.returncode == 0, output

    assert len(run.done_steps()) == len(first) + 120 - saved
    assert run.rows("scores.csv")[: len(scored)] == scored
    assert run.rows("truth.csv")[: len(true)] == true
    named = {
        f"{row['candidate']}-{row['steps']}-{row['train_digest'][:8]}.safetensors" for row in true
    }
    assert named <= {p.name for p in weights}
    assert all(p.stat().st_mtime_ns == at for p, at in weights.items() if p.name in named)

    scores, truths = run.rows("scores.csv"), run.rows("truth.csv")
    assert len({(row["proxy"], row["candidate"]) for row in scores}) == len(scores)
    assert len({row["candidate"] for row in truths}) == len(truths)
    assert 6 <= len(truths) <= 7  # the audited, and the exported if it is none of them
    candidates = run.rows("candidates.csv")
    assert len(candidates) == 8
    assert all(row["state"] == "COMPLETE" for row in candidates)
    assert not list(run.folder.rglob("*.partial"))

    assert essence(candidates) == essence(reference.rows("candidates.csv"))
    assert essence(truths) == essence(reference.rows("truth.csv"))
    assert run.rows("audit.csv") == reference.rows("audit.csv")
    audit, undisturbed = (
        Audit.from_json((each.folder / "audit.json").read_text()) for each in (run, reference)
    )
    assert audit.proxy.spearman == undisturbed.proxy.spearman
    assert audit.sentences == undisturbed.sentences


def test_with_workers_killed_or_interrupted_all_comes_to_the_same(tmp_path, inputs):
    """And no process is left: each would hold the pipe that is read to its end.

    With one objective test_soak.py does so.
    """
    quick = ["--proxy", "random_ipc4", "--objectives", "accuracy,macs"]
    reference = Run(tmp_path / "alone", inputs, *quick, "--workers", "1")
    alone = reference.start()
    run = Run(tmp_path / "several", inputs, *quick, "--workers", "3")
    run.kill_when(lambda: len(run.rows("scores.csv")) >= 2)
    first = run.rows("scores.csv")
    run.kill_when(lambda: len(run.rows("truth.csv")) >= 1, SIGINT)
    true = run.rows("truth.csv")
    run.finish()
    output, _ = alone.communicate(timeout=TIMEOUT)
    assert alone.returncode == 0, output
    assert run.rows("scores.csv")[: len(first)] == first
    assert run.rows("truth.csv")[: len(true)] == true
    assert essence(run.rows("candidates.csv")) == essence(reference.rows("candidates.csv"))
    assert run.exported() == reference.exported() != []
    assert run.rows("audit.csv") == reference.rows("audit.csv")
    for name in ("scores.csv", "truth.csv"):
        found, expected = (sorted(map(str, essence(each.rows(name)))) for each in (run, reference))
        assert found == expected
    kept, expected = (
        {path.name: path.read_bytes() for path in each.folder.glob("weights/*")}
        for each in (run, reference)
    )
    assert kept == expected
