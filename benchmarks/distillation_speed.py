"""Steps a second of the distillation against a plain loop in the manner of the published code.

The plain loop is written here, after the description of the released loops of DC, DM and DataDAM:
classes are augmented one by one in Python lists, hooks collect the ReLUs' outputs, everything is
float32 and NCHW, each step makes a new net on the host and calls `.item()`. With batch norm the
augmented classes go through the net together, with instance norm one by one, as released.

Both sides distil the same noise at CIFAR-10's shape (speed does not depend on the pixels), with
the same net, batches and threads; they take turns, and a pair of turns gives one ratio.

    python benchmarks/distillation_speed.py --device cpu --threads 2
"""

import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F

from atom_nas.condense import load_method
from atom_nas.distill import Matching
from atom_nas.nets import FeatureNet
from atom_nas.recipes import Recipe

NUM_CLASSES, IMAGE_SHAPE, IMAGES_PER_CLASS = 10, (3, 32, 32), 500

CONFIGURATIONS = {
    "released": ("datadam", Recipe(steps=1, learning_rate=1.0, norm="batch", spatial_power=1)),
    "paper": ("atom", Recipe(steps=1, learning_rate=1.0)),
}
"""Recipe name -> (method, settings at 32x32)."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to time."""

    recipes: tuple[str, ...] = tuple(CONFIGURATIONS)
    images_per_class: tuple[int, ...] = (10, 50)
    device: str = "cpu"
    threads: int = 2
    """Of PyTorch on the host, for both sides."""
    steps: int = 2
    """Steps of each side in a turn."""
    pairs: int = 5
    """Alternating pairs of turns; the first pair is a warm-up on top."""
    out: Path = Path(__file__).parent / "results" / "distillation_speed"
    """Written with the suffixes .json and .md."""


class PlainNet(nn.Module):
    """ConvNet of Conv3x3, norm, ReLU, average pooling, as one Sequential."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = IMAGE_SHAPE[0]
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
        """Return the embedding of `images`."""
        return self.features(images).flatten(1)


def plain_step(
    real: Tensor, images: Tensor, optimizer: torch.optim.Optimizer, recipe: Recipe, method: str
) -> float:
    """Update `images` (K * M, C, H, W) once, the published way, and return the loss."""
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

    per_class = real.shape[0] // NUM_CLASSES
    batches = []
    for k in range(NUM_CLASSES):
        chosen = torch.randperm(per_class, device=device)[: recipe.real_batch] + k * per_class
        count = len(images) // NUM_CLASSES
        seed = int(torch.randint(100_000, ()).item())
        batches.append(
            (
                plain_augment(real[chosen], seed),
                plain_augment(images[k * count : (k + 1) * count], seed),
            )
        )
    if recipe.norm == "batch":
        reals, synthetics = zip(*batches, strict=True)
        batches = [(torch.cat(reals), torch.cat(synthetics))]
    loss = torch.tensor(0.0, device=device)
    for real_batch, synthetic_batch in batches:
        num_classes = NUM_CLASSES // len(batches)
        real_maps, real_embedding = features(real_batch)
        maps, embedding = features(synthetic_batch)
        for real_map, synthetic_map in zip(real_maps[:-1], maps[:-1], strict=True):
            real_vector = plain_attention(real_map.detach(), 1, recipe.spatial_power)
            vector = plain_attention(synthetic_map, 1, recipe.spatial_power)
            loss = loss + plain_distance(real_vector, vector, num_classes)
            if method == "atom":
                real_vector = plain_attention(real_map.detach(), (2, 3), recipe.channel_power)
                vector = plain_attention(synthetic_map, (2, 3), recipe.channel_power)
                loss = loss + plain_distance(real_vector, vector, num_classes)
        distance = plain_distance(real_embedding.detach(), embedding, num_classes)
        loss = loss + recipe.embedding_weight * distance
    loss = recipe.loss_scale * loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def plain_attention(maps: Tensor, dims: int | tuple[int, int], power: float) -> Tensor:
    return F.normalize((torch.abs(maps) ** power).sum(dims).flatten(1), dim=1)


def plain_distance(real: Tensor, synthetic: Tensor, num_classes: int) -> Tensor:
    real_mean = real.view(num_classes, -1, real.shape[1]).mean(1)
    mean = synthetic.view(num_classes, -1, synthetic.shape[1]).mean(1)
    return torch.sum((real_mean - mean) ** 2)


def plain_augment(images: Tensor, seed: int) -> Tensor:
    """Apply one random operation of DSA, drawn from `seed`, to all images of a class."""
    torch.manual_seed(seed)
    device, (height, width) = images.device, images.shape[2:]
    operation = int(torch.randint(6, ()).item())
    u, v, w = torch.rand(3, device=device)
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


def plain_turn(real: Tensor, images: Tensor, recipe: Recipe, method: str) -> Callable[[], object]:
    """Return the plain loop's step."""
    images = images.clone().requires_grad_()
    optimizer = torch.optim.SGD([images], lr=1e-3, momentum=recipe.momentum)
    return lambda: plain_step(real, images, optimizer, recipe, method)


def our_turn(real: Tensor, images: Tensor, recipe: Recipe, method: str) -> Callable[[], object]:
    """Return a step of `atom_nas.distill`'s loop, on the same images."""
    matching = Matching(
        real=real,
        class_indices=list(torch.arange(len(real)).chunk(NUM_CLASSES)),
        describe=load_method(method).describe,
        recipe=recipe,
        seed=0,
    )
    net = FeatureNet(IMAGE_SHAPE, width=recipe.width, depth=recipe.depth, norm=recipe.norm)
    net = net.to(real.device).requires_grad_(False)
    state = [0, images.clone(), torch.zeros_like(images)]

    def step() -> None:
        _, gradient = matching.gradient(state[1], net, state[0])
        state[2].mul_(recipe.momentum).add_(gradient)
        state[1] = state[1] - 1e-3 * state[2]
        state[0] += 1

    return step


def seconds(step: Callable[[], object], count: int, device: torch.device) -> float:
    """Return the seconds a step takes, mean of `count`."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / count


def measure(recipe_name: str, images_per_class: int, options: Options) -> dict[str, object]:
    """Time one configuration and return its row of the table."""
    method, recipe = CONFIGURATIONS[recipe_name]
    device = torch.device(options.device)
    torch.manual_seed(0)
    real = torch.randn(NUM_CLASSES * IMAGES_PER_CLASS, *IMAGE_SHAPE, device=device)
    images = torch.randn(NUM_CLASSES * images_per_class, *IMAGE_SHAPE, device=device)
    plain, ours = (turn(real, images, recipe, method) for turn in (plain_turn, our_turn))
    pairs = [
        (seconds(plain, options.steps, device), seconds(ours, options.steps, device))
        for _ in range(1 + options.pairs)
    ][1:]
    ratios = sorted(a / b for a, b in pairs)
    return {
        "recipe": recipe_name,
        "method": method,
        "images_per_class": images_per_class,
        "plain_steps_per_second": 1 / statistics.median(a for a, _ in pairs),
        "our_steps_per_second": 1 / statistics.median(b for _, b in pairs),
        "ratio_median": statistics.median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "n": len(pairs),
        "steps_per_turn": options.steps,
        "load_after": os.getloadavg()[0],
    }


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    rows = []
    for recipe in options.recipes:
        for images_per_class in options.images_per_class:
            rows.append(measure(recipe, images_per_class, options))
            print(rows[-1], flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
