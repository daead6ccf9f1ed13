"""Where tensors live and at which precision nets run, per device."""

import re
import resource
import sys

import torch
from torch import nn

from atom_nas.errors import UserError, unknown


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`: auto (CUDA, then MPS, then CPU), cpu, cuda[:N] or mps."""
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    match = re.fullmatch(r"(cpu|cuda|mps)(?::([0-9]{1,4}))?", name)
    if not match:
        raise unknown("device", name, ["auto", "cpu", "cuda", "cuda:1", "mps"])
    kind, index = match.groups()
    num_devices = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}[kind]
    if int(index or 0) >= num_devices:
        raise UserError(f"device {name!r} is not there; this machine has {num_devices} of {kind}.")
    return torch.device(kind) if index is None else torch.device(kind, int(index))


def autocast(device: torch.device) -> torch.autocast:
    """Return the context in which nets run: bfloat16 where the device computes in it."""
    has_bfloat16 = {"cuda": True, "cpu": torch.cpu._is_avx512_bf16_supported()}
    is_fast = has_bfloat16.get(device.type, False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_fast)


def memory_format(net: nn.Module, device: torch.device) -> torch.memory_format:
    """Return the layout in which `net` is fastest.

    Measured on CPU: channels_last doubles the speed of convolutions, but slows group, instance and
    layer normalisation down by more than that.
    """
    slow = (nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm)
    if device.type == "cpu" and any(isinstance(module, slow) for module in net.modules()):
        return torch.contiguous_format
    return torch.channels_last


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: allocated on a GPU, resident for a CPU process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
