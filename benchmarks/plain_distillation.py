"""A distillation step in the manner of the released code of DC, DM and DataDAM, written plainly.

A class at a time is augmented in Python lists, hooks collect the outputs of the ReLUs, everything
is float32 and NCHW, each step makes a new net on the host and calls `.item()`. With batch norm all
classes go through the net together, with instance norm one by one. It is what
distillation_speed.py measures against, and nothing else uses it.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atom_nas.distillation.recipes import Recipe


class PlainNet(nn.Module):
    """ConvNet of Conv3x3, norm, ReLU, average pooling, as one Sequential."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for _ in range(recipe.depth):
            layers.append(nn.Conv2d(channels, recipe.width, 3, padding=1))
            if recipe.norm == "batch":
                layers.append(nn.BatchNorm2d(recipe.width))
            else:
                layers.append(nn.GroupNorm(recipe.width, recipe.width))
            layers += [nn.ReLU(), nn.AvgPool2d(2)]
            channels = recipe.width
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return the flattened last map."""
        return self.features(images).flatten(1)


def plain_step(
    real: Tensor,
    images: Tensor,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    method: str,
    num_classes: int,
) -> float:
    """Update `images` (K * M, C, H, W) once and return the loss; `real` is sorted by class too."""
    device = images.device
    net = PlainNet(recipe).to(device).train()
    for parameter in net.parameters():
        parameter.requires_grad = False
    activations: list[Tensor] = []
    for module in net.features:
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _m, _i, output: activations.append(output))

    def features(batch: Tensor) -> tuple[list[Tensor], Tensor]:
        activations.clear()
        embedding = net(batch)
        return list(activations), embedding

    per_class = real.shape[0] // num_classes
    batches = []
    for k in range(num_classes):
        chosen = torch.randperm(per_class, device=device)[: recipe.real_batch] + k * per_class
        count = len(images) // num_classes
        seed = int(torch.randint(100_000, ()).item())
        batches.append(
            (
                _augment(real[chosen], seed),
                _augment(images[k * count : (k + 1) * count], seed),
            )
        )
    if recipe.norm == "batch":
        reals, synthetics = zip(*batches, strict=True)
        batches = [(torch.cat(reals), torch.cat(synthetics))]
    classes_at_once = num_classes // len(batches)
    loss = torch.tensor(0.0, device=device)
    for real_batch, synthetic_batch in batches:
        real_maps, real_embedding = features(real_batch)
        maps, embedding = features(synthetic_batch)
        for real_map, synthetic_map in zip(real_maps[:-1], maps[:-1], strict=True):
            real_vector = _attention(real_map.detach(), 1, recipe.spatial_power)
            vector = _attention(synthetic_map, 1, recipe.spatial_power)
            loss = loss + _distance(real_vector, vector, classes_at_once)
            if method == "atom":
                real_vector = _attention(real_map.detach(), (2, 3), recipe.channel_power)
                vector = _attention(synthetic_map, (2, 3), recipe.channel_power)
                loss = loss + _distance(real_vector, vector, classes_at_once)
        distance = _distance(real_embedding.detach(), embedding, classes_at_once)
        loss = loss + recipe.embedding_weight * distance
    loss = recipe.loss_scale * loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _attention(maps: Tensor, dims: int | tuple[int, int], power: float) -> Tensor:
    return F.normalize((torch.abs(maps) ** power).sum(dims).flatten(1), dim=1)


def _distance(real: Tensor, synthetic: Tensor, num_classes: int) -> Tensor:
    real_mean = real.view(num_classes, -1, real.shape[1]).mean(1)
    mean = synthetic.view(num_classes, -1, synthetic.shape[1]).mean(1)
    return torch.sum((real_mean - mean) ** 2)


def _augment(images: Tensor, seed: int) -> Tensor:
    """Apply one random operation of DSA, drawn from `seed`, to all images of a class."""
    generator = torch.Generator().manual_seed(seed)
    device, (height, width) = images.device, images.shape[2:]
    operation = int(torch.randint(6, (), generator=generator).item())
    u, v, w = torch.rand(3, generator=generator).to(device)
    if operation == 0:
        images = images + (u - 0.5)
        mean = images.mean(1, keepdim=True)
        images = (images - mean) * (2 * v) + mean
        mean = images.mean((1, 2, 3), keepdim=True)
        return (images - mean) * (w + 0.5) + mean
    grid_y, grid_x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    if operation == 1:
        reach = int(height * 0.125 + 0.5)
        y = (grid_y + (u * (2 * reach + 1)).long() - reach + 1).clamp(0, height + 1)
        x = (grid_x + (v * (2 * reach + 1)).long() - reach + 1).clamp(0, width + 1)
        return F.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)[:, y, x].permute(0, 3, 1, 2)
    if operation == 2:
        inside_y = (grid_y - (u * height).long()).abs() <= height // 4
        inside_x = (grid_x - (v * width).long()).abs() <= width // 4
        mask = torch.ones(len(images), height, width, device=device)
        mask[:, inside_y & inside_x] = 0
        return images * mask[:, None]
    if operation == 3:
        return torch.where(u < 0.5, images.flip(3), images)
    if operation == 4:
        scale_y, scale_x = (1 / 1.2 + share * (1.2 - 1 / 1.2) for share in (u, v))
        zero = torch.zeros((), device=device)
        rows = torch.stack([scale_x, zero, zero, zero, scale_y, zero])
    else:
        angle = (u - 0.5) * 2 * math.radians(15)
        zero = torch.zeros((), device=device)
        rows = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero])
    theta = rows.view(1, 2, 3).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, align_corners=True)
