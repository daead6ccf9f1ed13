"""How far each operation of the augmentation reaches, over many draws."""

import math
from dataclasses import replace

import pytest
import torch
from made_augmentation import NONE, transforms_of

from atom_nas.data.augmentation import Operation, apply, sample_transforms


def test_brightness_and_contrast_ranges():
    shift = apply(transforms_of(Operation.COLOR, 2000), torch.zeros(2000, 1, 3, 2, 2)).mean(
        (1, 2, 3, 4)
    )
    assert -0.5 <= shift.min() < -0.49
    assert 0.49 < shift.max() <= 0.5
    stripes = torch.tensor([-1.0, 1.0]).expand(2000, 1, 3, 2, 2)  # gray: saturation does nothing
    contrast = apply(transforms_of(Operation.COLOR, 2000), stripes).std((1, 2, 3, 4), correction=0)
    assert 0.5 - 1e-6 <= contrast.min() < 0.51
    assert 1.49 < contrast.max() <= 1.5 + 1e-6


def test_saturation_range():
    augmentation = replace(NONE, saturation=2.0)
    transforms = sample_transforms(augmentation, 2000, torch.Generator().manual_seed(0))
    red = torch.tensor([2.0, -1.0, -1.0])[:, None, None].expand(2000, 1, 3, 2, 2)
    factor = apply(transforms, red)[:, 0, 0, 0, 0] / 2
    assert 0 <= factor.min() < 0.01
    assert 1.99 < factor.max() <= 2


def test_crop_reaches_every_shift_and_no_other():
    image = torch.zeros(1, 1, 1, 16, 16)
    image[..., 8, 8] = 1
    moved = apply(transforms_of(Operation.CROP, 2000), image.expand(2000, -1, -1, -1, -1))
    places = {divmod(place, 16) for place in moved.flatten(1).argmax(1).tolist()}
    assert places == {(y, x) for y in range(6, 11) for x in range(6, 11)}
    assert (moved.flatten(1).sum(1) == 1).all()


def test_cutout_boxes():
    cut = apply(transforms_of(Operation.CUTOUT, 2000), torch.ones(2000, 1, 1, 16, 16)) == 0
    rows, columns = cut.any(-1).sum(-1).flatten(), cut.any(-2).sum(-1).flatten()
    for length in (rows, columns):
        assert length.min() == 4  # a centre on the border
        assert length.max() == 8
    assert torch.equal(cut.flatten(1).sum(1), rows * columns)
    assert cut.any(0).all()


def test_half_of_the_flips_mirror():
    image = torch.tensor([0.0, 1.0]).expand(2000, 1, 1, 1, 2)
    mirrored = apply(transforms_of(Operation.FLIP, 2000), image)[..., 0].mean()
    assert abs(mirrored - 0.5) < 5 * 0.5 / math.sqrt(2000)


@pytest.mark.parametrize(
    ("operation", "entry", "low", "high"),
    [
        (Operation.SCALE, (0, 0), 1 / 1.2, 1.2),
        (Operation.SCALE, (1, 1), 1 / 1.2, 1.2),
        (Operation.SCALE, (0, 1), 0.0, 0.0),
        (Operation.ROTATE, (0, 0), math.cos(math.radians(15)), 1.0),
        (Operation.ROTATE, (0, 1), -math.sin(math.radians(15)), math.sin(math.radians(15))),
    ],
)
def test_scale_and_rotation_ranges(operation, entry, low, high):
    """The slopes of a ramp show the linear map: bilinear sampling is exact on ramps."""
    ramp = torch.arange(16, dtype=torch.float64) - 7.5
    ramps = torch.stack([ramp[:, None].expand(16, 16), ramp.expand(16, 16)])
    result = apply(transforms_of(operation, 2000), ramps.expand(2000, 1, 2, 16, 16))[:, 0, entry[0]]
    step = (1, 0) if entry[1] == 0 else (0, 1)
    slope = result[:, 7 + step[0], 7 + step[1]] - result[:, 7, 7]
    room = (high - low) / 100
    assert low - 1e-9 <= slope.min() <= low + room + 1e-9
    assert high - room - 1e-9 <= slope.max() <= high + 1e-9
