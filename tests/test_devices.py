"""Devices by name."""

import pytest
import torch

from atom_nas.errors import UserError
from atom_nas.training.devices import resolve_device


@pytest.mark.parametrize("name", ["cpu", "cpu:0"])
def test_the_cpu_is_always_there(name):
    assert resolve_device(name) == torch.device(name)


@pytest.mark.parametrize(
    "name", ["cpu:", "cuda:", "cpu:x", "cpu:-1", "cpu:٣", "mps:0:0", "", "gpu", "cuda:" + "9" * 99]
)
def test_what_names_no_device_is_refused(name):
    with pytest.raises(
        UserError, match=r"^unknown device .* Known: auto, cpu, cuda, cuda:1, mps\.$"
    ):
        resolve_device(name)


def test_a_device_that_is_not_there_says_how_many_are():
    with pytest.raises(UserError, match="'cpu:1' is not there; this machine has 1 of cpu"):
        resolve_device("cpu:1")
