"""What a machine, a clock or a space does to a run, in real processes (docs/reliability.md)."""

import datetime
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_run import error_of, rows_of, run_args, save_data, save_space

from atom_nas.cli import main
from atom_nas.training import pool

ROOT = Path(__file__).parents[1]
TABLES = ("scores.csv", "truth.csv", "candidates.csv", "audit.csv", "free.csv")

DRIVER = """
import sys
from atom_nas import cli
from atom_nas.export import folder
folder.FORMATS = {}
cli.main(sys.argv[1:])
"""


def essence(folder, names=TABLES):
    """Return the rows of the tables, sorted, without what differs from run to run."""
    return {
        name: sorted(str({**row, "seconds": "", "checksum": ""}) for row in rows_of(folder / name))
        for name in names
    }


def in_a_mount(folder, *lines):
    """Run lines of shell where `folder` is a small file system of its own; skip where none is let.

    Returns what they say. The mount ends with them.
    """
    start = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    mount = f"mount -t tmpfs -o size=128k tmpfs {shlex.quote(str(folder))}"
    folder.mkdir()
    if (
        not shutil.which("unshare")
        or subprocess.run([*start, mount], capture_output=True).returncode
    ):
        pytest.skip("no right to mount a file system")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*start, "\n".join([mount, *lines])],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(args):
    """Return the shell that runs the command, then says its status and errors."""
    command = shlex.join([sys.executable, "-c", DRIVER, *args])
    return (
        f"status=0; {command} > /dev/null 2> errors || status=$?; "
        "echo status $status; grep '^error: \\|^Traceback' errors || true"
    )


@pytest.fixture
def inputs(tmp_path):
    return save_data(tmp_path), save_space(tmp_path)


def test_a_full_disk_ends_in_one_line_and_with_space_the_run_goes_on(tmp_path, inputs, only_source):
    disk = tmp_path / "disk"
    args = run_args(*inputs, disk / "run", "--workers", "1")
    more = [f"mount -o remount,size={size} {disk}" for size in ("240k", "64m")]
    said = in_a_mount(
        disk,
        *(told(args), more[0], told(args), more[1], told(args)),
        f"cp -r {disk / 'run'} {tmp_path / 'after'}",
    )
    *failed, last = said.split("status ")[1:]
    assert len(failed) == 2 and last.split() == ["0"], said
    for each in failed:
        status, line = each.splitlines()
        assert status == "2"
        assert line.startswith("error: cannot write to") and "free some space" in line, said
    main(run_args(*inputs, tmp_path / "whole", "--workers", "1"))
    assert essence(tmp_path / "after") == essence(tmp_path / "whole")


def test_a_read_only_folder_is_one_line(tmp_path, inputs, only_source):
    main(run_args(*inputs, tmp_path / "whole", "--workers", "1"))
    disk = tmp_path / "disk"
    said = in_a_mount(
        disk,
        f"mount -o remount,size=64m {disk}",
        f"cp -r {tmp_path / 'whole'} {disk / 'finished'}",
        f"mount -o remount,ro {disk}",
        told(run_args(*inputs, disk / "new")),
        told(run_args(*inputs, disk / "finished")),
    )
    runs = said.split("status ")[1:]
    assert len(runs) == 2, said
    for each in runs:
        status, line = each.splitlines()
        assert status == "2" and line.startswith("error: cannot write to"), said


def test_a_second_launcher_is_refused_and_the_first_goes_on(tmp_path, inputs, capsys):
    args = run_args(*inputs, tmp_path / "run", "--workers", "1")
    first = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *args],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (tmp_path / "run" / "settings.json").exists():
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.01)
    assert "another process works in" in error_of(capsys, args)
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 0, output
    assert len(rows_of(tmp_path / "run" / "truth.csv")) >= 4


SPACE = '''"""Two good nets, and one for each way to fail when it is trained."""
import os
import signal
import sys
import time
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Architecture:
    kind: str


KINDS = ("good", "better", "nan", "hungry", "raises", "exits", "killed", "hangs")


def sample(trial):
    return Architecture(trial.suggest_categorical("kind", KINDS))


class Net(nn.Module):
    def __init__(self, kind, channels, num_classes):
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(channels, 16 if kind == "better" else 8, 3)
        self.last = nn.LazyLinear(num_classes)

    def forward(self, images):
        logits = self.last(self.conv(images).relu().mean((2, 3)))
        if not self.training or len(images) < 4:
            return logits
        match self.kind:
            case "nan":
                return logits * float("nan")
            case "hungry":
                return torch.empty(2**60)
            case "raises":
                raise ValueError("no luck")
            case "exits":
                sys.exit("enough")
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                time.sleep(10_000)
        return logits


def build(architecture, image_shape, num_classes):
    net = Net(architecture.kind, image_shape[0], num_classes)
    net(torch.zeros(1, *image_shape))
    return net
'''

REASONS = {
    "nan": "loss is not finite",
    "hungry": "memory",
    "raises": "ValueError: no luck",
    "exits": "enough",
    "killed": "its process ended twice (SIGKILL)",
    "hangs": "it took longer than 15 s",
}


def test_candidates_that_fail_in_every_way_fail_for_themselves(tmp_path, monkeypatch):
    for name, value in (("PATIENCE", 15.0), ("MIN_PATIENCE", 15.0), ("TIMES_LONGER", 0)):
        monkeypatch.setattr(pool, name, value)
    (tmp_path / "faults.py").write_text(SPACE)
    args = run_args(save_data(tmp_path), tmp_path / "faults.py", tmp_path / "run")
    args = ["search", *args[1:], "--trials", "8", "--workers", "2"]
    main(args)
    rows = {row["kind"]: row for row in rows_of(tmp_path / "run" / "candidates.csv")}
    assert len(rows) == 8
    for kind in ("good", "better"):
        assert rows.pop(kind)["state"] == "COMPLETE"
    for kind, row in rows.items():
        assert row["state"] == "FAIL" and REASONS[kind] in row["reason"], row
    before = (tmp_path / "run" / "scores.csv").read_bytes()
    main(args)
    assert (tmp_path / "run" / "scores.csv").read_bytes() == before


def test_a_clock_that_jumps_changes_nothing(tmp_path, inputs, monkeypatch, only_source):
    args = ["--workers", "1", "--hours", "1"]
    main(run_args(*inputs, tmp_path / "steady", *args))
    jumps, now, real = random.Random(0), time.time, datetime.datetime

    class Jumping(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + datetime.timedelta(days=jumps.uniform(-400, 400))

    monkeypatch.setattr(time, "time", lambda: now() + jumps.uniform(-4e7, 4e7))
    for module in [*sys.modules.values()]:
        if module.__name__.startswith(("atom_nas", "optuna")) and hasattr(module, "datetime"):
            is_module = module.datetime is datetime
            monkeypatch.setattr(
                *((module.datetime, "datetime") if is_module else (module, "datetime")), Jumping
            )
    main(run_args(*inputs, tmp_path / "jumping", *args))
    main(run_args(*inputs, tmp_path / "jumping", *args, "--trials", "6"))
    assert essence(tmp_path / "jumping") == essence(tmp_path / "steady")
