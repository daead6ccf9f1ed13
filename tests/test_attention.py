"""Attention and the matching loss, against loops written from the equations."""

import math

import pytest
import torch

from atom_nas.distillation.attention import (
    channel_attention,
    class_means,
    matching_loss,
    spatial_attention,
)
from atom_nas.distillation.methods import atom, channel, datadam, dm
from atom_nas.distillation.recipes import Recipe

NUM_CLASSES, PER_CLASS = 3, 2
POWERS = (1, 2, 4)


def make_maps(*shape, seed=0):
    """Return features in float64 of both signs, away from the kink of |x| at 0."""
    generator = torch.Generator().manual_seed(seed)
    size = 0.3 + torch.rand(shape, generator=generator, dtype=torch.float64)
    return size * torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0)


def make_layers(seed, per_class=PER_CLASS):
    batch = NUM_CLASSES * per_class
    maps = [make_maps(batch, 5, 4, 3, seed=seed), make_maps(batch, 4, 2, 2, seed=seed + 1)]
    return maps, make_maps(batch, 6, seed=seed + 2)


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def spatial_by_loop(sample, power):
    """A_s[h, w] = sum_c |f[c, h, w]|^p, divided by its length; `sample` is nested lists."""
    channels, height, width = len(sample), len(sample[0]), len(sample[0][0])
    return unit(
        [
            sum(abs(sample[c][h][w]) ** power for c in range(channels))
            for h in range(height)
            for w in range(width)
        ]
    )


def channel_by_loop(sample, power):
    """A_c[c] = sum_{h, w} |f[c, h, w]|^p, divided by its length."""
    return unit([sum(abs(x) ** power for row in plane for x in row) for plane in sample])


def mean_by_loop(vectors):
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def squared_distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def of_class(batch, k, per_class):
    return batch[k * per_class : (k + 1) * per_class].tolist()


def atom_loss_by_loop(real, synthetic, recipe, *, spatial=True, channels=True):
    """L_ATOM + lambda * L_MMD, class by class, layer by layer, image by image."""
    (real_maps, real_embedding), (maps, embedding) = real, synthetic
    sizes = len(real_embedding) // NUM_CLASSES, len(embedding) // NUM_CLASSES
    attentions = []
    if spatial:
        attentions.append((spatial_by_loop, recipe.spatial_power))
    if channels:
        attentions.append((channel_by_loop, recipe.channel_power))
    loss = 0.0
    for k in range(NUM_CLASSES):
        for real_layer, layer in zip(real_maps, maps, strict=True):
            for attention, power in attentions:
                means = [
                    mean_by_loop([attention(f, power) for f in of_class(features, k, size)])
                    for features, size in zip((real_layer, layer), sizes, strict=True)
                ]
                loss += squared_distance(*means)
        loss += recipe.embedding_weight * squared_distance(
            mean_by_loop(of_class(real_embedding, k, sizes[0])),
            mean_by_loop(of_class(embedding, k, sizes[1])),
        )
    return loss


def loss_of(method, real, synthetic, recipe):
    return matching_loss(
        *(
            [class_means(d, NUM_CLASSES) for d in method.describe(*layers, recipe)]
            for layers in (real, synthetic)
        )
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("power", [*POWERS, 3, 0.5])
@pytest.mark.parametrize(
    ("attention", "by_loop"),
    [(spatial_attention, spatial_by_loop), (channel_attention, channel_by_loop)],
)
def test_attention_equals_the_loop(attention, by_loop, power, dtype):
    maps = make_maps(3, 5, 4, 2)
    rows = [by_loop(sample, power) for sample in maps.tolist()]
    expected = torch.tensor(rows, dtype=torch.float64)
    got = attention(maps.to(dtype), power)
    assert got.dtype == dtype
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(got.double(), expected, atol=tolerance, rtol=tolerance * 10)


def test_shapes_and_unit_length():
    maps = make_maps(6, 5, 4, 3)
    for attention, size in ((spatial_attention, 12), (channel_attention, 5)):
        result = attention(maps, 4)
        assert result.shape == (6, size)
        torch.testing.assert_close(result.norm(dim=1), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_a_map_of_zeros_gives_zeros_and_a_finite_gradient(attention):
    maps = torch.zeros(2, 3, 4, 4, requires_grad=True)
    result = attention(maps, 4)
    result.sum().backward()
    assert result.abs().max() == 0
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_do_not_overflow(attention, dtype):
    maps = torch.tensor([20.0, 30.0, -40.0, 10.0], dtype=dtype).view(1, 2, 2, 1)
    result = attention(maps, 4)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, attention(maps.float(), 4))


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_gradient_of_attention(attention, power):
    maps = make_maps(2, 3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: attention(f, power), maps)


@pytest.mark.parametrize("power", POWERS)
def test_gradient_of_the_whole_loss_through_class_means(power):
    recipe = Recipe(
        steps=1, learning_rate=1.0, spatial_power=power, channel_power=power, embedding_weight=0.3
    )
    real = make_layers(seed=10)
    (first, second), embedding = make_layers(seed=20)

    def loss(first, second, embedding):
        return loss_of(atom, real, ([first, second], embedding), recipe)

    inputs = tuple(tensor.requires_grad_() for tensor in (first, second, embedding))
    assert torch.autograd.gradcheck(loss, inputs)


def test_class_means_average_each_run_of_rows():
    descriptors = torch.tensor([[1.0, 2], [3, 4], [10, 20], [30, 40]])
    torch.testing.assert_close(class_means(descriptors, 2), torch.tensor([[2.0, 3], [20, 30]]))


def test_matching_loss_by_hand():
    real = [torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[5.0], [1.0]])]
    synthetic = [torch.tensor([[0.0, 4.0], [1.0, 1.0]]), torch.tensor([[2.0], [1.0]])]
    assert matching_loss(real, synthetic).item() == (1 + 4) + (1 + 1) + 9


def test_matching_loss_of_different_numbers_of_descriptors_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        matching_loss([torch.ones(2, 1)] * 2, [torch.ones(2, 1)])


@pytest.mark.parametrize("weight", [0.01, 0.7, 0.0])
@pytest.mark.parametrize(("spatial_power", "channel_power"), [(4, 4), (1, 2), (2, 1)])
def test_atom_loss_equals_the_loop(weight, spatial_power, channel_power):
    recipe = Recipe(
        steps=1,
        learning_rate=1.0,
        spatial_power=spatial_power,
        channel_power=channel_power,
        embedding_weight=weight,
    )
    real, synthetic = make_layers(seed=1, per_class=4), make_layers(seed=5)
    expected = atom_loss_by_loop(real, synthetic, recipe)
    assert loss_of(atom, real, synthetic, recipe).item() == pytest.approx(expected, rel=1e-6)


def test_halves_of_atom_equal_their_loops():
    recipe = Recipe(
        steps=1, learning_rate=1.0, spatial_power=2, channel_power=4, embedding_weight=0.2
    )
    real, synthetic = make_layers(seed=1), make_layers(seed=5)
    expected = {
        datadam: atom_loss_by_loop(real, synthetic, recipe, channels=False),
        channel: atom_loss_by_loop(real, synthetic, recipe, spatial=False),
        dm: atom_loss_by_loop(real, synthetic, recipe, spatial=False, channels=False),
    }
    for method, value in expected.items():
        assert loss_of(method, real, synthetic, recipe).item() == pytest.approx(value, rel=1e-6)


def test_atom_describes_both_attentions_of_every_layer_and_the_embedding():
    recipe = Recipe(steps=1, learning_rate=1.0, embedding_weight=0.25)
    maps, embedding = make_layers(seed=3)
    descriptors = atom.describe(maps, embedding, recipe)
    wanted = sorted([4 * 3, 2 * 2, 5, 4, 6])
    assert sorted(d.shape[1] for d in descriptors) == wanted
    (last,) = (d for d in descriptors if d.shape[1] == 6)
    torch.testing.assert_close(last.double(), 0.5 * embedding, rtol=1e-6, atol=1e-6)
