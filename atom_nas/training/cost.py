"""Parameters and multiply-accumulates of a network, counted without memory or arithmetic."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network costs for one image."""

    num_params: int
    """Elements of all parameters, trainable or not."""
    macs: int
    """Multiply-adds of convolutions and matrix products (linear layers, attention) in a forward
    pass; normalisation, activations, pooling and sums are not counted."""
    latency_ms: float | None = None
    """Milliseconds of a forward pass of one batch, the median; None where it was not measured."""


def measure_cost(
    build: Callable[[], nn.Module],
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
) -> Cost:
    """Build the network on the meta device and count its cost for one image (C, H, W).

    One that reads numbers while it is built, as from torch.linspace, is built on the CPU and moved
    there. The network is in evaluation mode; the global random generator is left as it was. Raises
    ValueError where `num_classes` are given and it has no logit (1, num_classes) for each.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = _on_meta(build).eval()
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            outputs = network(torch.empty(1, *image_shape))
    if num_classes is not None and tuple(getattr(outputs, "shape", ())) != (1, num_classes):
        got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ValueError(f"the net returns {got} for an image, not logits (1, {num_classes})")
    return Cost(
        num_params=sum(parameter.numel() for parameter in network.parameters()),
        macs=counter.get_total_flops() // 2,
    )


def _on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build().to("meta")
