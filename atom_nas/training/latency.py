"""How long a net takes for a batch of images: measured, not counted."""

from dataclasses import dataclass

import torch
from torch import nn

WARM_UP = 3
"""Passes before any is timed: buffers are made, kernels chosen."""

MIN_SECONDS, MAX_SECONDS = 0.1, 2.0
"""Of timed passes; between the two it ends where the interquartile range is small enough."""

SPREAD = 0.1
"""The interquartile range, as a share of the median, that is small enough."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """What a forward pass of one batch takes."""

    median_ms: float
    iqr_ms: float
    """Interquartile range over blocks of passes."""
    runs: int
    """Passes that were timed."""


def measure_latency(
    net: nn.Module, image_shape: tuple[int, int, int], batch_size: int, device: torch.device
) -> Latency:
    """Time forward passes of `net` on `device`, of a batch of images (C, H, W) in float32.

    The net is moved to the device and put in evaluation mode; no gradient is kept. On a CPU one
    thread computes; a GPU is waited for. What else the machine does at that time is not kept away:
    measured beside trainings, a net seems slower than it is, and neither the clock of the device
    nor its heat is held. So two measurements of one net differ, and one is to be kept.
    """
    from torch.utils.benchmark import Timer  # warns where it finds a CUDA toolkit and no GPU

    net = net.to(device).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch_size, *image_shape, generator=generator).to(device)
    timer = Timer("net(images)", globals={"net": net, "images": images}, num_threads=1)
    with torch.inference_mode():
        timer.timeit(WARM_UP)
        found = timer.adaptive_autorange(SPREAD, min_run_time=MIN_SECONDS, max_run_time=MAX_SECONDS)
    return Latency(
        median_ms=1e3 * found.median,
        iqr_ms=1e3 * found.iqr,
        runs=len(found.times) * found.number_per_run,
    )
