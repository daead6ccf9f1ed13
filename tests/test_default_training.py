"""What is left open: every space learns from 1, 10 and 50 images a class; no first run is long."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from atom_nas import plugins
from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Defaults
from atom_nas.defaults import condensation, full_training, proxy_training
from atom_nas.options import Options
from atom_nas.pipeline.opening import open_pipeline
from atom_nas.scoring.chance import is_at_chance
from atom_nas.scoring.space import load_space, uniform_architectures
from atom_nas.storage.files import read_json
from atom_nas.training.batches import Examples
from atom_nas.training.fit import evaluate, fit

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return open_dataset("digits", tmp_path_factory.mktemp("data"), seed=0)


@pytest.mark.parametrize("images_per_class", [1, 10, 50])
@pytest.mark.parametrize("name", plugins.available("search_spaces"))
def test_the_cheapest_of_ten_nets_is_above_chance(name, images_per_class, digits):
    space = load_space(name, digits.image_shape, digits.num_classes)
    drawn = islice(uniform_architectures(space, seed=0, is_allowed=lambda cost: True), 10)
    cheapest = min(drawn, key=lambda architecture: space.cost(architecture).macs)
    chosen = torch.cat([of_class[:images_per_class] for of_class in digits.train.class_indices()])
    train = Examples.of(digits.train.select(chosen), digits.normalization, CPU)
    held_out = Examples.of(digits.validation, digits.normalization, CPU)
    training = proxy_training(Options(proxy=f"random_ipc{images_per_class}"), digits)
    net = space.build(cheapest, seed=0)
    fit(net, train, training, seed=0)
    accuracy = evaluate(net, held_out).accuracy
    assert training.steps == 240
    assert not is_at_chance(accuracy, digits.validation.labels)


@pytest.mark.parametrize("given", [None, 5])
def test_a_first_run_leaves_out_the_costliest_nets_and_says_so(tmp_path, capsys, given):
    options = Options(dataset="digits", out=tmp_path / "run", device="cpu", max_macs=given)
    with open_pipeline(options) as pipeline:
        assert pipeline.run.dataset.name == "digits"
        sample = list(islice(pipeline.run.audited(), 3)) if not given else []
    said = capsys.readouterr().out
    assert all(pipeline.run.space.cost(each).macs <= 1_000_000 for each, _ in sample)
    assert ("at most 1,000,000 multiply-adds on digits; --max-macs" in said) == (not given)
    assert read_json(tmp_path / "run" / "settings.json")["max_macs"] == (given or 1_000_000)


@pytest.mark.parametrize(
    ("given", "steps"), [({}, 480), ({"full_steps": 7}, 7), ({"full_epochs": 2}, 34)]
)
def test_a_data_set_may_know_how_long_a_full_training_is(tmp_path, digits, given, steps):
    options = Options(dataset="digits", out=tmp_path / "run", device="cpu", **given)
    assert full_training(options, digits, CPU).steps == steps
    with open_pipeline(options) as pipeline:
        pipeline.run.lengths.settle(pipeline.run.trained, lambda: pytest.fail("it is known"))
        assert pipeline.run.trained.training.steps == steps


@pytest.mark.parametrize(
    ("given", "device", "steps"),
    [({}, "cpu", 100), ({"steps": 7}, "cpu", 7), ({}, "cuda", 8_000), ({"steps": 7}, "cuda", 7)],
)
def test_a_data_set_may_know_how_long_it_is_to_be_distilled(digits, given, device, steps):
    options = Options(dataset="digits", **given)
    assert condensation(options, digits, torch.device(device)).recipe.steps == steps
    unknown = replace(digits, defaults=Defaults())
    expected = 300 if (given, device) == ({}, "cpu") else steps
    assert condensation(options, unknown, torch.device(device)).recipe.steps == expected
