"""The matching ConvNet, against functional PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from atom_nas.training.convnet import NORMS, ConvNet, FeatureNet


def fresh(image_shape=(3, 8, 8), *, width=6, depth=3, norm="instance", seed=0):
    net = FeatureNet(image_shape, width=width, depth=depth, norm=norm)
    net.reset(torch.Generator().manual_seed(seed))
    return net


def convs_of(net):
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


def normalise(x, norm):
    if norm == "instance":
        return F.instance_norm(x)
    if norm == "batch":
        return F.batch_norm(x, None, None, training=True)
    return x


@pytest.mark.parametrize("norm", NORMS)
def test_maps_and_embedding_equal_the_plain_formula(norm):
    net = fresh(norm=norm).double()
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    expected, x = [], images
    for conv in convs_of(net):
        x = F.relu(normalise(F.conv2d(x, conv.weight, conv.bias, padding=1), norm))
        expected.append(x)
        x = F.avg_pool2d(x, 2)
    maps, embedding = net(images)
    assert len(maps) == 2
    for got, wanted in zip(maps, expected[:-1], strict=True):
        torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(embedding, x.flatten(1))
    assert maps[0].dtype == embedding.dtype == torch.float64


@pytest.mark.parametrize(
    ("image_shape", "depth"), [((1, 28, 28), 3), ((3, 3, 9), 4), ((1, 1, 1), 2), ((3, 64, 64), 4)]
)
def test_shapes_at_every_layer_but_the_last(image_shape, depth):
    net = fresh(image_shape, width=4, depth=depth, norm="none")
    maps, embedding = net(torch.randn(2, *image_shape))
    height, width = image_shape[1:]
    assert len(maps) == depth - 1
    for layer in maps:
        assert layer.shape == (2, 4, height, width)
        if min(height, width) >= 2:
            height, width = height // 2, width // 2
    assert embedding.shape == (2, net.num_features)


def test_weights_depend_on_the_generator_alone():
    first, again, other = (fresh(seed=seed) for seed in (3, 3, 4))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(first(images)[1], again(images)[1])
    assert not torch.equal(first(images)[1], other(images)[1])


def test_reset_draws_from_pytorchs_own_bounds():
    net = fresh(width=32)
    for conv in convs_of(net):
        bound = (conv.in_channels * 9) ** -0.5
        for parameter in (conv.weight, conv.bias):
            assert parameter.abs().max() <= bound
        assert conv.weight.abs().max() > 0.9 * bound
        assert conv.weight.mean().abs() < 0.1 * bound


def test_reset_changes_every_convolution_and_leaves_the_global_generator():
    net = fresh(seed=0)
    before = [conv.weight.clone() for conv in convs_of(net)]
    state = torch.get_rng_state()
    net.reset(torch.Generator().manual_seed(1))
    assert torch.equal(state, torch.get_rng_state())
    assert not any(
        torch.equal(old, conv.weight) for old, conv in zip(before, convs_of(net), strict=True)
    )


def test_images_of_a_batch_do_not_mix_under_instance_norm():
    net, images = fresh().double(), torch.randn(5, 3, 8, 8, dtype=torch.float64)
    together = net(images)[1]
    alone = torch.cat([net(image[None])[1] for image in images])
    torch.testing.assert_close(together, alone)


def test_convnet_classifies_the_embedding():
    net = ConvNet((1, 8, 8), 7, width=5, depth=2)
    images = torch.randn(3, 1, 8, 8)
    logits = net(images)
    assert logits.shape == (3, 7)
    torch.testing.assert_close(logits, net.classifier(net.features(images)[1]))
