"""5,184 inverted-bottleneck nets in the manner of MobileNetV3, for small and large images.

A stem, three stages of inverted bottlenecks with depthwise convolutions, a 1x1 head, a global
average and a linear layer (Sandler et al., CVPR 2018; Howard et al., ICCV 2019).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchvision.ops import Conv2dNormActivation, SqueezeExcitation

CHOICES: dict[str, tuple[Any, ...]] = {
    "width": (0.5, 0.75, 1.0, 1.5),
    "depth_1": (1, 2, 3),
    "depth_2": (1, 2, 3),
    "depth_3": (1, 2, 3),
    "kernel_1": (3, 5),
    "kernel_2": (3, 5),
    "kernel_3": (3, 5),
    "expansion": (2, 4, 6),
    "squeeze_excitation": (False, True),
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One of the 5,184 nets; a value outside `CHOICES` raises ValueError."""

    width: float
    """Multiplier of all channels: 16 in the stem, 32, 64 and 128 in the stages, 256 in the head."""
    depth_1: int
    """Blocks of the first stage."""
    depth_2: int
    """Blocks of the second stage."""
    depth_3: int
    """Blocks of the third stage."""
    kernel_1: int
    """Side of the depthwise kernels of the first stage."""
    kernel_2: int
    """Side of the depthwise kernels of the second stage."""
    kernel_3: int
    """Side of the depthwise kernels of the third stage."""
    expansion: int
    """Hidden channels of a block, as a multiple of its input channels."""
    squeeze_excitation: bool
    """Whether every block weighs its hidden channels by their global average."""

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

    The stem halves images of 64 pixels or more (shorter side); a stage halves maps of 8 or more, so
    that no map falls below 4x4: 32x32 images are halved three times, 8x8 images once.
    """
    image_channels, *sides = image_shape
    side = min(sides)
    stem_stride = 2 if side >= 64 else 1
    side = -(-side // stem_stride)
    channels = _scale(16, architecture)
    layers: list[nn.Module] = [_conv(image_channels, channels, 3, stem_stride)]
    stages = (
        (32, architecture.depth_1, architecture.kernel_1),
        (64, architecture.depth_2, architecture.kernel_2),
        (128, architecture.depth_3, architecture.kernel_3),
    )
    for base, depth, kernel in stages:
        stride = 2 if side >= 8 else 1
        side = -(-side // stride)
        for index in range(depth):
            out_channels = _scale(base, architecture)
            layers.append(
                InvertedBottleneck(
                    channels,
                    out_channels,
                    kernel=kernel,
                    stride=stride if index == 0 else 1,
                    expansion=architecture.expansion,
                    squeeze_excitation=architecture.squeeze_excitation,
                )
            )
            channels = out_channels
    head = _scale(256, architecture)
    layers += [_conv(channels, head, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(head, num_classes))


class InvertedBottleneck(nn.Module):
    """Expand 1x1, depthwise convolution, squeeze-excitation, project 1x1; residual if it can be."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int,
        stride: int,
        expansion: int,
        squeeze_excitation: bool,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers = [_conv(in_channels, hidden, 1), _conv(hidden, hidden, kernel, stride, hidden)]
        if squeeze_excitation:
            layers.append(SqueezeExcitation(hidden, hidden // 4, scale_activation=nn.Hardsigmoid))
        layers += [nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.layers = nn.Sequential(*layers)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the maps (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        out: torch.Tensor = self.layers(maps)
        return maps + out if self.is_residual else out


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    layer: nn.Module = Conv2dNormActivation(
        in_channels,
        out_channels,
        kernel,
        stride,
        groups=groups,
        activation_layer=nn.Hardswish,
        inplace=False,
    )
    return layer


def _scale(channels: int, architecture: Architecture) -> int:
    return round(channels * architecture.width / 8) * 8
