"""Recipes: the published settings, and what is refused."""

from dataclasses import replace

import pytest
import torch

from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Dataset
from atom_nas.distillation.recipes import RECIPES, Recipe, adjust, paper, released
from atom_nas.errors import UserError


def dataset(side=8, flip=True, whiten=False):
    images = ImageSet(
        pixels=torch.zeros(4, 1, side, side, dtype=torch.uint8),
        labels=torch.tensor([0, 0, 1, 1]),
        class_names=("a", "b"),
    )
    return Dataset(
        name="made", train=images, validation=images, test=images, flip=flip, whiten=whiten
    )


def test_names():
    assert dict(RECIPES) == {"paper": paper, "released": released}


@pytest.mark.parametrize(("images_per_class", "rate"), [(1, 1.0), (50, 1.0), (51, 10.0)])
def test_paper_settings_at_32_pixels(images_per_class, rate):
    recipe = paper(dataset(side=32), images_per_class)
    assert (recipe.steps, recipe.momentum, recipe.real_batch) == (8_000, 0.5, 64)
    assert (recipe.spatial_power, recipe.channel_power) == (4, 4)
    assert recipe.embedding_weight == 0.01
    assert (recipe.width, recipe.depth, recipe.norm) == (128, 3, "instance")
    assert recipe.learning_rate == rate


def test_paper_settings_at_64_pixels():
    recipe = paper(dataset(side=64), 10)
    assert (recipe.depth, recipe.embedding_weight) == (4, 0.02)


@pytest.mark.parametrize("make", [paper, released])
@pytest.mark.parametrize(("flip", "whiten"), [(True, False), (False, True)])
def test_mirroring_and_whitening_are_the_data_sets_choice(make, flip, whiten):
    recipe = make(dataset(flip=flip, whiten=whiten), 1)
    assert (recipe.flip, recipe.whiten) == (flip, whiten)


def test_released_settings_depart_where_the_code_does():
    recipe = released(dataset(side=32), 10)
    assert (recipe.steps, recipe.norm, recipe.loss_scale) == (20_000, "batch", 100)
    assert (recipe.spatial_power, recipe.channel_power) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"learning_rate": -1.0},
        {"real_batch": 0},
        {"loss_scale": 0.0},
        {"width": 0},
        {"depth": -1},
        {"spatial_power": 0},
        {"channel_power": -2},
        {"momentum": 1.0},
        {"embedding_weight": -0.1},
        {"norm": "layer"},
    ],
)
def test_impossible_settings_are_refused(change):
    good = Recipe(steps=1, learning_rate=1.0)
    (name,) = change
    with pytest.raises(ValueError, match=name):
        replace(good, **change)


def test_settings_are_adjusted_by_name():
    recipe = Recipe(steps=5, learning_rate=1.0)
    changed = adjust(recipe, "loss_scale=10, norm=batch,width=64,whiten=true")
    assert changed == replace(recipe, loss_scale=10.0, norm="batch", width=64, whiten=True)
    assert adjust(recipe, "") == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("los_scale=10", "Did you mean 'loss_scale'"),
        ("width=wide", "width in --adjust is 'wide'; give a whole number"),
        ("whiten=yes", "whiten in --adjust is 'yes'; give true or false"),
        ("loss_scale=-1", "loss_scale is -1.0; it must be positive"),
        ("norm=layer", "allowed: instance, batch, none"),
        ("width", "'width' in --adjust has no value"),
    ],
)
def test_what_cannot_be_adjusted_is_said(text, message):
    with pytest.raises(UserError, match=message):
        adjust(Recipe(steps=5, learning_rate=1.0), text)
