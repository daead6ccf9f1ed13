"""A distillation by several processes: the images of one, one line where one ends, resumption."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_run import error_of, save_data

from atom_nas.cli import main
from atom_nas.data.sources import open_dataset
from atom_nas.distillation import launch
from atom_nas.distillation.matching import Matching
from atom_nas.distillation.methods import atom
from atom_nas.distillation.recipes import Recipe
from atom_nas.distillation.shared_out import Share, own_device
from atom_nas.errors import UserError
from atom_nas.training.convnet import FeatureNet

TIMEOUT = 120

DRIVER = """
import os, signal, sys
from atom_nas import cli
from atom_nas.distillation import matching, shared_out
from atom_nas.errors import UserError

log, failing, *args = sys.argv[1:]
matching.CHECKPOINT_SECONDS, shared_out.MEETING_SECONDS = 0.05, 0.02
gradient = matching.Matching.gradient

def logged(self, images, net, step):
    with open(log + os.environ["RANK"], "a") as file:
        print(os.getpid(), step, file=file)
    if failing == os.environ["RANK"] and step == 5:
        raise UserError("no more of this")
    return gradient(self, images, net, step)

def slow(text):
    signal.raise_signal(signal.SIGTERM)  # torchrun's, which comes while this process ends already
    return text

cli.hide_passwords = slow
matching.Matching.gradient = logged
cli.main(args)
"""

RECIPE = Recipe(steps=4, learning_rate=1.0, real_batch=8, width=8, flip=True)


def distill_args(data, out, *more):
    args = ["distill", "--dataset", data, "--proxy", "atom_ipc2", "--device", "cpu", "--out", out]
    return [str(arg) for arg in [*args, "--adjust", "whiten=true,width=16", *more]]


def start_two(*what):
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        + [str(word) for word in what],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end_of(process):
    """Return the status and the lines of error, torchrun's own report apart."""
    output, _ = process.communicate(timeout=TIMEOUT)
    return process.returncode, re.findall(r"^error: .*$", output, re.MULTILINE), output


def pixels_of(folder):
    return load_file(folder / "images.safetensors")["pixels"]


def whole_lines(path):
    text = path.read_text() if path.exists() else ""
    return [line.split() for line in text.rpartition("\n")[0].splitlines()]


@pytest.mark.parametrize(("count", "num_classes"), [(1, 3), (2, 3), (3, 10), (4, 4)])
def test_every_class_is_of_one_process(count, num_classes):
    parts = [Share(rank, count).classes(num_classes) for rank in range(count)]
    assert [k for part in parts for k in range(num_classes)[part]] == list(range(num_classes))
    assert all(part.stop > part.start for part in parts)
    images = torch.arange(2 * num_classes)
    owned = [Share(rank, count).own(images, num_classes) for rank in range(count)]
    assert torch.equal(torch.cat(owned), images)


@pytest.mark.parametrize("count", [2, 3])
def test_the_parts_are_those_of_the_whole_gradient(count):
    train = open_dataset("digits", Path("unused"), seed=0).train
    whole = Matching(
        real=train.pixels.float() / 255,
        class_indices=train.class_indices(),
        describe=atom.describe,
        recipe=RECIPE,
        seed=0,
    )
    images = whole.random_start(2) + 0.1
    net = FeatureNet(train.image_shape, width=8, depth=3, norm="instance").requires_grad_(False)
    loss, gradient = whole.gradient(images, net, 3)
    losses, gradients = zip(
        *(
            replace(whole, share=share).gradient(share.own(images, train.num_classes), net, 3)
            for share in (Share(rank, count) for rank in range(count))
        ),
        strict=True,
    )
    torch.testing.assert_close(torch.cat(gradients), gradient, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.stack(losses).sum(), loss)


def test_two_processes_give_the_images_of_one(tmp_path):
    data = save_data(tmp_path)
    main(distill_args(data, tmp_path / "one", "--steps", "12"))
    args = distill_args(data, tmp_path / "two", "--steps", "12")
    status, errors, output = end_of(start_two("-m", "atom_nas", *args))
    assert (status, errors) == (0, []), output
    assert output.count("atom_ipc2: 6 images") == output.count("12 of 12 steps") == 1
    one, two = pixels_of(tmp_path / "one"), pixels_of(tmp_path / "two")
    torch.testing.assert_close(two, one, rtol=0, atol=1e-6)
    names = [{p.name for p in (tmp_path / each).iterdir()} for each in ("one", "two")]
    assert names[0] == names[1]
    main(distill_args(data, tmp_path / "two", "--steps", "12"))  # found by one process too


def test_one_killed_ends_both_and_the_same_command_goes_on(tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    args = distill_args(save_data(tmp_path), tmp_path / "two", "--steps", "80")
    command = [tmp_path / "driver.py", tmp_path / "steps", "none", *args]
    checkpoint = tmp_path / "two" / "checkpoint.safetensors"

    process, start = start_two(*command), time.monotonic()
    while not (checkpoint.exists() and whole_lines(tmp_path / "steps1")):
        assert process.poll() is None and time.monotonic() - start < TIMEOUT
        time.sleep(0.005)
    os.kill(int(whole_lines(tmp_path / "steps1")[0][0]), SIGKILL)
    status, errors, output = end_of(process)
    assert status != 0
    assert len(errors) == 1, output
    assert "one of the 2 processes was ended" in errors[0]
    with safe_open(checkpoint, "pt") as file:
        saved = int(file.metadata()["step"])
    assert 0 < saved < 80
    before = [len(whole_lines(tmp_path / f"steps{rank}")) for rank in (0, 1)]

    status, errors, output = end_of(start_two(*command))
    assert (status, errors) == (0, []), output
    for rank in (0, 1):
        steps = [int(step) for _, step in whole_lines(tmp_path / f"steps{rank}")[before[rank] :]]
        assert steps == list(range(saved, 80))
    main([*distill_args(tmp_path / "toy.npz", tmp_path / "one", "--steps", "80")])
    torch.testing.assert_close(
        pixels_of(tmp_path / "two"), pixels_of(tmp_path / "one"), rtol=0, atol=1e-6
    )


def test_the_error_of_one_is_the_one_line(tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    args = distill_args(save_data(tmp_path), tmp_path / "two", "--steps", "50")
    process = start_two(tmp_path / "driver.py", tmp_path / "steps", "1", *args)
    status, errors, output = end_of(process)
    assert status != 0
    assert errors == ["error: no more of this"], output
    assert not (tmp_path / "two" / "manifest.json").exists()


@pytest.fixture
def two_started(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(launch, "is_first_to_tell", lambda: True)


@pytest.mark.parametrize("command", ["run", "search", "audit", "export", "report", "list"])
def test_other_commands_are_refused(two_started, capsys, command):
    assert f"start {command} without torchrun" in error_of(capsys, [command])


def test_all_but_the_first_to_tell_are_silent(two_started, monkeypatch, capsys):
    monkeypatch.setattr(launch, "is_first_to_tell", lambda: False)
    with pytest.raises(SystemExit) as caught:
        main(["run"])
    assert caught.value.code == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("count", "norm", "culprit"),
    [(11, "instance", "10 classes"), (2, "batch", "take one process")],
)
def test_what_cannot_be_shared_is_refused(count, norm, culprit):
    with pytest.raises(UserError, match=culprit) as caught:
        Share(0, count).require_fit(10, norm)
    assert "\n" not in str(caught.value)
    Share().require_fit(10, norm)


def test_each_process_takes_a_gpu_of_its_own(two_started, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("cuda") == torch.device("cuda:1")
    assert own_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="cannot share cuda:0"):
        own_device("cuda:0")
