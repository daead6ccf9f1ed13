"""A search space loaded, drawn from, named, built and counted."""

from dataclasses import dataclass

import optuna
import pytest
import torch

from atom_nas import plugins
from atom_nas.errors import UserError
from atom_nas.scoring.space import candidate_name, describe, draw_uniformly, load_space

SPACES = sorted(plugins.available("search_spaces"))
FIVE = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Architecture:
    widths: tuple[int, ...]
    bias: bool = True

def sample(trial):
    depth = trial.suggest_int("depth", 1, 5)
    return Architecture(widths=(4,) * depth)

def build(architecture, image_shape, num_classes):
    size = image_shape[0] * image_shape[1] * image_shape[2]
    layers = [nn.Flatten(), nn.Linear(size, 4)] + [nn.Linear(4, 4) for _ in architecture.widths[1:]]
    return nn.Sequential(*layers, nn.Linear(4, num_classes))
"""


@pytest.fixture
def five(tmp_path):
    file = tmp_path / "five.py"
    file.write_text(FIVE)
    return load_space(str(file), (1, 4, 4), 3)


def weights(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@pytest.mark.parametrize("name", SPACES)
def test_every_space_names_describes_and_restores(name):
    space = load_space(name, (3, 32, 32), 10)
    architectures = list(zip(range(8), draw_uniformly_from(space), strict=False))
    names = {candidate_name(architecture) for _, architecture in architectures}
    assert len(names) == 8
    for _, architecture in architectures:
        assert space.restore(describe(architecture)) == architecture
        assert not set(candidate_name(architecture)) & set("/\\ ,\n")


def draw_uniformly_from(space, seed=0):
    return draw_uniformly(space, seed=seed, is_allowed=lambda cost: True)


def test_a_users_own_space_by_path(five, tmp_path):
    assert five.name == "five"
    assert five.source == tmp_path / "five.py"
    architecture = five.module.Architecture(widths=(4, 4))
    assert candidate_name(architecture) == "4_4-True"
    assert five.restore(describe(architecture)) == architecture
    assert five.cost(architecture).num_params == (16 * 4 + 4) + (4 * 4 + 4) + (4 * 3 + 3)


def test_digest_is_of_the_source(five, tmp_path):
    before = five.digest
    (tmp_path / "five.py").write_text(FIVE + "\n")
    assert five.digest != before


def test_weights_depend_on_the_seed_alone_and_leave_the_global_generator(five):
    architecture = five.module.Architecture(widths=(4,))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = weights(five.build(architecture, seed=5))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, weights(five.build(architecture, seed=5)))
    assert not torch.equal(first, weights(five.build(architecture, seed=6)))


def test_uniform_draws_are_distinct_and_end_with_the_space(five):
    names = [candidate_name(architecture) for architecture in draw_uniformly_from(five)]
    assert len(names) == len(set(names)) == 5


def test_uniform_draws_repeat_by_seed(five):
    first, again, other = (list(draw_uniformly_from(five, seed)) for seed in (0, 0, 3))
    assert first == again != other


def test_uniform_draws_are_uniform(five):
    counts = dict.fromkeys(range(1, 6), 0)
    for seed in range(300):
        counts[len(next(draw_uniformly_from(five, seed)).widths)] += 1
    assert min(counts.values()) > 35
    assert max(counts.values()) < 90


def test_uniform_draws_keep_the_limits(five):
    allowed = draw_uniformly(five, seed=0, is_allowed=lambda cost: cost.num_params <= 103)
    assert {len(architecture.widths) for architecture in allowed} == {1, 2}


def test_draws_that_cannot_be_counted_are_left_out(tmp_path):
    file = tmp_path / "broken.py"
    text = "def build(architecture, image_shape, num_classes):\n    "
    file.write_text(FIVE.replace(text, f"{text}if len(architecture.widths) == 2: 1 / 0\n    "))
    space = load_space(str(file), (1, 4, 4), 3)
    assert sorted(len(a.widths) for a in draw_uniformly_from(space)) == [1, 3, 4, 5]


def test_draws_that_cannot_be_sampled_are_left_out(tmp_path):
    file = tmp_path / "broken.py"
    text = "    return Architecture("
    file.write_text(FIVE.replace(text, f"    if depth == 2: 1 / 0\n{text}"))
    space = load_space(str(file), (1, 4, 4), 3)
    assert sorted(len(a.widths) for a in draw_uniformly_from(space)) == [1, 3, 4, 5]


@pytest.mark.parametrize("body", ["1 / 0", "return 'no dataclass'"])
def test_drawing_from_a_space_that_samples_nothing_ends(tmp_path, body):
    file = tmp_path / "broken.py"
    file.write_text(f"{FIVE}\ndef sample(trial):\n    {body}\n")
    assert list(draw_uniformly_from(load_space(str(file), (1, 4, 4), 3))) == []


def test_names_of_nested_values():
    @dataclass(frozen=True)
    class Architecture:
        cell: tuple[str, ...]
        rate: float
        op: None = None

    assert candidate_name(Architecture(cell=("a", "b"), rate=0.5)) == "a_b-0.5-None"


@pytest.mark.parametrize("lacking", ["Architecture", "sample", "build"])
def test_a_space_that_lacks_a_part_says_which(tmp_path, lacking):
    file = tmp_path / "mine.py"
    parts = {"Architecture", "sample", "build"} - {lacking}
    file.write_text("".join(f"{part} = None\n" for part in parts))
    with pytest.raises(UserError, match=f"lacks {lacking}; a search space is a module that"):
        load_space(str(file), (1, 4, 4), 3)


def test_unknown_space_suggests_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'convnet'"):
        load_space("convnets", (1, 4, 4), 3)


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)
