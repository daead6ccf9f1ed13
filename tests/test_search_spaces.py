"""The spaces that come with atom_nas: the contract of all, and what is particular to each."""

import dataclasses
import importlib
import itertools
import random

import optuna
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atom_nas import plugins
from atom_nas.testing.spaces import SpaceContract
from search_spaces import convnet, mobile

NAMES = sorted(plugins.available("search_spaces"))


class TestSpaces(SpaceContract):
    @pytest.fixture(params=NAMES)
    def name(self, request):
        return request.param


@pytest.fixture(params=NAMES)
def space(request):
    return importlib.import_module(f"search_spaces.{request.param}")


def draw(space, num, seed=0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.sample(study.ask()) for _ in range(num)]


def build_seeded(space, architecture, image_shape, num_classes=10):
    torch.manual_seed(0)
    return space.build(architecture, image_shape, num_classes)


def test_the_spaces_are_found():
    assert {"convnet", "mobile", "nas_bench_201"} <= set(NAMES)


def test_a_wrong_value_of_any_field_is_named_with_the_allowed_ones(space):
    (architecture,) = draw(space, 1)
    for field in dataclasses.fields(architecture):
        with pytest.raises(ValueError, match=rf"^{field.name} is 'tapioca'; allowed: .*, .*\.$"):
            dataclasses.replace(architecture, **{field.name: "tapioca"})


def test_trial_parameters_are_the_fields(space):
    for architecture in draw(space, 5):
        trial = optuna.trial.FixedTrial(dataclasses.asdict(architecture))
        assert space.sample(trial) == architecture
        assert trial.params == dataclasses.asdict(architecture)


@pytest.mark.parametrize("num_classes", [2, 100])
def test_a_training_step_lowers_the_loss(space, num_classes):
    for architecture in draw(space, 3, seed=1):
        network = build_seeded(space, architecture, (3, 16, 16), num_classes)
        images, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 0, 1])
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        losses = []
        for _ in range(2):
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[1] < losses[0]


def every_convnet():
    for values in itertools.product(*convnet.CHOICES.values()):
        yield convnet.Architecture(**dict(zip(convnet.CHOICES, values, strict=True)))


def test_convnet_has_exactly_720_architectures():
    assert len(set(every_convnet())) == 720


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 32, 32)])
def test_every_convnet_has_the_layers_that_it_names(image_shape):
    activations = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
    norms = {"batch": nn.BatchNorm2d, "layer": nn.LayerNorm, "instance": nn.GroupNorm}
    norms |= {"group": nn.GroupNorm, "none": ()}
    poolings = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d, "none": ()}
    for architecture in every_convnet():
        with torch.device("meta"):
            network = convnet.build(architecture, image_shape, 10)
            assert network(torch.empty(2, *image_shape)).shape == (2, 10)
        count = {
            "conv": sum(isinstance(layer, nn.Conv2d) for layer in network),
            "activation": sum(
                isinstance(layer, activations[architecture.activation]) for layer in network
            ),
            "norm": sum(isinstance(layer, norms[architecture.norm]) for layer in network),
            "pooling": sum(isinstance(layer, poolings[architecture.pooling]) for layer in network),
        }
        depth, side = architecture.depth, image_shape[-1]
        poolings_possible = min(depth, side.bit_length() - 1)
        is_one_pixel_normed = depth > poolings_possible and architecture.pooling != "none"
        num_norms = depth - (is_one_pixel_normed and architecture.norm == "instance")
        num_poolings = 0 if architecture.pooling == "none" else poolings_possible
        assert count == {
            "conv": depth,
            "activation": depth,
            "norm": 0 if architecture.norm == "none" else num_norms,
            "pooling": num_poolings,
        }
        assert network[-1].in_features == architecture.width * (side >> num_poolings) ** 2


def test_convnets_of_each_axis_train_on_one_pixel_maps():
    everyone = list(every_convnet())
    for architecture in random.Random(0).sample(everyone, 24):
        network = build_seeded(convnet, architecture, (1, 8, 8))
        network(torch.randn(2, 1, 8, 8)).square().sum().backward()
        assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())
        assert any(weight.grad.abs().sum() > 0 for weight in network[0].parameters())


def test_convnet_blocks_are_in_the_order_of_the_papers():
    architecture = convnet.Architecture(
        width=32, depth=2, activation="leaky_relu", norm="layer", pooling="avg"
    )
    network = convnet.build(architecture, (3, 32, 20), 10)
    block = [nn.Conv2d, nn.LayerNorm, nn.LeakyReLU, nn.AvgPool2d]
    assert [type(layer) for layer in network] == [*block, *block, nn.Flatten, nn.Linear]
    assert network[1].normalized_shape == (32, 32, 20)
    assert network[5].normalized_shape == (32, 16, 10)
    assert network[2].negative_slope == 0.01


@pytest.mark.parametrize(("norm", "num_groups"), [("instance", 64), ("group", 4)])
def test_convnet_group_counts(norm, num_groups):
    architecture = convnet.Architecture(
        width=64, depth=1, activation="relu", norm=norm, pooling="none"
    )
    layer = convnet.build(architecture, (3, 8, 8), 10)[1]
    assert (layer.num_groups, layer.affine) == (num_groups, True)


@pytest.mark.parametrize("name", mobile.CHOICES)
def test_every_choice_of_mobile_gives_another_network(name):
    (architecture,) = draw(mobile, 1)
    costs = set()
    for value in mobile.CHOICES[name]:
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            variant = dataclasses.replace(architecture, **{name: value})
            network = mobile.build(variant, (3, 32, 32), 10).eval()
            network(torch.empty(1, 3, 32, 32))
        costs.add((sum(p.numel() for p in network.parameters()), counter.get_total_flops()))
    assert len(costs) == len(mobile.CHOICES[name])


@pytest.mark.parametrize(
    ("image_shape", "last_map"),
    [
        ((1, 8, 8), (4, 4)),
        ((1, 28, 28), (7, 7)),
        ((3, 32, 32), (4, 4)),
        ((3, 64, 64), (4, 4)),
        ((3, 224, 224), (14, 14)),
        ((3, 9, 30), (5, 15)),
    ],
)
def test_mobile_halves_no_map_below_4(image_shape, last_map):
    (architecture,) = draw(mobile, 1)
    with torch.device("meta"):
        network = mobile.build(architecture, image_shape, 10).eval()
        pool = next(
            index for index, layer in enumerate(network) if isinstance(layer, nn.AdaptiveAvgPool2d)
        )
        assert network[:pool](torch.empty(1, *image_shape)).shape[2:] == last_map


def test_mobile_squeezes_only_when_asked():
    for architecture in draw(mobile, 8):
        network = mobile.build(architecture, (3, 32, 32), 10)
        gates = [layer for layer in network.modules() if isinstance(layer, nn.Hardsigmoid)]
        num_blocks = architecture.depth_1 + architecture.depth_2 + architecture.depth_3
        assert len(gates) == num_blocks * architecture.squeeze_excitation


@pytest.mark.parametrize(
    ("stride", "out_channels", "is_residual"), [(1, 8, True), (2, 8, False), (1, 16, False)]
)
def test_mobile_blocks_of_equal_shapes_are_residual(stride, out_channels, is_residual):
    block = mobile.InvertedBottleneck(
        8, out_channels, kernel=5, stride=stride, expansion=2, squeeze_excitation=True
    )
    nn.init.zeros_(block.layers[-1].weight)
    maps = torch.randn(2, 8, 6, 6)
    expected = maps if is_residual else torch.zeros(2, out_channels, 6 // stride, 6 // stride)
    assert torch.equal(block(maps), expected)
