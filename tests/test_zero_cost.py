"""Zero-cost scores: finite for every net, by hand on small ones, without a trace."""

import copy
import math

import numpy as np
import pytest
import torch
from made_nets import batch, bottlenecks, cell, linear, plain
from torch import nn

from atom_nas.audit.zero_cost import (
    SCORES,
    grad_norm,
    jacob_cov,
    naswot,
    snip,
)
from search_spaces import convnet, nas_bench_201

EVERY_SCORE = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES.keys())
K = 1e-5


NETS = {
    "cell": lambda: cell("nor_conv_3x3"),
    "mixed_cell": lambda: cell(*nas_bench_201.OPERATIONS, "nor_conv_3x3"),
    "mobile": lambda: bottlenecks(False),
    "squeeze": lambda: bottlenecks(True),
    **{norm: lambda norm=norm: plain(norm) for norm in convnet.CHOICES["norm"]},
    "sigmoid": lambda: plain(activation="sigmoid", depth=4, pooling="none"),
    "leaky_relu": lambda: plain(activation="leaky_relu", pooling="max"),
    "no_activation": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4)),
}


@EVERY_SCORE
@pytest.mark.parametrize("name", NETS)
def test_nets_of_every_space_score_a_repeatable_finite_number(score, name):
    net, (images, labels) = NETS[name](), batch()
    value = score(net, images, labels)
    assert type(value) is float
    assert math.isfinite(value)
    assert score(net, images, labels) == value


@EVERY_SCORE
@pytest.mark.parametrize("name", ["cell", "squeeze", "batch"])
def test_net_and_batch_stay_as_they_were(score, name):
    net, (images, labels) = NETS[name]().eval(), batch()
    net[1].train()
    first = next(net.parameters())
    first.requires_grad_(False)
    first.grad = torch.ones_like(first)
    state = copy.deepcopy(net.state_dict())
    modes = [module.training for module in net.modules()]
    given = images.clone(), labels.clone()
    score(net, images, labels)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()].count(False) == 1
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(parameter.grad is None for parameter in list(net.parameters())[1:])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert torch.equal(images, given[0]) and torch.equal(labels, given[1])
    assert not images.requires_grad and images.grad is None


@EVERY_SCORE
@pytest.mark.parametrize("training", [True, False])
def test_running_statistics_mode_and_freezing_do_not_count(score, training):
    net, (images, labels) = cell("nor_conv_3x3"), batch()
    expected = score(net, images, labels)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(100)
            module.running_var.fill_(9)
    assert score(net.train(training).requires_grad_(False), images, labels) == expected


@EVERY_SCORE
@pytest.mark.parametrize("dead", ["none", "last_node"])
def test_a_cell_that_ignores_its_images_scores_low(score, dead):
    cells = {"none": ["none"], "last_node": ["nor_conv_3x3"] * 3 + ["none"] * 3}
    images, labels = batch()
    value = score(cell(*cells[dead]), images, labels)
    assert math.isfinite(value)
    assert value < score(cell("nor_conv_3x3"), images, labels)


@EVERY_SCORE
def test_overflowing_gradients_score_a_finite_number(score):
    net, (images, labels) = plain(depth=4), batch()
    for parameter in net.parameters():
        parameter.data.mul_(1e15)
    assert math.isfinite(score(net, images, labels))


def agreement_score(codes):
    """log det (K_H + I) of codes (B, units) by a loop over pairs and the Hamming distance."""
    num, units = codes.shape
    kernel = np.eye(num)
    for i in range(num):
        for j in range(num):
            kernel[i, j] += units - np.count_nonzero(codes[i] != codes[j])
    return np.linalg.slogdet(kernel)[1]


CODES = np.array([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 1]])
VALUES = torch.tensor(2.0 * CODES - 1).float().view(3, 1, 2, 2)
LABELS = torch.zeros(3, dtype=torch.long)


@pytest.mark.parametrize(
    "activation",
    [
        *(nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.GELU()),
        *(nn.Hardswish(), nn.SiLU(), nn.Sigmoid(), nn.Hardsigmoid(inplace=True), nn.Tanh()),
    ],
    ids=repr,
)
def test_naswot_of_hand_made_codes(activation):
    net = nn.Sequential(nn.Identity(), activation, nn.Flatten(), nn.Linear(4, 2))
    kernel = [[5, 2, 2], [2, 5, 0], [2, 0, 5]]  # agreements of 4 units, and 1 on the diagonal
    expected = np.linalg.slogdet(kernel)[1]
    assert agreement_score(CODES) == pytest.approx(expected)
    assert naswot(net, VALUES.clone(), LABELS) == pytest.approx(expected)


def test_naswot_counts_every_call_of_every_activation():
    relu, inner, outer = nn.ReLU(), [[1, -1, 0, 2], [-1, 3, -2, 0]], [[1, -2], [-1, 1], [0, 1]]
    net = nn.Sequential(nn.Flatten(), relu, linear(inner), relu, linear(outer), nn.Sigmoid())
    first = VALUES.flatten(1).numpy()
    second = np.maximum(first, 0) @ np.transpose(inner)
    third = np.maximum(second, 0) @ np.transpose(outer)
    expected = agreement_score(np.concatenate([first, second, third], axis=1) > 0)
    assert naswot(net, VALUES, LABELS) == pytest.approx(expected)


def test_naswot_of_equal_codes_is_finite_and_low():
    net, (images, labels) = plain(depth=1), batch(num=6)
    units = 32 * 8 * 8
    assert naswot(net, images[:1].expand(6, -1, -1, -1), labels) == pytest.approx(
        math.log(1 + 6 * units)  # an eigenvalue of 6 * units, and zeros
    )
    assert naswot(net, images, labels) > 4 * math.log(1 + 6 * units)
    assert naswot(NETS["no_activation"](), images, labels) == 0


def jacobians_by_loop(net, images):
    """Gradient (B, pixels) of the sum of the logits by each image, alone in its batch."""
    rows = []
    for image in images:
        single = image[None].requires_grad_(True)
        rows.append(torch.autograd.grad(net(single).sum(), single)[0].flatten().double().numpy())
    return np.stack(rows)


def spectrum_score(eigenvalues):
    return -sum(math.log(max(value, 0) + K) + 1 / (max(value, 0) + K) for value in eigenvalues)


@pytest.mark.parametrize("norm", ["none", "group"])
def test_jacob_cov_by_a_loop_over_images(norm):
    net, (images, labels) = plain(norm), batch(num=6)
    correlations = np.corrcoef(jacobians_by_loop(net, images))
    expected = spectrum_score(np.linalg.eigvalsh(correlations))
    assert -1000 < expected < -6
    assert jacob_cov(net, images, labels) == pytest.approx(expected, rel=1e-4)


def test_jacob_cov_of_dead_images_adds_the_lowest_terms():
    bright = nn.Sequential(nn.Flatten(), linear([[1, 2, 4, 7], [-3, 1, 0, 5]], [-5, -4]), nn.ReLU())
    images = torch.tensor([[1.0, 1, 1, 1], [-9, 1, 0, 2], [-1, -1, -1, -1], [9, 9, 0, 0]])
    images, labels = images.view(4, 1, 2, 2), torch.zeros(4, dtype=torch.long)
    jacobians = jacobians_by_loop(bright, images)
    alive = np.any(jacobians != 0, axis=1)
    assert alive.tolist() == [True, True, False, True]
    correlations = np.corrcoef(jacobians[alive])
    expected = spectrum_score([0, *np.linalg.eigvalsh(correlations)])
    assert jacob_cov(bright, images, labels) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weight", [0, 1e-20, 0.1, 3e30])
def test_jacob_cov_of_constant_gradients_is_the_lowest(weight):
    net = nn.Sequential(nn.Flatten(), linear([[weight] * 4]))
    assert jacob_cov(net, VALUES, LABELS) == pytest.approx(-3 * (math.log(K) + 1 / K))


def test_gradient_scores_of_softmax_regression_in_closed_form():
    weight = np.array([[0.5, -1, 2, 0], [1, 1, -0.5, 3]])
    bias, labels = np.array([0.2, -0.1]), np.array([0, 1, 1])
    inputs = VALUES.flatten(1).numpy()
    logits = inputs @ weight.T + bias
    errors = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(2)[labels]
    gradient = errors.T @ inputs / 3
    net = nn.Sequential(nn.Flatten(), linear(weight.tolist(), bias.tolist()))
    batch = VALUES, torch.tensor(labels)
    assert grad_norm(net, *batch) == pytest.approx(np.sqrt((gradient**2).sum()))
    assert snip(net, *batch) == pytest.approx(np.abs(weight * gradient).sum())


def test_gradient_scores_add_up_weights_of_convolutions_and_linear_layers_alone():
    net, (images, labels) = NETS["squeeze"](), batch()
    twin = copy.deepcopy(net).train()
    nn.functional.cross_entropy(twin(images), labels).backward()
    weights = [p for p in twin.parameters() if p.ndim > 1]  # norms and biases are vectors
    norms = [weight.grad.square().sum().sqrt().item() for weight in weights]
    products = [(weight * weight.grad).abs().sum().item() for weight in weights]
    assert grad_norm(net, images, labels) == pytest.approx(sum(norms), rel=1e-5)
    assert snip(net, images, labels) == pytest.approx(sum(products), rel=1e-5)
