"""Nets on which the papers test distilled images, at the sizes of their small images.

Instance normalisation, the family's choice, is GroupNorm with a group a channel. Over a 1x1 map it
erases the image, so that `vgg11` pools small images less often and `resnet18` refuses them.
`convnet3_batch` is the ConvNet of DataDAM's released code.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.models.resnet import BasicBlock, ResNet

from atom_nas.errors import UserError
from atom_nas.training.convnet import ConvNet

Builder = Callable[[tuple[int, int, int], int], nn.Module]
"""From (image shape (C, H, W), number of classes) to a net with fresh weights."""

TOKENS_PER_SIDE = 8


def alexnet(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return the family's AlexNet: five convolutions, three max-poolings, one linear layer.

    Kernels are 5x5, 5x5, 3x3, 3x3, 3x3 on 128, 192, 256, 192, 192 channels; no normalisation.
    """
    plan = ((128, 5), "pool", (192, 5), "pool", (256, 3), (192, 3), (192, 3), "pool")
    return _sequential(image_shape, num_classes, plan, normalize=False)


def vgg11(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return VGG-11 with instance norm and one linear layer (Simonyan & Zisserman, 2015)."""
    plan = (
        *((64, 3), "pool", (128, 3), "pool", (256, 3), (256, 3), "pool"),
        *((512, 3), (512, 3), "pool", (512, 3), (512, 3), "pool"),
    )
    return _sequential(image_shape, num_classes, plan, normalize=True)


def resnet18(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return torchvision's ResNet-18 with instance norm, a 3x3 stem and no max-pooling.

    Raises UserError for images below 16x16, which its strides reduce to one pixel.
    """
    channels, height, width = image_shape
    if min(height, width) < 16:
        raise UserError(
            f"resnet18 got images of {height}x{width}; it needs 16x16 or more: take convnet3."
        )
    net = ResNet(BasicBlock, [2, 2, 2, 2], num_classes, norm_layer=_instance_norm)
    net.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    return net  # type: ignore[no-any-return]


def vit(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return a small torchvision ViT: 8x8 patches (4x4 pixels each at 32x32), 6 layers, width 256.

    Raises UserError unless the images are square with a side that 8 divides.
    """
    channels, height, width = image_shape
    if height != width or height % TOKENS_PER_SIDE:
        raise UserError(
            f"vit got images of {height}x{width}; it needs squares with a side that "
            f"{TOKENS_PER_SIDE} divides: take convnet3."
        )
    patch = height // TOKENS_PER_SIDE
    net = VisionTransformer(
        image_size=height,
        patch_size=patch,
        num_layers=6,
        num_heads=8,
        hidden_dim=256,
        mlp_dim=512,
        num_classes=num_classes,
    )
    net.conv_proj = nn.Conv2d(channels, 256, patch, stride=patch)
    with torch.no_grad():
        nn.init.trunc_normal_(net.conv_proj.weight, std=(channels * patch**2) ** -0.5)
        nn.init.zeros_(net.conv_proj.bias)
    return net  # type: ignore[no-any-return]


NETS: dict[str, Builder] = {
    "convnet3": ConvNet,
    "convnet3_batch": partial(ConvNet, norm="batch"),
    "convnet4": partial(ConvNet, depth=4),
    "alexnet": alexnet,
    "vgg11": vgg11,
    "resnet18": resnet18,
    "vit": vit,
}


def _instance_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels, channels)


def _sequential(
    image_shape: tuple[int, int, int],
    num_classes: int,
    plan: tuple[tuple[int, int] | str, ...],
    *,
    normalize: bool,
) -> nn.Sequential:
    """Return the layers of `plan`, (channels, kernel) or "pool", and a linear classifier.

    A pooling to one pixel is left out unless it is the last.
    """
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    for position, entry in enumerate(plan, start=1):
        if not isinstance(entry, str):
            out, kernel = entry
            layers.append(nn.Conv2d(channels, out, kernel, padding=kernel // 2))
            layers += [_instance_norm(out)] if normalize else []
            layers.append(nn.ReLU(inplace=True))
            channels = out
        elif min(height, width) >= (2 if position == len(plan) else 4):
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, num_classes))
