"""The 15,625 cells of NAS-Bench-201 in their residual skeleton.

A cell has 4 nodes and an operation on each of its 6 edges; a node is the sum of its incoming edges
(Dong & Yang, "NAS-Bench-201", ICLR 2020). The net is a 3x3 stem, then three stages of cells with
C, 2C and 4C channels, a stride-2 residual block between stages, then batch norm, ReLU, global
average and a linear layer.

On CIFAR-10 with C = 16 and 5 cells a stage the published counts are, per million,

    parameters = 0.073306 + 0.24304 n_3x3 + 0.028 n_1x1
    MACs = 7.943872 + 35.81952 n_3x3 + 4.36224 n_1x1 + 1.29024 n_avgpool

The parameters come out exactly: convolutions have no bias, batch norms are affine, and the shortcut
of a residual block is a 2x2 average and a 1x1 convolution without batch norm. Of the MACs,
7.783040 + 35.38944 n_3x3 + 3.93216 n_1x1 are convolutions and the linear layer. The rest adds, per
output element, 1 for a ReLU, 2 for a batch norm, k*k for a k x k average (so 9 for avg_pool_3x3),
and 81 for each channel of the global average (inferred: the number that closes the constant).
"""

import re
from dataclasses import asdict, astuple, dataclass, fields
from functools import reduce
from itertools import permutations
from typing import Any, Self

import torch
from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The operation of each edge, `edge_<source>_<target>`; an unknown one raises ValueError."""

    edge_0_1: str
    """Operation from the cell's input to node 1."""
    edge_0_2: str
    """Operation from the cell's input to node 2."""
    edge_1_2: str
    """Operation from node 1 to node 2."""
    edge_0_3: str
    """Operation from the cell's input to its output."""
    edge_1_3: str
    """Operation from node 1 to the cell's output."""
    edge_2_3: str
    """Operation from node 2 to the cell's output."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value not in OPERATIONS:
                raise ValueError(f"{field.name} is {value!r}; allowed: {', '.join(OPERATIONS)}.")

    def __str__(self) -> str:
        """Return the benchmark's string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
        return _FORM.format(*astuple(self))

    @classmethod
    def from_string(cls, text: str) -> Self:
        """Return the cell of the benchmark's string; ValueError if it has another form."""
        operations = re.findall(r"\|?(\w+)~\d\|", text)
        if len(operations) != len(fields(cls)) or _FORM.format(*operations) != text:
            raise ValueError(f"{text!r} is no cell; allowed: {_FORM.format(*['op'] * 6)}.")
        return cls(**{field.name: op for field, op in zip(fields(cls), operations, strict=True)})


_FORM = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"


def sample(trial: Any) -> Architecture:
    """Draw an architecture with an Optuna trial; the parameters are named as the fields."""
    names = [field.name for field in fields(Architecture)]
    return Architecture(**{name: trial.suggest_categorical(name, OPERATIONS) for name in names})


def build(
    architecture: Architecture,
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    channels: int = 16,
    cells_per_stage: int = 5,
) -> nn.Module:
    """Return the freshly initialised net, (B, C, H, W) -> logits (B, num_classes)."""
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    ]
    for stage in range(3):
        if stage > 0:
            layers.append(Reduction(channels))
            channels *= 2
        layers += [Cell(architecture, channels) for _ in range(cells_per_stage)]
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, num_classes))


def canonical(architecture: Architecture) -> str:
    """Return a text that cells share when they compute the same with their weights paired off.

    Each node is written as a sum of terms: none and all that reads only zeros vanish (even the
    shift that a batch norm could learn there), skip_connect passes terms on, an average acts on
    each term, a convolution is a new term `a`, `b`, ... in the order that gives the smallest text.
    What does not reach the output is left out, so cells that share a text may differ in parameters
    and MACs.

    The 15,625 cells have 5,044 texts. The 6,466 distinct cells of the paper follow another rule,
    which keeps zeros as summands and sums nested: it separates the equal cells of 792 texts, and
    430 of its classes join unequal cells (it cannot tell one convolution used twice from two).
    """
    nodes: list[list[tuple[int, str]]] = [[(0, "x")]]  # terms: number of averages, and of what
    convolutions: dict[str, tuple[str, list[tuple[int, str]]]] = {}
    for target in range(1, 4):
        terms: list[tuple[int, str]] = []
        for source in range(target):
            edge = f"edge_{source}_{target}"
            match getattr(architecture, edge):
                case "skip_connect":
                    terms += nodes[source]
                case "avg_pool_3x3":
                    terms += [(averages + 1, name) for averages, name in nodes[source]]
                case "nor_conv_1x1" | "nor_conv_3x3" as operation if nodes[source]:
                    convolutions[edge] = operation, nodes[source]
                    terms.append((0, edge))
        nodes.append(terms)

    used: dict[str, None] = {}
    waiting = list(nodes[3])
    while waiting:
        _, name = waiting.pop()
        if name != "x" and name not in used:
            used[name] = None
            waiting += convolutions[name][1]

    def text(letters: tuple[str, ...]) -> str:
        letter = {"x": "x"} | dict(zip(used, letters, strict=True))

        def total(terms: list[tuple[int, str]]) -> str:
            written = sorted("avg(" * n + letter[name] + ")" * n for n, name in terms)
            return " + ".join(written) or "0"

        lines = sorted(
            f"{letter[name]} = {convolutions[name][0]}({total(convolutions[name][1])})"
            for name in used
        )
        return "; ".join([*lines, f"out = {total(nodes[3])}"])

    return min(map(text, permutations("abcdef"[: len(used)])))


class Cell(nn.Module):
    """The cell (B, C, H, W) -> (B, C, H, W); a none edge is absent, a node without edges zero."""

    def __init__(self, architecture: Architecture, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                edge: _operation(name, channels)
                for edge, name in asdict(architecture).items()
                if name != "none"
            }
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the last node, of the shape of the maps."""
        nodes = [maps]
        for target in range(1, 4):
            edges = {source: f"edge_{source}_{target}" for source in range(target)}
            terms = [
                self.edges[edge](nodes[source])
                for source, edge in edges.items()
                if edge in self.edges
            ]
            nodes.append(reduce(torch.add, terms) if terms else torch.zeros_like(maps))
        return nodes[3]


class Reduction(nn.Module):
    """Residual block (B, C, H, W) -> (B, 2C, ceil(H / 2), ceil(W / 2))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _relu_conv_bn(channels, 2 * channels, 3, stride=2),
            _relu_conv_bn(2 * channels, 2 * channels, 3),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the sum of the shortcut and the two convolutions."""
        out: torch.Tensor = self.shortcut(maps) + self.residual(maps)
        return out


def _operation(name: str, channels: int) -> nn.Module:
    match name:
        case "skip_connect":
            return nn.Identity()
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        case _:
            return _relu_conv_bn(channels, channels, 1 if name == "nor_conv_1x1" else 3)


def _relu_conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )
