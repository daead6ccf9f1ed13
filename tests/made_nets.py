"""Small seeded nets of every space, and layers of given weights, for scores without training."""

import torch
from torch import nn

from search_spaces import convnet, mobile, nas_bench_201


def batch(num=8, side=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(num, 3, side, side, generator=generator)
    return images, torch.arange(num) % 4


def cell(*operations):
    """Return a seeded net of the cell with these operations, the first for all where one."""
    names = nas_bench_201.Architecture.__dataclass_fields__
    edges = operations if len(operations) == 6 else operations * 6
    architecture = nas_bench_201.Architecture(**dict(zip(names, edges, strict=True)))
    torch.manual_seed(0)
    return nas_bench_201.build(architecture, (3, 8, 8), 4, channels=4, cells_per_stage=1)


def plain(norm="none", activation="relu", pooling="avg", depth=2):
    architecture = convnet.Architecture(
        width=32, depth=depth, activation=activation, norm=norm, pooling=pooling
    )
    torch.manual_seed(0)
    return convnet.build(architecture, (3, 8, 8), 4)


def bottlenecks(squeeze_excitation):
    depths = {f"depth_{stage}": 1 for stage in (1, 2, 3)}
    kernels = {f"kernel_{stage}": 3 for stage in (1, 2, 3)}
    architecture = mobile.Architecture(
        width=0.5, expansion=2, squeeze_excitation=squeeze_excitation, **depths, **kernels
    )
    torch.manual_seed(0)
    return mobile.build(architecture, (3, 8, 8), 4)


def linear(weight, bias=None):
    layer = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    layer.weight.data = torch.tensor(weight, dtype=torch.float32)
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float32)
    return layer
