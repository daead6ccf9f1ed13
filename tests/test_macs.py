"""The cost of a condensation, counted by hand."""

from dataclasses import replace

import pytest
from made_toy import make_images
from torch.utils.flop_counter import FlopCounterMode

from atom_nas.distillation.macs import count_distillation, count_embedding
from atom_nas.distillation.matching import Matching
from atom_nas.distillation.methods import atom
from atom_nas.distillation.recipes import Recipe
from atom_nas.training.convnet import FeatureNet

RECIPE = Recipe(steps=5, learning_rate=1.0, width=2, depth=1, real_batch=7)
LAYER = 9 * 2 * 16  # a 3x3 convolution from 1 channel to 2 on 4 x 4 pixels


def test_a_step_shows_real_images_forward_and_synthetic_ones_both_ways():
    macs = count_distillation(RECIPE, make_images(20, 0), images_per_class=3)
    assert macs == 5 * 2 * (7 + 2 * 3) * LAYER


def test_a_step_takes_what_torch_counts():
    """It counts convolutions, a multiply-add as two operations, and no norm or augmentation."""
    train = make_images(20, 0)
    recipe = replace(RECIPE, norm="batch")  # classes go through one pass, in this thread
    matching = Matching(
        real=train.pixels.float(),
        class_indices=train.class_indices(),
        describe=atom.describe,
        recipe=recipe,
        seed=0,
    )
    net = FeatureNet(train.image_shape, width=recipe.width, depth=recipe.depth, norm=recipe.norm)
    net.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        matching.gradient(matching.random_start(3), net, 0)
    assert counter.get_total_flops() == 2 * count_distillation(recipe, train, 3) / recipe.steps


def test_whitening_is_counted():
    plain, whitened = (
        count_distillation(replace(RECIPE, whiten=whiten), make_images(20, 0), 3)
        for whiten in (False, True)
    )
    assert whitened - plain == 2 * 20 * 16**2


@pytest.mark.parametrize("count", [20, 30_000])
def test_an_embedding_trains_on_twenty_thousand_images_or_all_once(count, monkeypatch):
    monkeypatch.setattr("atom_nas.distillation.macs.WIDTH", 2)
    images = make_images(20, 0)
    pixels = images.pixels.repeat(count // 20, 1, 1, 1)
    train = replace(images, pixels=pixels, labels=images.labels.repeat(count // 20))
    layers = (9 * 2 * 16) + (9 * 2 * 2 * 4) + (9 * 2 * 2 * 1) + 2 * 2
    assert count_embedding(train) == (3 * max(20_000, count) + count) * layers
