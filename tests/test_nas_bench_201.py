"""The space of NAS-Bench-201: published costs, strings, cells that are the same."""

import dataclasses
import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from atom_nas.training.cost import measure_cost
from search_spaces import nas_bench_201 as space

EDGES = [field.name for field in dataclasses.fields(space.Architecture)]
COUNTS = [counts for counts in itertools.product(range(7), repeat=3) if sum(counts) <= 6]


def cell(*operations):
    return space.Architecture(**dict(zip(EDGES, operations, strict=True)))


def parse(short):
    letters = dict(zip("0s13a", space.OPERATIONS, strict=True))
    return cell(*(letters[letter] for letter in short))


@pytest.fixture(scope="module")
def every_cell():
    return [cell(*operations) for operations in itertools.product(space.OPERATIONS, repeat=6)]


@pytest.fixture(scope="module")
def every_text(every_cell):
    return [space.canonical(architecture) for architecture in every_cell]


def elementwise(module, out):
    """What the published MACs add to convolutions and the linear layer for one module's output."""
    match module:
        case nn.BatchNorm2d():
            return 2 * out.numel()
        case nn.ReLU():
            return out.numel()
        case nn.AvgPool2d():
            return module.kernel_size**2 * out.numel()
        case nn.AdaptiveAvgPool2d():
            return 81 * out.numel()
    return 0


@pytest.mark.parametrize("counts", COUNTS)
def test_published_parameters_and_macs_of_all_operation_counts(counts):
    num_3x3, num_1x1, num_pool = counts
    rng = random.Random(str(counts))
    operations = ["nor_conv_3x3"] * num_3x3 + ["nor_conv_1x1"] * num_1x1
    operations += ["avg_pool_3x3"] * num_pool
    operations += rng.choices(["none", "skip_connect"], k=6 - len(operations))
    rng.shuffle(operations)
    added = []

    def build():
        network = space.build(cell(*operations), (3, 32, 32), 10)
        for module in network.modules():
            module.register_forward_hook(lambda one, _, out: added.append(elementwise(one, out)))
        return network

    cost = measure_cost(build, (3, 32, 32))
    assert cost.num_params == 73_306 + 243_040 * num_3x3 + 28_000 * num_1x1
    assert cost.macs == 7_783_040 + 35_389_440 * num_3x3 + 3_932_160 * num_1x1
    assert cost.macs + sum(added) == (
        7_943_872 + 35_819_520 * num_3x3 + 4_362_240 * num_1x1 + 1_290_240 * num_pool
    )


def test_channels_and_cells_are_settings():
    architecture = parse("3s1a03")
    small = space.build(architecture, (1, 8, 8), 10, channels=4, cells_per_stage=1)
    cells = [layer for layer in small if isinstance(layer, space.Cell)]
    assert len(cells) == 3
    assert small[-1].in_features == 16
    assert small(torch.randn(2, 1, 8, 8)).shape == (2, 10)


def test_odd_sides_are_halved_upwards():
    network = space.build(parse("s3000s"), (3, 25, 13), 10, channels=4, cells_per_stage=1)
    assert network[:-3](torch.randn(2, 3, 25, 13)).shape == (2, 16, 7, 4)


def test_cell_sums_the_incoming_edges_of_each_node():
    torch.manual_seed(0)
    operations = ["nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "none"]
    module = space.Cell(cell(*operations, "nor_conv_3x3"), 4).double().eval()
    maps = torch.randn(2, 4, 6, 6, dtype=torch.float64)

    def convolve(edge, values):
        weight = module.edges[edge][1].weight
        out = nn.functional.conv2d(values.relu(), weight, padding=weight.shape[-1] // 2)
        return out / (1 + 1e-5) ** 0.5

    padded = nn.functional.pad(torch.stack([maps, torch.ones_like(maps)]), (1, 1, 1, 1))
    total, number = sum(
        padded[..., i : i + 6, j : j + 6] for i, j in itertools.product(range(3), repeat=2)
    )
    node_1 = convolve("edge_0_1", maps)
    node_2 = total / number + node_1
    expected = convolve("edge_0_3", maps) + convolve("edge_2_3", node_2)
    torch.testing.assert_close(module(maps), expected)


@pytest.mark.parametrize("short", ["000000", "33s000", "000033"])
def test_a_cell_that_reads_or_writes_nothing_gives_zeros(short):
    maps = torch.randn(2, 4, 6, 6)
    assert torch.equal(space.Cell(parse(short), 4)(maps), torch.zeros_like(maps))


def test_string_of_the_benchmark_both_ways(every_cell):
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    assert str(parse("30sa13")) == text
    assert space.Architecture.from_string(text) == parse("30sa13")
    assert all(space.Architecture.from_string(str(one)) == one for one in every_cell[::97])
    assert len(set(map(str, every_cell))) == 15_625


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|",
        "|none~0|none~0|none~1|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2| ",
    ],
)
def test_another_form_of_string_is_refused(text):
    with pytest.raises(ValueError, match="is no cell; allowed: "):
        space.Architecture.from_string(text)


def test_an_unknown_operation_in_the_string_is_refused():
    with pytest.raises(ValueError, match="edge_0_2 is 'conv'; allowed: none, skip_connect"):
        space.Architecture.from_string("|none~0|+|conv~0|none~1|+|none~0|none~1|none~2|")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("310033", "130033"),  # nodes 1 and 2 exchanged
        ("000s00", "s000s0"),  # the input passed on, directly or through node 1
        ("000000", "000033"),  # convolutions that read zeros
        ("000300", "111300"),  # convolutions that do not reach the output
        ("000a00", "a000s0"),  # an average before or after a skip
        ("3ss00a", "300aa0"),  # the average of a sum, the sum of averages
    ],
)
def test_cells_that_compute_the_same_share_their_text(first, second):
    assert space.canonical(parse(first)) == space.canonical(parse(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("000000", "300010"),  # nothing, two convolutions
        ("300010", "100030"),  # 1x1 of 3x3, 3x3 of 1x1
        ("000300", "000100"),
        ("000s00", "s00ss0"),  # x, 2x
        ("30s011", "330011"),  # one convolution used twice, two convolutions
    ],
)
def test_cells_that_do_not_compute_the_same_differ_in_text(first, second):
    assert space.canonical(parse(first)) != space.canonical(parse(second))


def test_number_of_distinct_cells(every_text):
    assert len(set(every_text)) == 5_044


def test_text_decides_what_the_cell_computes(every_cell, every_text):
    rng = np.random.default_rng(0)
    weights = {operation: rng.normal(size=(6, 6)) / 3 for operation in space.OPERATIONS}
    apply = {
        "skip_connect": lambda values: values,
        "avg_pool_3x3": lambda values: weights["avg_pool_3x3"] @ values,
        "nor_conv_1x1": lambda values: np.tanh(weights["nor_conv_1x1"] @ values),
        "nor_conv_3x3": lambda values: np.tanh(weights["nor_conv_3x3"] @ values),
        "none": np.zeros_like,
    }
    start = rng.normal(size=6)

    def compute(architecture):
        nodes = [start]
        for target in (1, 2, 3):
            terms = [
                apply[getattr(architecture, f"edge_{source}_{target}")](nodes[source])
                for source in range(target)
            ]
            nodes.append(sum(terms))
        return tuple(np.round(nodes[3], 8) + 0.0)

    outputs = {}
    for architecture, text in zip(every_cell, every_text, strict=True):
        outputs.setdefault(text, set()).add(compute(architecture))
    assert all(len(values) == 1 for values in outputs.values())
    # With one weight for all convolutions of a kind, sharing cannot be seen: fewer outputs.
    assert len(set.union(*outputs.values())) == 4_660


def published_rule(architecture):
    """The paper's rule: the sorted text of nested sums, with "#" for zero and "0" for the input."""
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for source in range(target):
            operation = getattr(architecture, f"edge_{source}_{target}")
            if operation == "none" or nodes[source] == "#":
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def test_published_number_of_cells_and_how_it_differs(every_cell, every_text):
    rule = [published_rule(architecture) for architecture in every_cell]
    pairs = set(zip(rule, every_text, strict=True))
    texts_of_rule = Counter(published for published, _ in pairs)
    rules_of_text = Counter(text for _, text in pairs)
    assert len(texts_of_rule) == 6_466
    assert sum(number > 1 for number in texts_of_rule.values()) == 430
    assert sum(number > 1 for number in rules_of_text.values()) == 792
