"""What a measurement ran on: hardware and commit."""

import platform
import subprocess
from pathlib import Path

import torch


def hardware(device: torch.device) -> str:
    """Return the name of the GPU, or the model of the CPU and the threads that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{device.type}: {model}, {torch.get_num_threads()} threads"


def commit() -> str:
    """Return the commit of the code, marked where the package differs from it."""
    root = Path(__file__).parent.parent

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    dirty = git("status", "--porcelain", "--", "atom_nas", "benchmarks/*.py")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if dirty else "")
