"""Trainings in turn: each comes to what it comes to alone."""

import pytest
import torch
from torch import nn

from atom_nas.training.batches import Examples
from atom_nas.training.fit import fit, fit_in_parts
from atom_nas.training.schedule import Training
from atom_nas.training.turns import finish, in_turn

CPU = torch.device("cpu")
TRAINING = Training(steps=40, flip=True, batch_size=8)


def make_net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 3))


def make_examples():
    images = torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return Examples(images=images, labels=torch.arange(20) % 3)


@pytest.mark.parametrize("at_once", [1, 3, 9])
def test_what_is_drawn_by_one_does_not_depend_on_the_others(at_once):
    nets, alone = ([make_net(seed) for seed in range(5)] for _ in range(2))
    examples = make_examples()
    trainings = [fit_in_parts(net, examples, TRAINING, seed=seed) for seed, net in enumerate(nets)]
    torch.manual_seed(7)
    before = torch.get_rng_state()
    curves = dict(in_turn(trainings, at_once, CPU))
    assert torch.equal(torch.get_rng_state(), before)
    for seed, net in enumerate(alone):
        assert curves[seed] == fit(net, examples, TRAINING, seed=seed)
        assert torch.equal(net[2].weight, nets[seed][2].weight)


def test_parameters_stay_where_they_are_between_the_parts():
    """A recorded step writes there; the weights of a depthwise convolution fit both layouts."""
    net = nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, groups=6), nn.Flatten(), nn.Linear(24, 3)
    )
    places = []
    parts = fit_in_parts(net, make_examples(), TRAINING, seed=0)
    for _ in parts:
        places.append([parameter.data_ptr() for parameter in net.parameters()])
    assert len(places) == 30
    assert all(each == places[0] for each in places)


def counted(steps, log, name):
    for _ in range(steps):
        log.append(name)
        yield
    return name


def test_so_many_are_under_way_and_end_in_their_own_time():
    log = []
    trainings = [counted(steps, log, name) for name, steps in (("a", 3), ("b", 1), ("c", 2))]
    assert [*in_turn(trainings, 2, CPU)] == [(1, "b"), (0, "a"), (2, "c")]
    assert log == ["a", "b", "a", "a", "c", "c"]


def test_one_runs_to_its_end():
    assert finish(counted(4, [], "a")) == "a"


def test_an_error_ends_them_all():
    def fails():
        yield
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        [*in_turn([counted(9, [], "a"), fails()], 2, CPU)]
