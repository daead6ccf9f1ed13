"""The ConvNet in whose features real and synthetic images are matched, and that judges them."""

import math

import torch
from torch import Tensor, nn

from atom_nas.training.layout import InstanceNorm

NORMS = ("instance", "batch", "none")


class FeatureNet(nn.Module):
    """Blocks of Conv3x3, normalisation, ReLU, 2x2 average pooling (Gidaris & Komodakis, 2018).

    The field's "ConvNet-3" is depth 3, width 128, instance norm. A map that is too small for
    another pooling keeps its size.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], *, width: int, depth: int, norm: str
    ) -> None:
        """Make the blocks for images of shape (C, H, W)."""
        super().__init__()
        channels, height, width_px = image_shape
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        self.pools: list[bool] = []
        for _ in range(depth):
            self.convs.append(nn.Conv2d(channels, width, 3, padding=1))
            self.norms.append(_make_norm(norm, width))
            self.pools.append(min(height, width_px) >= 2)
            if self.pools[-1]:
                height, width_px = height // 2, width_px // 2
            channels = width
        self.num_features = channels * height * width_px

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return (maps, embedding) of `images` (B, C, H, W).

        `maps` holds the activations (B, width, H_l, W_l) of every block but the last, before its
        pooling; `embedding` is the last block's pooled output, flattened to (B, num_features).
        """
        maps = []
        x = images
        for conv, norm, pool in zip(self.convs, self.norms, self.pools, strict=True):
            x = conv(x)
            if isinstance(norm, nn.GroupNorm):
                x = InstanceNorm.apply(x, norm.weight, norm.bias, norm.eps, True)
            else:
                x = torch.relu_(norm(x))
            maps.append(x)
            if pool:
                x = nn.functional.avg_pool2d(x, 2)
        return maps[:-1], x.flatten(1)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw fresh weights: uniform in +-1/sqrt(fan_in), PyTorch's own initialisation."""
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            bound = 1 / math.sqrt(conv.in_channels * 9)
            conv.weight.uniform_(-bound, bound, generator=generator)
            conv.bias.uniform_(-bound, bound, generator=generator)


class ConvNet(nn.Module):
    """A FeatureNet with a linear classifier: what the papers train on distilled images."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        *,
        width: int = 128,
        depth: int = 3,
        norm: str = "instance",
    ) -> None:
        """Make the net for images of shape (C, H, W)."""
        super().__init__()
        self.features = FeatureNet(image_shape, width=width, depth=depth, norm=norm)
        self.classifier = nn.Linear(self.features.num_features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) of `images` (B, C, H, W)."""
        return self.classifier(self.features(images)[1])  # type: ignore[no-any-return]


def _make_norm(norm: str, width: int) -> nn.Module:
    if norm == "instance":
        return nn.GroupNorm(width, width)
    if norm == "batch":
        return nn.BatchNorm2d(width, track_running_stats=True)
    assert norm == "none", norm
    return nn.Identity()
