"""The soak, small: every kind of kill at a random moment, and the run ends as if undisturbed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "benchmarks" / "soak.py"


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for workers in /proc")
def test_a_run_killed_in_every_way_ends_as_one_that_was_not(tmp_path):
    command = [sys.executable, SOAK, "--kills", "6", "--seed", "3", "--out", tmp_path / "soak"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "soak" / "soak.json").read_text())
    signals = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    ways = {*(f"launcher {each}" for each in signals), "worker SIGKILL", "all SIGKILL"}
    assert found["kills"] == dict.fromkeys(ways, 1)
    assert (found["lost"], found["repeated"], found["unlike"]) == (0, 0, [])
    assert found["runs"] >= 1 and found["rows"] > 40
