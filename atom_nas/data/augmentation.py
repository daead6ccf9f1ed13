"""Differentiable siamese augmentation (Zhao and Bilen, ICML 2021) of normalised or whitened images.

Nothing clamps and the fill is 0, the mean of the data set. A draw fixes one operation a class, so
that the real and the synthetic images of a class undergo the same transformation.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from atom_nas.data.transfer import move
from atom_nas.errors import UserError

Step = Callable[[Tensor], Tensor]
"""From images (K, B, C, H, W) of the classes that drew one kind of operation, to the same."""


class Operation(IntEnum):
    """One operation of the strategy; a class undergoes one of them at a time."""

    NONE = 0
    COLOR = 1
    CROP = 2
    CUTOUT = 3
    FLIP = 4
    SCALE = 5
    ROTATE = 6


_LARGEST = {"crop": 1.0, "cutout": 1.0, "flip": 1.0, "rotate": 180.0}


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The strength of every operation; the defaults are the published ones.

    0 (for `scale` 1) switches an operation off: it is then never drawn. Colour is brightness,
    saturation and contrast in succession, each of which can be off. u is uniform in [0, 1).
    """

    brightness: float = 1.0
    """x + (u - 1/2) brightness."""
    saturation: float = 2.0
    """m + (x - m) u saturation, m the mean over the channels of each pixel."""
    contrast: float = 0.5
    """m + (x - m) (u + contrast), m the mean of each image."""
    crop: float = 0.125
    """Whole-pixel translation by at most this share of each side, filled with 0."""
    cutout: float = 0.5
    """Sides of the box that is set to 0, as a share of the image's; its centre is uniform."""
    flip: float = 0.5
    """Probability that a drawn flip mirrors left and right; 0 where mirroring changes the class."""
    scale: float = 1.2
    """Height and width are each scaled by a factor that is uniform in [1 / scale, scale]."""
    rotate: float = 15.0
    """Largest angle of the rotation about the centre, in degrees, either way."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            off, largest = float(name == "scale"), _LARGEST.get(name, math.inf)
            if not (math.isfinite(value) and off <= value <= largest):
                raise UserError(
                    f"augmentation strength {name} is {value:g}; give a finite number from "
                    f"{off:g} (switches it off) to {largest:g}."
                )

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations that can be drawn, uniformly."""
        strengths = {
            Operation.COLOR: max(self.brightness, self.saturation, self.contrast),
            Operation.CROP: self.crop,
            Operation.CUTOUT: self.cutout,
            Operation.FLIP: self.flip,
            Operation.SCALE: self.scale - 1,
            Operation.ROTATE: self.rotate,
        }
        return tuple(operation for operation, strength in strengths.items() if strength > 0)


@dataclass(frozen=True, kw_only=True)
class Transforms:
    """What happens to each class, independent of the image size; `transforms[classes]` selects."""

    augmentation: Augmentation
    operation: Tensor
    """(K,) int64 on the CPU: the Operation of each class."""
    uniform: Tensor
    """(K, 3) float64 in [0, 1) on the CPU: u of (brightness, saturation, contrast), of (y, x) for
    crop, cutout and scale, of (flip or angle)."""

    def __getitem__(self, classes: Tensor | slice) -> Self:
        return type(self)(
            augmentation=self.augmentation,
            operation=self.operation[classes],
            uniform=self.uniform[classes],
        )


def sample_transforms(
    augmentation: Augmentation, num_classes: int, generator: torch.Generator
) -> Transforms:
    """Draw for each class one operation of the strategy and its parameters.

    `generator` is on the CPU and alone decides the outcome.
    """
    choices = torch.tensor(augmentation.operations or (Operation.NONE,))
    return Transforms(
        augmentation=augmentation,
        operation=choices[torch.randint(len(choices), (num_classes,), generator=generator)],
        uniform=torch.rand(num_classes, 3, generator=generator, dtype=torch.float64),
    )


def apply(transforms: Transforms, images: Tensor) -> Tensor:
    """Transform all images of a class alike: `images` and the result are (K, B, C, H, W).

    `images` are of any floating type, on any device; the result is differentiable for them. Each
    kind of operation runs once, on all the classes that drew it.
    """
    return prepare(transforms, images)(images)


def prepare(transforms: Transforms, like: Tensor) -> Callable[[Tensor], Tensor]:
    """Return `apply` for many sets of images of the size, type and device of `like` (..., H, W).

    All that depends on the draw is worked out once, most of it on the CPU, from where it goes to
    the device by one `move`.
    """
    if not transforms.augmentation.operations:
        return lambda images: images
    recolored = transforms.operation == Operation.COLOR
    cut = transforms.operation == Operation.CUTOUT
    drawn = [
        (members.nonzero().flatten(), work_out, start)
        for members, work_out, start in (
            (recolored, _colors, _start_recoloring),
            (cut, _boxes, _start_cutting),
            (~(recolored | cut), _source_map, _start_resampling),
        )
        if members.any()
    ]
    groups, works, starts = zip(*drawn, strict=True)
    parameters = [work(transforms[group], like) for work, group in zip(works, groups, strict=True)]
    position = torch.cat(groups).argsort()
    position, *moved = move([position, *groups, *parameters], like.device)
    groups, parameters = tuple(moved[: len(drawn)]), moved[len(drawn) :]
    steps = [start(each, like) for start, each in zip(starts, parameters, strict=True)]

    def run(images: Tensor) -> Tensor:
        assert images.ndim == 5 and len(images) == len(position), images.shape
        parts = [
            step(images.index_select(0, group)) for step, group in zip(steps, groups, strict=True)
        ]
        return torch.cat(parts).index_select(0, position)

    return run


def augment_batch(augmentation: Augmentation, images: Tensor, generator: torch.Generator) -> Tensor:
    """Transform every image of `images` (B, C, H, W) by an operation and parameters of its own.

    The papers' evaluation draws one operation a batch and parameters for each image; drawing the
    operation for each image too has the same distribution for an image, and less variance.
    """
    return apply(sample_transforms(augmentation, len(images), generator), images[:, None])[:, 0]


def _colors(transforms: Transforms, like: Tensor) -> Tensor:
    """Return (3, K, 1, 1, 1, 1): what is added, and the factors about the pixel and the image."""
    strength = transforms.augmentation
    brightness, saturation, contrast = transforms.uniform.unbind(1)
    parameters = torch.stack(
        [
            (brightness - 0.5) * strength.brightness,
            saturation * strength.saturation
            if strength.saturation
            else torch.ones_like(saturation),
            contrast + strength.contrast if strength.contrast else torch.ones_like(contrast),
        ]
    )
    return parameters.to(like.dtype)[..., None, None, None, None]


def _start_recoloring(parameters: Tensor, like: Tensor) -> Step:
    """Shift the brightness, then scale about the pixel's mean, then about the image's."""
    shift, saturation, contrast = parameters

    def step(images: Tensor) -> Tensor:
        images = images + shift
        images = torch.lerp(images.mean(2, keepdim=True), images, saturation)
        return torch.lerp(images.mean((2, 3, 4), keepdim=True), images, contrast)

    return step


def _boxes(transforms: Transforms, like: Tensor) -> Tensor:
    """Return (K, 1, 1, H, W), true within a box, which the image's edges cut off."""
    inside = []  # (K, H) and (K, W)
    for side, uniform in zip(like.shape[-2:], transforms.uniform.unbind(1), strict=False):
        length = int(side * transforms.augmentation.cutout + 0.5)
        centre = (uniform * (side + 1 - length % 2)).long()
        offset = torch.arange(side) - (centre - length // 2)[:, None]
        inside.append((offset >= 0) & (offset < length))
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None, None]


def _start_cutting(box: Tensor, like: Tensor) -> Step:
    """Set a box to 0, the same for all images of a class."""
    return lambda images: images.masked_fill(box, 0)


def _source_map(transforms: Transforms, like: Tensor) -> Tensor:
    """Return A (K, 2, 3): the pixel (y, x) that lands on (i, j) is A (i - cy, j - cx, 1).

    (cy, cx) = ((H - 1) / 2, (W - 1) / 2) is the centre of the image, so that A is the rotation
    [[cos, -sin], [sin, cos]] with its rows scaled (and the second mirrored), beside the centre
    plus the crop's offset. Crops and flips come out as exact whole pixels. A is float32 at least.
    """
    strength, operation = transforms.augmentation, transforms.operation[:, None]
    first, pair = transforms.uniform[:, :1], transforms.uniform[:, :2]  # (K, 1), (K, 2)
    sides = torch.tensor(like.shape[-2:])  # (y, x), as the last axis of all that follows
    reach = (sides * strength.crop + 0.5).floor()
    crop = torch.where(operation == Operation.CROP, (pair * (2 * reach + 1)).floor() - reach, 0)
    smallest = 1 / strength.scale
    factor = smallest + pair * (strength.scale - smallest)
    factor = torch.where(operation == Operation.SCALE, factor, 1)
    mirrored = (operation == Operation.FLIP) & (first < strength.flip)
    mirror = torch.where(mirrored, torch.tensor([1, -1]), 1)
    angle = torch.where(operation == Operation.ROTATE, 2 * first - 1, 0) * math.radians(
        strength.rotate
    )
    linear = torch.cat([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    linear = linear * (factor * mirror)[:, :, None]
    source = torch.cat([linear, (crop + (sides - 1) / 2)[:, :, None]], 2)
    return source.to(torch.promote_types(like.dtype, torch.float32))


def _start_resampling(source_map: Tensor, like: Tensor) -> Step:
    """Sample bilinearly, 0 outside, with one grid for all images and channels of a class.

    Pixels are the rows of a table, of which embedding_bag adds four by their weights: torch has a
    deterministic gradient for it on a GPU, and none for grid_sample. Class k, row y and column x
    stand in row (k (H + 3) + y + 1) (W + 3) + x + 1, for y from -1 to H + 1 and x likewise: a frame
    of zeros, into which all that lies outside is clamped, and one more for the corner after it.
    """
    num_classes, (height, width) = len(source_map), like.shape[-2:]
    device, dtype = source_map.device, source_map.dtype
    by_row, by_column, offset = source_map[..., None, None].unbind(2)  # (K, 2, 1, 1) each
    rows = torch.arange(height, device=device, dtype=dtype)[:, None] - (height - 1) / 2
    columns = torch.arange(width, device=device, dtype=dtype) - (width - 1) / 2
    # (K, 2, H, W): (y, x) of the source of each pixel, and the corner above and left of it.
    source = (by_row * rows + by_column * columns + offset).clamp(min=-1)
    y, x = source.unbind(1)
    source = torch.stack([y.clamp(max=height), x.clamp(max=width)], 1)
    corner = source.floor()
    share_y, share_x = (source - corner).unbind(1)  # (K, H, W)
    weights = (  # (K, H, W, 2, 2): of the corner, its right, lower and lower right neighbours
        torch.stack([1 - share_y, share_y], -1)[..., :, None]
        * (torch.stack([1 - share_x, share_x], -1)[..., None, :])
    )
    weights = weights.view(-1, 4).to(like.dtype)
    stride = width + 3
    y, x = (corner.int() + 1).unbind(1)
    first_row = torch.arange(num_classes, device=device, dtype=torch.int32) * (height + 3)
    index = (first_row[:, None, None] + y) * stride + x  # (K, H, W), of the corner's row in table
    pair = torch.arange(2, device=device, dtype=torch.int32)
    corners = (pair[:, None] * stride + pair).flatten()
    index = (index[..., None] + corners).view(-1, 4)

    def step(images: Tensor) -> Tensor:
        batch, channels = images.shape[1:3]
        table = F.pad(images, (1, 2, 1, 2)).permute(0, 3, 4, 1, 2).reshape(-1, batch * channels)
        sampled = F.embedding_bag(index, table, mode="sum", per_sample_weights=weights)
        return sampled.view(num_classes, height, width, batch, channels).permute(0, 3, 4, 1, 2)

    return step
