"""A training under way: a net, and all that its next step depends on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from atom_nas.storage.files import derive_seed
from atom_nas.training.batches import Examples, batches
from atom_nas.training.layout import in_channels_last
from atom_nas.training.schedule import Training
from atom_nas.training.step import Step, record_graph

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Normalisation, whose parameters need not decay; LayerNorm's may have the shape of an image."""


class Course:
    """The training of one net on examples, which goes on by any number of steps."""

    def __init__(
        self, net: nn.Module, examples: Examples, training: Training, *, seed: int
    ) -> None:
        """Begin to train `net` in place; it is moved to where the `examples` are."""
        device = examples.images.device
        # Once: a recorded step writes to the parameters where they lie now.
        self.net: nn.Module = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps = 0
        """Made so far."""
        self._examples, self._training = examples, training
        self._generator = torch.Generator(device).manual_seed(seed)
        is_cuda = device.type == "cuda"
        self._optimizer = torch.optim.SGD(
            _groups(net, training),
            lr=training.learning_rate,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            nesterov=True,
            fused=True,
        )
        if is_cuda:  # a recorded step reads the rate of now from the device
            for group in self._optimizer.param_groups:
                group["lr"] = torch.tensor(training.learning_rate, device=device)
        self._schedule = _one_cycle(self._optimizer, training)
        self._step = Step(
            net,
            self._optimizer,
            max_grad_norm=training.max_grad_norm,
            label_smoothing=training.label_smoothing,
            device=device,
            record=record_graph if is_cuda else None,
        )
        self._shown = batches(examples, training, self._generator)
        self._draws = _Draws(device, seed)

    def go_on(self, count: int) -> Tensor:
        """Make `count` steps; return the sum of their losses, on the device, without waiting."""
        self.net.train()
        with in_channels_last(self.net), self._draws.go_on():
            for _ in range(count):
                self._step(*next(self._shown))
                self._schedule.step()
        self.steps += count
        total = self._step.total.clone()
        self._step.total.zero_()
        return total

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` takes, at the end of an epoch; the tensors are those in use."""
        assert self._is_between_epochs(self.steps), self.steps
        momenta = {
            f"momentum.{number}": self._optimizer.state[parameter]["momentum_buffer"]
            for number, parameter in enumerate(self.net.parameters())
            if self._optimizer.state[parameter].get("momentum_buffer") is not None
        }
        return {
            **{f"net.{name}": tensor for name, tensor in self.net.state_dict().items()},
            **momenta,
            **{f"draws.{number}": each for number, each in enumerate(self._draws.states)},
            "generator": self._generator.get_state(),
            "steps": torch.tensor(self.steps),
            "rate": torch.tensor(float(self._optimizer.param_groups[0]["lr"]), dtype=torch.float64),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on, before the first step, from where another course of the same training was."""
        assert self.steps == 0 and self._is_between_epochs(int(state["steps"]))
        names = self.net.state_dict()
        self.net.load_state_dict({name: state[f"net.{name}"] for name in names})
        for number, parameter in enumerate(self.net.parameters()):
            if (momentum := state.get(f"momentum.{number}")) is not None:
                place = torch.empty_like(parameter, requires_grad=False)
                self._optimizer.state[parameter]["momentum_buffer"] = place.copy_(momentum)
        self._draws.states = [state[f"draws.{i}"] for i in range(len(self._draws.states))]
        self._generator.set_state(state["generator"])
        self._schedule.last_epoch = self.steps = int(state["steps"])
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(float(state["rate"]))
            else:
                group["lr"] = float(state["rate"])

    def _is_between_epochs(self, steps: int) -> bool:
        """Say whether no image drawn is left to show after so many steps."""
        return steps % self._training.steps_in(1, len(self._examples.labels)) == 0


def _groups(net: nn.Module, training: Training) -> list[dict[str, object]]:
    """Return the parameters of `net` by how they decay."""
    parameters = list(net.parameters())
    if training.decays_norms:
        return [{"params": parameters}]
    of_norms = {
        id(parameter)
        for module in net.modules()
        if isinstance(module, NORMS)
        for parameter in module.parameters(recurse=False)
    }
    is_free = [each.ndim < 2 or id(each) in of_norms for each in parameters]
    pairs = list(zip(parameters, is_free, strict=True))
    return [
        {"params": [each for each, free in pairs if not free]},
        {"params": [each for each, free in pairs if free], "weight_decay": 0.0},
    ]


def _one_cycle(optimizer: torch.optim.Optimizer, training: Training) -> OneCycleLR:
    total = max(2, training.steps)
    share = training.warm_up
    return OneCycleLR(
        optimizer,
        max_lr=training.learning_rate,
        total_steps=total,
        pct_start=0.0 if share * total == 1 else share,  # torch divides by that less one
        cycle_momentum=False,
    )


class _Draws:
    """What the global generators draw for one net, whatever else draws from them between."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=self._devices):
            torch.manual_seed(derive_seed(seed, "net"))
            self.states = self._read()

    @contextmanager
    def go_on(self) -> Iterator[None]:
        """Draw from where it stopped; leave the global generators as they were."""
        with torch.random.fork_rng(devices=self._devices):
            torch.set_rng_state(self.states[0])
            for device, state in zip(self._devices, self.states[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            self.states = self._read()

    def _read(self) -> list[Tensor]:
        states = [torch.cuda.get_rng_state(device) for device in self._devices]
        return [torch.get_rng_state(), *states]
