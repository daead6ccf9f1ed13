"""Where tensors live and at which precision nets run, per device."""

import re
import sys

import torch
from torch.nn import functional as F

from atom_nas.errors import DISK_FULL, UserError, unknown

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


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
        raise UserError(
            f"device {name!r} is not there; this machine has {num_devices} of {kind}; give "
            "--device auto, or cpu."
        )
    return torch.device(kind) if index is None else torch.device(kind, int(index))


def autocast(device: torch.device) -> torch.autocast:
    """Return the context in which nets run: bfloat16 where the device computes in it itself."""
    if device.type == "cuda":
        is_fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        is_fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_fast)


def warm_up(device: torch.device) -> None:
    """Have a GPU start, and load the library of its convolutions, before anything is timed."""
    if device.type != "cuda":
        return
    images = torch.zeros(1, 3, 8, 8, device=device, requires_grad=True)
    with autocast(device):
        maps = F.conv2d(images, torch.zeros(8, 3, 3, 3, device=device))
    maps.float().sum().backward()
    torch.cuda.synchronize(device)


def is_device_failure(error: BaseException) -> bool:
    """Say whether `error` is of the device, and so of no one candidate: its memory or the disk is
    full, or it is broken."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return True
    if isinstance(error, (torch.OutOfMemoryError, torch.AcceleratorError)):
        return True
    is_unnamed = re.search("(CUDA|MPS).*out of memory|STATUS_ALLOC_FAILED", str(error))
    return isinstance(error, RuntimeError) and is_unnamed is not None


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: allocated on a GPU, resident for a CPU process.

    On a GPU that since `reset_peak_memory`, else since the process began; 0 on Windows, where
    the standard library does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak_memory(device: torch.device) -> None:
    """Let the peak memory of a GPU count from now; that of a CPU process is its own to the end."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def free_memory(device: torch.device) -> int:
    """Return the bytes that PyTorch can have on a GPU, those it holds unused among them."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
