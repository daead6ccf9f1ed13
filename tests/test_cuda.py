"""The numerical core on a pretended GPU: it runs, and waits for the device nowhere in a step.

Kernels are counted, not timed; a ceiling is what was counted on torch 2.14, and a little more.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("fake_cuda", reason="private names of torch have changed", exc_type=ImportError)
from fake_cuda import fake_cuda, run_backward

from atom_nas.data.transfer import move
from atom_nas.distillation.matching import Matching
from atom_nas.distillation.methods import atom, channel, datadam, dm
from atom_nas.distillation.recipes import Recipe
from atom_nas.training.convnet import ConvNet, FeatureNet

CUDA = torch.device("cuda")
RECIPE = Recipe(steps=3, learning_rate=1.0)


@pytest.fixture
def gpu():
    with fake_cuda() as gpu:
        yield gpu


def make_matching(recipe=RECIPE, method=atom):
    """Ten classes of 20 images of CIFAR's shape, on the GPU."""
    return Matching(
        real=torch.rand(200, 3, 32, 32).to(CUDA),
        class_indices=list(torch.arange(200).split(20)),
        describe=method.describe,
        recipe=recipe,
        seed=0,
    )


def make_net(recipe):
    net = FeatureNet((3, 32, 32), width=recipe.width, depth=recipe.depth, norm=recipe.norm)
    return net.to(CUDA).requires_grad_(False)


def test_its_gradients_are_those_of_torch():
    torch.manual_seed(0)
    net, images = ConvNet((3, 8, 8), 4, width=8), torch.randn(5, 3, 8, 8)
    loss = F.cross_entropy(net(images), torch.arange(5) % 4)
    parameters = list(net.parameters())
    expected = torch.autograd.grad(loss, parameters, retain_graph=True)
    found = run_backward((loss,), (torch.ones(()),), True, False, parameters, accumulate_grad=False)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_it_refuses_what_a_gpu_refuses(gpu):
    images = torch.rand(4, 3, 8, 8, device=CUDA)
    with pytest.raises(RuntimeError, match="cpu"):
        nn.Conv2d(3, 2, 3)(images)
    with pytest.raises(RuntimeError, match="generator of cpu"):
        torch.rand(4, device=CUDA, generator=torch.Generator())
    with pytest.raises(RuntimeError, match="indexed by one on the GPU"):
        torch.rand(4)[torch.zeros(2, dtype=torch.long, device=CUDA)]


def test_it_counts_kernels_and_waits(gpu):
    x = torch.rand(4, device=CUDA)
    y = (x.view(2, 2) * 2).sum()
    assert gpu.kernels.total() == 3
    assert not gpu.waits
    y.item()
    y.cpu()
    x[torch.tensor([1, 2])]
    torch.rand(3).to(CUDA, non_blocking=True)
    assert gpu.waits == {"read": 1, "to cpu": 1, "from cpu": 2}


def test_a_pack_of_tensors_goes_at_once(gpu):
    sent = [torch.rand(3), torch.tensor([True]), torch.zeros(2, 2, dtype=torch.float64)]
    got = move(sent, CUDA)
    assert (gpu.sent, gpu.kernels.total(), gpu.waits.total()) == (1, 1, 0)
    for a, b in zip(got, sent, strict=True):
        assert (a.device.type, a.dtype, a.shape) == ("cuda", b.dtype, b.shape)


@pytest.mark.parametrize(
    ("method", "norm", "ceiling"),
    [
        (atom, "instance", 500),
        (atom, "batch", 375),
        (dm, "instance", 335),
        (dm, "batch", 205),
        (datadam, "instance", 440),
        (channel, "none", 300),
    ],
)
def test_a_step_of_a_distillation_waits_for_nothing(gpu, method, norm, ceiling):
    recipe = replace(RECIPE, norm=norm)
    matching, net = make_matching(recipe, method), make_net(recipe)
    images = matching.random_start(5)
    gpu.forget()
    loss, gradient = matching.gradient(images, net, 0)
    assert (loss.device.type, gradient.shape) == ("cuda", images.shape)
    assert not gpu.waits
    assert gpu.kernels.total() <= ceiling
