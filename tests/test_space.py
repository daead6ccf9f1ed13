"""A search space loaded, drawn from, named, built and counted."""

import math
import re
from dataclasses import make_dataclass

import optuna
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from atom_nas.errors import UserError
from atom_nas.scoring.space import (
    architecture_json,
    candidate_name,
    load_space,
    uniform_architectures,
)
from atom_nas.testing.spaces import SpaceContract

pytestmark = pytest.mark.usefixtures("quiet")
HEAD = """
from dataclasses import dataclass
from torch import nn
"""
FIVE = f"""{HEAD}
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


def write(folder, text):
    (folder / "mine.py").write_text(text, encoding="utf-8")
    return str(folder / "mine.py")


@pytest.fixture
def five(tmp_path):
    file = tmp_path / "five.py"
    file.write_text(FIVE)
    return load_space(str(file), (1, 4, 4), 3)


def weights(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def drawn_from(space, seed=0):
    return uniform_architectures(space, seed=seed, is_allowed=lambda cost: True)


def test_a_users_own_space_by_path(five, tmp_path):
    assert five.name == "five"
    assert five.source == tmp_path / "five.py"
    architecture = five.module.Architecture(widths=(4, 4))
    assert five.restore(architecture_json(architecture)) == architecture
    assert five.cost(architecture).num_params == (16 * 4 + 4) + (4 * 4 + 4) + (4 * 3 + 3)


def test_choices_may_be_tuples_though_a_study_keeps_none(tmp_path):
    text = FIVE.replace(
        'trial.suggest_int("depth", 1, 5)', 'len(trial.suggest_categorical("w", ((1,), (1, 2))))'
    )
    space = load_space(write(tmp_path, text), (1, 4, 4), 3)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    optuna.create_study(storage=storage, study_name="s")
    depths = set()
    for _ in range(12):  # as a run that is begun again: choices are read from the file
        study = optuna.load_study(
            storage=storage, study_name="s", sampler=optuna.samplers.TPESampler(n_startup_trials=3)
        )
        trial = study.ask()
        depths.add(len(space.sample(trial).widths))
        study.tell(trial, 0.0)
    assert depths == {1, 2}


def test_digest_is_of_the_source(five, tmp_path):
    digest, code = five.digest, five.code
    (tmp_path / "five.py").write_text(FIVE + "\n")
    assert (five.digest, five.code) == (digest, code)  # as it was loaded
    assert load_space(str(tmp_path / "five.py"), (1, 4, 4), 3).digest != digest


def test_weights_depend_on_the_seed_alone_and_leave_the_global_generator(five):
    architecture = five.module.Architecture(widths=(4,))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = weights(five.build(architecture, seed=5))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, weights(five.build(architecture, seed=5)))
    assert not torch.equal(first, weights(five.build(architecture, seed=6)))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_space_can_have_smaller_images(five, size):
    small = five.shrunk({"image_size": size})
    assert small.image_shape == (five.image_shape[0], size, size)
    assert small.settings == {}


@pytest.mark.parametrize("size", [0, 5])
def test_images_are_not_made_larger(five, size):
    with pytest.raises(UserError, match=f"image_size is {size}; images can have from 1 to 4 here"):
        five.shrunk({"image_size": size})


def test_uniform_draws_are_distinct_and_end_with_the_space(five):
    names = [candidate_name(architecture) for architecture in drawn_from(five)]
    assert len(names) == len(set(names)) == 5


def test_uniform_draws_repeat_by_seed(five):
    first, again, other = (list(drawn_from(five, seed)) for seed in (0, 0, 3))
    assert first == again != other


def test_uniform_draws_are_uniform(five):
    counts = dict.fromkeys(range(1, 6), 0)
    for seed in range(300):
        counts[len(next(drawn_from(five, seed)).widths)] += 1
    assert min(counts.values()) > 35
    assert max(counts.values()) < 90


def test_uniform_draws_keep_the_limits(five):
    allowed = uniform_architectures(five, seed=0, is_allowed=lambda cost: cost.num_params <= 103)
    assert {len(architecture.widths) for architecture in allowed} == {1, 2}


def test_draws_that_cannot_be_counted_are_left_out(tmp_path):
    file = tmp_path / "broken.py"
    text = "def build(architecture, image_shape, num_classes):\n    "
    file.write_text(FIVE.replace(text, f"{text}if len(architecture.widths) == 2: 1 / 0\n    "))
    space = load_space(str(file), (1, 4, 4), 3)
    assert sorted(len(a.widths) for a in drawn_from(space)) == [1, 3, 4, 5]


def test_draws_that_cannot_be_sampled_are_left_out(tmp_path):
    file = tmp_path / "broken.py"
    text = "    return Architecture("
    file.write_text(FIVE.replace(text, f"    if depth == 2: 1 / 0\n{text}"))
    space = load_space(str(file), (1, 4, 4), 3)
    assert sorted(len(a.widths) for a in drawn_from(space)) == [1, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{FIVE}\ndef sample(trial):\n    1 / 0\n", "ZeroDivisionError: division by zero"),
        (f"{FIVE}\ndef sample(trial):\n    return 'no dataclass'\n", "sample returned str"),
        (FIVE.replace("nn.Flatten()", "nn.Flaten()"), "has no attribute 'Flaten'"),
    ],
)
def test_drawing_from_a_space_of_which_nothing_can_be_built_says_why(tmp_path, text, reason):
    space = load_space(write(tmp_path, text), (1, 4, 4), 3)
    with pytest.raises(UserError, match="no candidate of mine can be drawn and built") as caught:
        list(drawn_from(space))
    assert reason in str(caught.value) and "\n" not in str(caught.value)


ODD = """
VALUES = [
    "a", "A", "a-b", "b-c", "c", "", "/", "..", "../../etc", "con", "a" * 300, "a" * 299, "ä", "1",
    "1.0", "True", "None", "0123456789", 1, -1, 10**30, 1.0, -1.0, 1e-300, True, False, None, (),
    (1,), ((1,),), ((1, ("a", None)), (0.5, True)), ("a", "b"), "a_b", "line\\nbreak",
]

@dataclass(frozen=True, kw_only=True)
class Architecture:
    first: object
    second: object = None

def sample(trial):
    indices = (trial.suggest_int(name, 0, len(VALUES) - 1) for name in ("first", "second"))
    first, second = (VALUES[index] for index in indices)
    return Architecture(first=first, second=second)

def build(architecture, image_shape, num_classes):
    channels, height, width = image_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, num_classes))
"""


class TestSpaceOfOddValues(SpaceContract):
    @pytest.fixture
    def name(self, tmp_path):
        return write(tmp_path, HEAD + ODD)

    def test_every_pair_of_values_has_a_name_of_its_own_whatever_the_case(self, space):
        odd = space.module
        every = [odd.Architecture(first=a, second=b) for a in odd.VALUES for b in odd.VALUES]
        assert len({candidate_name(each) for each in every}) == len(odd.VALUES) ** 2
        assert all(space.restore(architecture_json(each)) == each for each in every)


def made(*values):
    return make_dataclass("Made", [f"v{i}" for i in range(len(values))], frozen=True)(*values)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((128, 3, "leaky_relu", "none"), "128-3-leaky_relu-none"),
        (("nor_conv_3x3", "skip_connect"), "nor_conv_3x3-skip_connect"),
        ((0.5, 1, True), "0_5-1-true-"),
        ((("a", "b"), None), "a_b-none-"),
        (("../x",), "x-"),
        (("con",), "con-"),
        (("a", "0123abcdef"), "a-0123abcdef-"),
        (("/", ".."), ""),
        (("ab" * 150, "c"), "ab" * 44 + "a-"),
        ((), ""),
    ],
)
def test_names_are_the_values_as_far_as_a_file_can_have_them(values, name):
    found = candidate_name(made(*values))
    assert re.fullmatch(name + ("[0-9a-f]{10}" if name.endswith("-") or not name else ""), found)


@pytest.mark.parametrize("value", [[1], (1, [2]), math.nan, -math.inf, made(1), {}, "\ud800"])
def test_values_that_cannot_be_kept_are_named(value):
    for function in (candidate_name, architecture_json):
        with pytest.raises(UserError, match=r"^v1 of an architecture is .*; allowed are str,.*\.$"):
            function(made(1, value))


def test_a_space_of_values_that_cannot_be_kept_ends_before_any_training(tmp_path):
    space = load_space(write(tmp_path, FIVE.replace("(4,) * depth", "[4] * depth")), (1, 4, 4), 3)
    with pytest.raises(UserError, match=r"widths of an architecture is .* of type list"):
        next(drawn_from(space))


UNFIT = {
    "Architecture is no frozen dataclass": ("(frozen=True, kw_only=True)", ""),
    "no frozen dataclass; decorate it": ("@dataclass(frozen=True, kw_only=True)", ""),
    "differ in bias; let __init__ take": ("bias: bool = True", "bias: bool = field(init=False)"),
    "differ in depth; let __init__ take": ("bias: bool = True", "depth: InitVar[int] = 1"),
    "the field bias of Architecture is a dataclass": ("bias: bool = True", "bias: Cell | None"),
    "sample is no function": ("def build", "sample = 3\n\ndef build"),
    "build is no function": ("def build", "build = None\n\ndef other"),
}


@pytest.mark.parametrize(("reason", "change"), UNFIT.items())
def test_an_unfit_space_is_refused_when_it_is_loaded(tmp_path, reason, change):
    cell = "from dataclasses import field, InitVar\n@dataclass\nclass Cell:\n    kind: str\n"
    text = FIVE.replace(HEAD, HEAD + cell).replace(*change)
    with pytest.raises(UserError, match=rf"^search space '.*mine\.py': .*{reason}.*\.$") as caught:
        load_space(write(tmp_path, text), (1, 4, 4), 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("step", ["sample", "build", "forward"])
def test_exit_inside_a_space_is_the_failure_of_its_candidate(tmp_path, step):
    text = FIVE.replace("nn.Sequential(", "Net(") + (
        "class Net(nn.Sequential):\n"
        "    def forward(self, images):\n        return super().forward(images)\n"
    )
    text = re.sub(rf"(def {step}\(.*\n)( +)", r"\1\2raise SystemExit(3)\n\2", text)
    space = load_space(write(tmp_path, text), (1, 4, 4), 3)
    with pytest.raises(RuntimeError, match=r"the space called sys.exit\(3\)"):
        space.cost(space.sample(optuna.trial.FixedTrial({"depth": 1})))


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
