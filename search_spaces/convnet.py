"""The 720 plain ConvNets of the data set distillation papers.

Width, depth, activation, normalisation and pooling of a stack of 3x3 convolutions, 4*4*3*5*3 nets
(Zhao, Mopuri & Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021). The papers pad
28x28 images to 32x32; here images keep their size.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

CHOICES: dict[str, tuple[Any, ...]] = {
    "width": (32, 64, 128, 256),
    "depth": (1, 2, 3, 4),
    "activation": ("sigmoid", "relu", "leaky_relu"),
    "norm": ("none", "batch", "layer", "instance", "group"),
    "pooling": ("none", "max", "avg"),
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One of the 720 nets; a value outside `CHOICES` raises ValueError."""

    width: int
    """Channels of every convolution."""
    depth: int
    """Number of blocks."""
    activation: str
    """leaky_relu has a negative slope of 0.01."""
    norm: str
    """layer normalises over (C, H, W), instance over (H, W), group over 4 groups of channels."""
    pooling: str
    """2x2 with stride 2, after every block."""

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed: {', '.join(map(str, allowed))}.")


def sample(trial: Any) -> Architecture:
    """Draw an architecture with an Optuna trial; the parameters are named as the fields."""
    return Architecture(
        **{name: trial.suggest_categorical(name, allowed) for name, allowed in CHOICES.items()}
    )


def build(
    architecture: Architecture, image_shape: tuple[int, int, int], num_classes: int
) -> nn.Module:
    """Return the freshly initialised net, (B, C, H, W) -> logits (B, num_classes).

    A block is Conv3x3(padding 1) -> norm -> activation -> pooling; one linear layer reads the
    flattened map. A map with a side below 2 cannot be pooled again and keeps its size; on a map of
    one pixel, instance normalisation would erase the signal and is left out.
    """
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    for _ in range(architecture.depth):
        layers.append(nn.Conv2d(channels, architecture.width, 3, padding=1))
        channels = architecture.width
        layers += _norm(architecture.norm, (channels, height, width))
        layers.append(_activation(architecture.activation))
        if architecture.pooling != "none" and min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2) if architecture.pooling == "max" else nn.AvgPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, num_classes))


def _activation(name: str) -> nn.Module:
    match name:
        case "sigmoid":
            return nn.Sigmoid()
        case "relu":
            return nn.ReLU()
        case _:
            return nn.LeakyReLU(0.01)


def _norm(name: str, map_shape: tuple[int, int, int]) -> list[nn.Module]:
    channels, height, width = map_shape
    match name:
        case "batch":
            return [nn.BatchNorm2d(channels)]
        case "layer":
            return [nn.LayerNorm(map_shape)]
        case "instance" if height * width > 1:
            return [nn.GroupNorm(channels, channels)]
        case "group":
            return [nn.GroupNorm(4, channels)]
        case _:
            return []
