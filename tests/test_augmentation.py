"""Augmentation of condensed images: each operation as it is defined, its draws and gradients."""

import math
from dataclasses import fields, replace

import pytest
import torch
from made_augmentation import NONE, OPERATIONS, PUBLISHED, SIZES, only, random_images, transforms_of
from torch import Tensor
from torch.nn import functional as F

from atom_nas.data.augmentation import (
    Augmentation,
    Operation,
    apply,
    augment_batch,
    sample_transforms,
)
from atom_nas.errors import UserError


def reference(operation: Operation, u: list[float], image: Tensor) -> Tensor:
    """One image (C, H, W) at the published strengths, pixel by pixel from the definitions."""
    channels, height, width = image.shape
    out = torch.zeros_like(image)
    pixels = [(y, x) for y in range(height) for x in range(width)]
    match operation:
        case Operation.COLOR:
            out = image + (u[0] - 0.5) * 1.0
            for y, x in pixels:
                mean = sum(out[c, y, x].item() for c in range(channels)) / channels
                for c in range(channels):
                    out[c, y, x] = (out[c, y, x] - mean) * (u[1] * 2.0) + mean
            mean = sum(out.flatten().tolist()) / out.numel()
            return (out - mean) * (u[2] + 0.5) + mean
        case Operation.CROP:
            reach = [math.floor(side * 0.125 + 0.5) for side in (height, width)]
            shift = [math.floor(v * (2 * r + 1)) - r for v, r in zip(u, reach, strict=False)]
            for y, x in pixels:
                if 0 <= y + shift[0] < height and 0 <= x + shift[1] < width:
                    out[:, y, x] = image[:, y + shift[0], x + shift[1]]
        case Operation.CUTOUT:
            out = image.clone()
            lengths = [int(side * 0.5 + 0.5) for side in (height, width)]
            start = [
                math.floor(v * (side + 1 - length % 2)) - length // 2
                for v, side, length in zip(u, (height, width), lengths, strict=False)
            ]
            for y, x in pixels:
                if 0 <= y - start[0] < lengths[0] and 0 <= x - start[1] < lengths[1]:
                    out[:, y, x] = 0
        case Operation.FLIP:
            for y, x in pixels:
                out[:, y, x] = image[:, y, width - 1 - x if u[0] < 0.5 else x]
        case Operation.SCALE:
            factor_y, factor_x = (1 / 1.2 + v * (1.2 - 1 / 1.2) for v in u[:2])
            return sampled(image, [[factor_x, 0, 0], [0, factor_y, 0]])
        case Operation.ROTATE:
            angle = (2 * u[0] - 1) * 15 * math.pi / 180
            cosine, sine, aspect = math.cos(angle), math.sin(angle), height / width
            return sampled(image, [[cosine, sine * aspect, 0], [-sine / aspect, cosine, 0]])
    return out


def sampled(image: Tensor, theta: list[list[float]]) -> Tensor:
    """The affine map `theta` of coordinates in [-1, 1], by torch's own sampler."""
    matrix = torch.tensor(theta, dtype=image.dtype)[None]
    grid = F.affine_grid(matrix, [1, *image.shape], align_corners=False)
    return F.grid_sample(image[None], grid, padding_mode="zeros", align_corners=False)[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_image_matches_the_definition(operation, size):
    images = random_images(6, 2, 3, *size)
    transforms = transforms_of(operation, 6)
    expected = torch.stack(
        [
            torch.stack([reference(operation, u, image) for image in batch])
            for u, batch in zip(transforms.uniform.tolist(), images, strict=True)
        ]
    )
    exact = operation in (Operation.CROP, Operation.CUTOUT, Operation.FLIP)
    tolerance = 0 if exact else 1e-12
    torch.testing.assert_close(apply(transforms, images), expected, rtol=tolerance, atol=tolerance)


def test_a_mixed_draw_gives_each_class_its_own_operation():
    num_classes = 30
    transforms = sample_transforms(PUBLISHED, num_classes, torch.Generator().manual_seed(3))
    assert set(transforms.operation.tolist()) == set(OPERATIONS)
    images = random_images(num_classes, 2, 3, 8, 8)
    result = apply(transforms, images)
    for k in range(num_classes):
        operation, u = Operation(transforms.operation[k].item()), transforms.uniform[k].tolist()
        expected = torch.stack([reference(operation, u, image) for image in images[k]])
        torch.testing.assert_close(result[k], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operation", [None, *OPERATIONS])
def test_gradcheck(operation):
    transforms = sample_transforms(PUBLISHED, 8, torch.Generator().manual_seed(3))
    transforms = transforms_of(operation, 2) if operation else transforms
    images = random_images(len(transforms.operation), 2, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: apply(transforms, x), images)


def test_real_and_synthetic_of_a_class_are_transformed_alike():
    transforms = sample_transforms(PUBLISHED, 20, torch.Generator().manual_seed(0))
    picture = random_images(1, 1, 3, 8, 8)
    real = apply(transforms, picture.expand(20, 5, -1, -1, -1))
    synthetic = apply(transforms, picture.expand(20, 1, -1, -1, -1))
    torch.testing.assert_close(real, synthetic.expand_as(real))
    colored = (transforms.operation == Operation.COLOR).nonzero().flatten()
    assert len(colored) > 1
    assert not torch.allclose(synthetic[colored[0]], synthetic[colored[1]])


def test_a_run_of_classes_is_transformed_as_in_the_whole():
    transforms = sample_transforms(PUBLISHED, 12, torch.Generator().manual_seed(0))
    images = random_images(12, 2, 3, 8, 8)
    part = torch.arange(4, 9)
    torch.testing.assert_close(
        apply(transforms[part], images[part]), apply(transforms, images)[part]
    )


def test_strength_zero_is_identity():
    images = random_images(9, 2, 3, 8, 8)
    transforms = sample_transforms(NONE, 9, torch.Generator().manual_seed(0))
    assert (transforms.operation == Operation.NONE).all()
    assert torch.equal(apply(transforms, images), images)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_switched_off_operation_is_identity_even_if_forced(operation):
    images = random_images(5, 2, 3, 8, 8)
    published = transforms_of(operation, 5)
    others = only(next(other for other in OPERATIONS if other != operation))
    forced = replace(published, augmentation=others)
    torch.testing.assert_close(apply(forced, images), images, rtol=0, atol=1e-12)


def test_operations_that_are_off_are_never_drawn():
    transforms = sample_transforms(
        Augmentation(flip=0.0, scale=1.0), 600, torch.Generator().manual_seed(0)
    )
    drawn = {Operation(index) for index in transforms.operation.tolist()}
    assert drawn == set(OPERATIONS) - {Operation.FLIP, Operation.SCALE}


def test_operations_are_drawn_uniformly():
    transforms = sample_transforms(PUBLISHED, 6000, torch.Generator().manual_seed(0))
    counts = torch.bincount(transforms.operation, minlength=7)
    assert counts[Operation.NONE] == 0
    # standard deviation of a count: sqrt(6000 / 6 * 5 / 6) = 29
    assert (counts[1:] - 1000).abs().max() < 5 * 29


def test_the_generator_alone_decides():
    images = random_images(10, 2, 3, 8, 8)

    def result(seed: int) -> Tensor:
        torch.manual_seed(seed + 100)
        return apply(sample_transforms(PUBLISHED, 10, torch.Generator().manual_seed(seed)), images)

    before = torch.get_rng_state()
    sample_transforms(PUBLISHED, 10, torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(result(5), result(5))
    assert not torch.equal(result(5), result(6))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_dtype_are_kept(dtype, channels):
    transforms = sample_transforms(PUBLISHED, 30, torch.Generator().manual_seed(3))
    exact = random_images(30, 2, channels, 33, 64)
    images = exact.to(dtype).requires_grad_()
    result = apply(transforms, images)
    assert (result.shape, result.dtype) == (images.shape, dtype)
    assert result.is_contiguous()
    eps = torch.finfo(dtype).eps
    expected = apply(transforms, images.detach().double())
    torch.testing.assert_close(result.double(), expected, rtol=4 * eps, atol=max(16 * eps, 1e-4))
    result.sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()


def test_nothing_is_clamped():
    images = 1e3 * random_images(30, 1, 3, 8, 8)
    result = apply(sample_transforms(PUBLISHED, 30, torch.Generator().manual_seed(0)), images)
    assert result.min() < -1e3
    assert result.max() > 1e3


def test_augment_batch_draws_for_every_image():
    image = random_images(1, 3, 8, 8)
    result = augment_batch(
        PUBLISHED, image.expand(40, -1, -1, -1), torch.Generator().manual_seed(0)
    )
    transforms = sample_transforms(PUBLISHED, 40, torch.Generator().manual_seed(0))
    assert torch.equal(result, apply(transforms, image.expand(40, 1, -1, -1, -1))[:, 0])
    assert len(torch.unique(result.flatten(1), dim=0)) > 20


@pytest.mark.parametrize("name", [field.name for field in fields(Augmentation)])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_impossible_strengths_are_refused(name, value):
    with pytest.raises(UserError, match=name):
        Augmentation(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("crop", 1.1), ("cutout", 1.1), ("flip", 1.1), ("scale", 0.9), ("rotate", 181.0)],
)
def test_strengths_beyond_their_range_are_refused(name, value):
    with pytest.raises(UserError, match=name):
        Augmentation(**{name: value})
