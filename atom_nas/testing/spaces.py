"""The contract of a search space."""

import ast
import random
import re
import sys
from dataclasses import FrozenInstanceError, fields
from itertools import islice
from typing import Any

import numpy as np
import optuna
import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from atom_nas.export.portable import portable_source
from atom_nas.scoring.space import (
    Space,
    architecture_json,
    candidate_name,
    load_space,
    uniform_architectures,
)

NUM_CLASSES = 7


class SpaceContract:
    """What every search space keeps.

    A subclass overrides the fixture `name`: that of a module of search_spaces, or a file's path.
    """

    @pytest.fixture
    def name(self) -> str:
        raise NotImplementedError("override the fixture `name`")

    @pytest.fixture
    def space(self, name: str) -> Space:
        return load_space(name, (3, 32, 32), NUM_CLASSES)

    @pytest.fixture
    def architecture(self, space: Space) -> Any:
        return next(uniform_architectures(space, seed=0, is_allowed=lambda cost: True))

    def test_architectures_are_frozen(self, architecture: Any) -> None:
        first = fields(architecture)[0].name
        with pytest.raises(FrozenInstanceError):
            setattr(architecture, first, getattr(architecture, first))

    def test_architectures_come_back_from_json_alike(self, space: Space) -> None:
        for architecture in _sampled(space):
            restored = space.restore(architecture_json(architecture))
            assert restored == architecture
            assert repr(restored) == repr(architecture)

    def test_each_architecture_has_a_name_of_its_own_that_a_file_can_have(
        self, space: Space
    ) -> None:
        sampled = _sampled(space)
        names = [candidate_name(architecture) for architecture in sampled]
        assert len(set(names)) == len(set(map(architecture_json, sampled)))
        assert all(re.fullmatch("[a-z0-9_][a-z0-9_-]{0,99}", name) for name in names)

    def test_the_trial_alone_decides_what_is_sampled(self, space: Space) -> None:
        study = _study()
        for _ in range(10):
            trial = study.ask()
            architecture = space.sample(trial)
            again = space.sample(optuna.trial.FixedTrial(trial.params))  # type: ignore[arg-type]
            assert again == architecture

    @pytest.mark.parametrize("image_shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
    def test_every_image_has_finite_logits_of_its_own(
        self, name: str, image_shape: tuple[int, int, int]
    ) -> None:
        space = load_space(name, image_shape, NUM_CLASSES)
        seed = image_shape[-1]
        for architecture in islice(
            uniform_architectures(space, seed=seed, is_allowed=lambda cost: True), 3
        ):
            net = space.build(architecture, seed=0)
            images = _images(image_shape)
            with torch.no_grad():
                assert net(images).shape == (len(images), NUM_CLASSES)
                logits = net.eval()(images)
                assert torch.isfinite(logits).all()
                torch.testing.assert_close(net(images[:1]), logits[:1], rtol=1e-4, atol=1e-5)

    def test_gradients_flow_and_the_weights_can_be_kept(self, space: Space) -> None:
        for architecture in islice(
            uniform_architectures(space, seed=1, is_allowed=lambda cost: True), 3
        ):
            net = space.build(architecture, seed=0)
            before = {name: value.shape for name, value in net.state_dict().items()}
            labels = torch.arange(4) % NUM_CLASSES
            F.cross_entropy(net(_images(space.image_shape)), labels).backward()
            gradients = [p.grad for p in net.parameters() if p.grad is not None]
            assert all(torch.isfinite(gradient).all() for gradient in gradients)
            assert any(gradient.abs().sum() > 0 for gradient in gradients)
            assert {name: value.shape for name, value in net.state_dict().items()} == before
            assert safetensors.torch.save(net.state_dict())  # refuses tensors that share memory

    def test_weights_depend_on_the_seed_alone(self, space: Space, architecture: Any) -> None:
        first, again, other = (
            _weights(space, architecture, seed, elsewhere)
            for seed, elsewhere in ((5, 1), (5, 2), (6, 1))
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_cost_is_counted(self, space: Space, architecture: Any) -> None:
        cost = space.cost(architecture)
        parameters = space.build(architecture, seed=0).parameters()
        assert cost.num_params == sum(parameter.numel() for parameter in parameters)
        assert cost.macs > 0

    def test_source_imports_only_torch_torchvision_ops_and_the_standard_library(
        self, space: Space
    ) -> None:
        for node in ast.walk(ast.parse(space.source.read_text(encoding="utf-8"))):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "a relative import cannot be exported"
                modules = [node.module or ""]
            for module in modules:
                package = module.partition(".")[0]
                allowed = package in sys.stdlib_module_names or package == "torch"
                assert allowed or module == "torchvision.ops", module

    def test_source_shares_no_name_with_what_the_export_adds(self, space: Space) -> None:
        assert compile(portable_source(space.code), "model.py", "exec")


def _study() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def _sampled(space: Space) -> list[Any]:
    study = _study()
    return [space.sample(study.ask()) for _ in range(100)]


def _images(image_shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randn(4, *image_shape, generator=torch.Generator().manual_seed(0))


def _weights(space: Space, architecture: Any, seed: int, elsewhere: int) -> torch.Tensor:
    """Return the weights (D,) of a net, built while the global generators are at `elsewhere`."""
    for manual_seed in (torch.manual_seed, random.seed, np.random.seed):
        manual_seed(elsewhere)
    net = space.build(architecture, seed=seed)
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
