"""Synflow by hand and by loops: its terms, the norms that it passes by, the range of floats."""

import copy
import math

import numpy as np
import pytest
import torch
from made_nets import batch, cell, linear
from torch import nn

from atom_nas.audit.zero_cost import NORMS, synflow


def test_synflow_of_two_linear_layers_by_hand():
    first, second = [[1, -2], [3, 4]], [[5, -6]]
    net = nn.Sequential(nn.Flatten(), linear(first, [-1, 0]), nn.ReLU(), linear(second, [7]))
    images, labels = torch.randn(3, 1, 1, 2), torch.zeros(3, dtype=torch.long)
    into_hidden = 5 * (1 + 2) + 6 * (3 + 4)  # |w| times the flow behind it; biases are no terms
    out_of_hidden = 5 * (1 + 2 + 1) + 6 * (3 + 4)
    assert synflow(net, images, labels) == pytest.approx(math.log(into_hidden + out_of_hidden))
    assert synflow(net, 9 * images, labels) == synflow(net, images, labels)


def test_synflow_of_convolutions_by_a_plain_loop_over_weights():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, stride=2), nn.Flatten()
    ).double()
    positive = copy.deepcopy(net)
    for parameter in positive.parameters():
        parameter.data.abs_()
    ones = torch.ones(1, 1, 5, 5, dtype=torch.float64)
    total = 0.0
    with torch.no_grad():
        for layer in (positive[0], positive[2]):
            for index in range(layer.weight.numel()):  # R is linear in every single weight
                weight = layer.weight.view(-1)[index].item()
                flow = positive(ones).sum()
                layer.weight.view(-1)[index] = 0
                total += (flow - positive(ones).sum()).item()
                layer.weight.view(-1)[index] = weight
    images, labels = torch.randn(2, 1, 5, 5), torch.zeros(2, dtype=torch.long)
    assert synflow(net.float(), images, labels) == pytest.approx(math.log(total), rel=1e-6)


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(6),
        nn.BatchNorm2d(6, affine=False, track_running_stats=False),
        nn.InstanceNorm2d(6, affine=True),
        nn.GroupNorm(2, 6),
        nn.LayerNorm([6, 8, 8]),
        nn.RMSNorm([6, 8, 8]),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_synflow_passes_norms_by(norm):
    convolution, head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(384, 4)
    for parameter in norm.parameters():
        parameter.data.fill_(3)
    without = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), head)
    assert isinstance(norm, NORMS)
    net = nn.Sequential(convolution, norm, nn.ReLU(), nn.Flatten(), head)
    assert synflow(net, *batch()) == synflow(without, *batch())


def test_synflow_of_a_fresh_net_is_that_of_evaluation_mode():
    net, (images, labels) = cell("nor_conv_3x3"), batch()
    flow = copy.deepcopy(net).double().eval()
    for parameter in flow.parameters():
        parameter.data.abs_()
    flow(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum().backward()
    layers = [module for module in flow.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    total = sum((layer.weight * layer.weight.grad).sum().item() for layer in layers)
    assert synflow(net, images, labels) == pytest.approx(math.log(total), abs=1e-3)


@pytest.mark.parametrize(
    ("weight", "num_layers", "expected"),
    [
        (1e38, 5, math.log(5) + 190 * math.log(10)),
        (1e38, 10, math.log(np.finfo(float).max)),
        (1e-38, 5, math.log(5) - 190 * math.log(10)),
        (1e-38, 10, math.log(np.finfo(float).tiny)),
        (0, 2, math.log(np.finfo(float).tiny)),
    ],
)
def test_synflow_beyond_the_range_of_floats(weight, num_layers, expected):
    net = nn.Sequential(nn.Flatten(), *[linear([[weight]]) for _ in range(num_layers)])
    images, labels = torch.zeros(2, 1, 1, 1), torch.zeros(2, dtype=torch.long)
    assert synflow(net, images, labels) == pytest.approx(expected)
