"""The cost of a network, counted by hand, without memory and without a trace."""

import pytest
import torch
from torch import nn

from atom_nas.training.cost import Cost, measure_cost


def test_counts_convolutions_and_matrix_products_by_hand():
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8, bias=False),
            nn.Flatten(),
            nn.Linear(8 * 2 * 3, 10),
        )

    convolutions = 8 * (8 * 12) * (3 * 3 * 3) + 8 * (2 * 3) * (5 * 5)
    assert measure_cost(build, (3, 8, 12)) == Cost(
        num_params=(3 * 8 * 9 + 8) + (8 + 8) + 8 * 25 + (48 * 10 + 10),
        macs=convolutions + 48 * 10,
    )


def test_counts_frozen_parameters():
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 2).requires_grad_(False))

    assert measure_cost(build, (1, 2, 2)).num_params == 10


def test_a_huge_network_needs_no_memory():
    cost = measure_cost(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 2**20, 2**20)), (3, 1024, 1024)
    )
    assert cost.macs == 3 * 2**40


def test_network_is_in_evaluation_mode():
    seen = []

    class Probe(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append((self.training, tuple(images.shape), images.device.type))
            return images

    measure_cost(Probe, (2, 3, 5))
    assert seen == [(False, (1, 2, 3, 5), "meta")]


def test_global_random_generator_is_left_alone():
    def build() -> nn.Module:
        torch.rand(3, device="cpu")
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))

    before = torch.get_rng_state()
    measure_cost(build, (1, 2, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_default_device_and_gradients_are_restored_after_an_error():
    def build() -> nn.Module:
        raise RuntimeError("no such network")

    with pytest.raises(RuntimeError, match="no such network"):
        measure_cost(build, (1, 2, 2))
    assert torch.empty(1).device.type == "cpu"
    assert torch.is_grad_enabled()


def test_a_network_that_reads_numbers_while_it_is_built_is_counted():
    def build() -> nn.Module:
        widths = [round(width.item()) for width in torch.linspace(2, 6, 3)]
        return nn.Sequential(nn.Flatten(), *map(nn.Linear, [4, *widths[:-1]], widths))

    state = torch.get_rng_state()
    assert measure_cost(build, (1, 2, 2)).macs == 4 * 2 + 2 * 4 + 4 * 6
    assert torch.equal(torch.get_rng_state(), state)


def test_a_net_with_other_logits_than_classes_is_refused():
    def wide():
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 510))

    assert measure_cost(wide, (3, 2, 2), 510).num_params == 13 * 510
    with pytest.raises(ValueError, match=r"the net returns \(1, 510\) for an image, not logits"):
        measure_cost(wide, (3, 2, 2), 10)
    with pytest.raises(ValueError, match="returns tuple"):
        measure_cost(lambda: nn.LSTM(2, 2), (3, 2), 10)
