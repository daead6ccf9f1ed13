"""The allocator is set once it is asked for, on a CPU alone."""

import ctypes
from types import SimpleNamespace

import pytest
import torch

from atom_nas.training.memory import keep_freed_memory


@pytest.mark.parametrize(
    ("device", "platform", "count"),
    [("cpu", "linux", 3), ("cuda", "linux", 0), ("cpu", "win32", 0)],
)
def test_freed_memory_is_kept_on_a_cpu_under_linux(monkeypatch, device, platform, count):
    settings = []
    libc = SimpleNamespace(mallopt=lambda *setting: settings.append(setting))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    monkeypatch.setattr("sys.platform", platform)
    keep_freed_memory(torch.device(device))
    assert len(settings) == count


def test_a_libc_without_that_setting_stays_as_it_is(monkeypatch):
    asked = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or SimpleNamespace())
    monkeypatch.setattr("sys.platform", "linux")
    keep_freed_memory(torch.device("cpu"))
    assert asked == [None]
