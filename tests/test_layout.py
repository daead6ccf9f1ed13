"""Norms in the layout of the convolutions: the same figures, and the net as it was."""

import pytest
import torch
from torch import nn

from atom_nas.training.layout import in_channels_last

NORMS = {
    "layer": lambda: nn.LayerNorm([6, 5, 8]),
    "layer without bias": lambda: nn.LayerNorm([6, 5, 8], bias=False),
    "layer without weights": lambda: nn.LayerNorm([6, 5, 8], elementwise_affine=False),
    "layer of a row": lambda: nn.LayerNorm(8),
    "instance": lambda: nn.GroupNorm(6, 6),
    "instance without weights": lambda: nn.GroupNorm(6, 6, affine=False),
    "group": lambda: nn.GroupNorm(3, 6),
    "batch": lambda: nn.BatchNorm2d(6),
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("size", [(5, 8), (40, 8)])
def test_values_and_gradients_are_those_of_torch(name, size):
    if name.startswith("layer") and size != (5, 8):
        return
    torch.manual_seed(0)
    norm = NORMS[name]()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    images = torch.randn(4, 6, *size)
    weights = torch.randn(4, 6, *size)

    def figures(x):
        x = x.clone().requires_grad_()
        y = norm(x)
        return y, *torch.autograd.grad((y * weights).sum(), [x, *norm.parameters()])

    expected = figures(images)
    with in_channels_last(nn.Sequential(norm)):
        found = figures(images.contiguous(memory_format=torch.channels_last))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["layer", "instance", "group", "batch"])
def test_maps_keep_their_layout(name):
    images = torch.randn(4, 6, 5, 8).contiguous(memory_format=torch.channels_last)
    norm = NORMS[name]()
    with in_channels_last(norm):
        assert norm(images).is_contiguous(memory_format=torch.channels_last)


def test_vectors_are_normalised_as_ever():
    net, x = nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(6, 6)), torch.randn(3, 6)
    expected = net(x)
    with in_channels_last(net):
        assert torch.equal(net(x), expected)


def test_the_net_is_itself_again_whatever_happened():
    class Own(nn.LayerNorm):
        pass

    net = nn.Sequential(nn.LayerNorm([6, 5, 8]), nn.GroupNorm(6, 6), Own([6, 5, 8]))
    calls = []
    net[0].register_forward_hook(lambda *_: calls.append(1))

    def interrupted():
        with in_channels_last(net):
            assert type(net[2]) is Own
            net(torch.randn(1, 6, 5, 8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [type(module) for module in net] == [nn.LayerNorm, nn.GroupNorm, Own]
    assert calls == [1]
