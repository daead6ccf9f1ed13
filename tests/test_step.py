"""One update: as a plain loop makes it, also where it is recorded and replayed."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from atom_nas.training.batches import Examples, shift_and_flip
from atom_nas.training.fit import fit
from atom_nas.training.schedule import Training
from atom_nas.training.step import PLAIN_CALLS, Step

CPU = torch.device("cpu")
NORMS = {
    "none": nn.Identity,
    "batch": lambda: nn.BatchNorm2d(6),
    "layer": lambda: nn.LayerNorm([6, 8, 8]),
    "instance": lambda: nn.GroupNorm(6, 6),
    "group": lambda: nn.GroupNorm(2, 6),
}


def make_net(norm="batch", seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        NORMS[norm](),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 4),
    )


def make_examples(count=37):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    return Examples(images=images, labels=torch.arange(count) % 4)


def plain_fit(net, examples, training, seed):
    """Train as `fit` says that it does, in the usual words."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        net.parameters(), training.learning_rate, 0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.learning_rate, total_steps=training.steps, cycle_momentum=False
    )
    step = 0
    while step < training.steps:
        order = torch.randperm(len(examples.labels), generator=generator)
        images = shift_and_flip(examples.images[order], training, generator)
        for start in range(0, len(order), training.batch_size)[: training.steps - step]:
            batch = slice(start, start + training.batch_size)
            loss = F.cross_entropy(net(images[batch]), examples.labels[order][batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), training.max_grad_norm)
            optimizer.step()
            schedule.step()
            step += 1


def replayed_at_once(launch):
    """Record nothing: what is launched again does the same on the same tensors."""
    return launch


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("is_recorded", [False, True])
def test_weights_are_those_of_a_plain_loop(norm, is_recorded, monkeypatch):
    if is_recorded:
        plain = Step.__init__
        monkeypatch.setattr(
            Step, "__init__", lambda *a, **k: plain(*a, **k | {"record": replayed_at_once})
        )
    training = Training(steps=30, flip=True, batch_size=16)
    ours, theirs = make_net(norm), make_net(norm)
    fit(ours, make_examples(), training, seed=3)
    plain_fit(theirs, make_examples(), training, seed=3)
    for (name, found), expected in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6, msg=name)


def make_step(net, record):
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    return Step(net, optimizer, max_grad_norm=1.0, device=CPU, record=record)


def test_a_size_is_recorded_after_its_plain_calls_on_memory_of_its_own():
    recorded, replayed = [], []

    def record(launch):
        recorded.append(launch)
        return lambda: replayed.append(len(recorded))

    step, examples = make_step(make_net(), record), make_examples(8)
    for _ in range(PLAIN_CALLS + 2):
        step(examples.images, examples.labels)
        step(examples.images[:5], examples.labels[:5])
    assert len(recorded) == 2
    assert replayed == [1, 2, 2, 2]  # the first time one recording was there, then both
    assert step.total > 0


def test_what_cannot_be_recorded_goes_on_plainly_and_is_not_tried_again():
    tried = []

    def record(launch):
        tried.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    nets = make_net(), make_net()
    examples = make_examples(8)
    for net, each in zip(nets, (None, record), strict=True):
        step = make_step(net, each)
        for _ in range(5):
            step(examples.images, examples.labels)
    assert tried == [1]
    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))
