"""`atom-nas retrain`, killed and interrupted, goes on to the same weights."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGINT, SIGKILL

import safetensors.torch
from made_export import GREY, SOURCES, convnet_of, make_trained
from tiny_run import save_data

from atom_nas.export.folder import export_model
from search_spaces import convnet

TIMEOUT = 120
DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of the background ignores it
from atom_nas import cli
from atom_nas.export import folder
from atom_nas.training import final

folder.FORMATS = {}
final.CHECKPOINT_SECONDS = 0.0
cli.main(sys.argv[1:])
"""


def start(*args):
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, "retrain", *map(str, args), "--device", "cpu"],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stop_when_changed(process, path, signal):
    """Wait until `path` is written anew, and stop the process."""
    before, begin = path.stat().st_mtime_ns if path.exists() else 0, time.monotonic()
    while not path.exists() or path.stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - begin < TIMEOUT
        time.sleep(0.002)
    process.send_signal(signal)
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == (-SIGKILL if signal == SIGKILL else 130), output


def test_killed_and_interrupted_it_goes_on_to_the_same_weights(tmp_path, only_source):
    source = export_model(make_trained(convnet, convnet_of(), GREY), tmp_path / "best", metrics={})
    data = save_data(tmp_path)
    more = ["--dataset", data, "--epochs", 150]
    whole = start(source, *more, "--out", tmp_path / "whole")
    args = [source, *more, "--out", tmp_path / "killed"]
    checkpoint = tmp_path / ".killed.training" / "checkpoint.safetensors"
    stop_when_changed(start(*args), checkpoint, SIGKILL)
    first = steps_in(checkpoint)
    stop_when_changed(start(*args), checkpoint, SIGINT)
    second = steps_in(checkpoint)
    assert 0 < first < second < 300
    for process in (whole, start(*args)):
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, output
    expected, found = (tmp_path / name for name in ("whole", "killed"))
    for name in SOURCES - {"metrics.json", "verification.json", "README.md"}:
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name
    metrics = [json.loads((each / "metrics.json").read_bytes()) for each in (expected, found)]
    assert metrics[0].pop("seconds") > 0 and metrics[1].pop("seconds") > 0
    assert metrics[0] == metrics[1]
    assert not list(tmp_path.glob(".*"))


def steps_in(checkpoint):
    return int(safetensors.torch.load_file(checkpoint)["steps"])
