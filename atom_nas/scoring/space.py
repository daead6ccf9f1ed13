"""A search space, loaded by name or path: candidates drawn, named, built and counted."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import optuna
import torch
from torch import nn

from atom_nas import plugins
from atom_nas.errors import unknown
from atom_nas.training.cost import Cost, measure_cost

NEEDS = ("Architecture", "sample", "build")
MAX_IDLE_DRAWS = 1_000


@dataclass(frozen=True, kw_only=True)
class Space:
    """A plug-in module with `Architecture` (a frozen dataclass), `sample(trial)` and
    `build(architecture, image_shape, num_classes)`, for the images of one data set."""

    name: str
    module: ModuleType
    image_shape: tuple[int, int, int]
    num_classes: int
    settings: dict[str, int] = field(default_factory=dict)
    """Keyword arguments of `build` other than its defaults."""

    def shrunk(self, settings: dict[str, int]) -> Self:
        """Return the space of the same architectures, built with other `settings`.

        Raises UserError where `build` has no such keyword.
        """
        parameters = inspect.signature(self.module.build).parameters.values()
        allowed = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
        for name in settings:
            if name not in allowed:
                raise unknown(f"setting of the space {self.name}", name, allowed)
        return replace(self, settings=settings)

    @property
    def source(self) -> Path:
        """The file of the module."""
        assert self.module.__file__ is not None
        return Path(self.module.__file__)

    @property
    def digest(self) -> str:
        """SHA-256 of the module's source."""
        return hashlib.sha256(self.source.read_bytes()).hexdigest()

    def sample(self, trial: optuna.Trial) -> Any:
        """Return the architecture that `trial` suggests."""
        return self.module.sample(trial)

    def build(self, architecture: Any, *, seed: int) -> nn.Module:
        """Return a fresh net whose weights depend on `seed` alone, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._build(architecture)

    def cost(self, architecture: Any) -> Cost:
        """Return the parameters and MACs of `architecture`."""
        return measure_cost(lambda: self._build(architecture), self.image_shape)

    def restore(self, fields: str) -> Any:
        """Return the architecture that `describe` wrote as JSON."""
        values = json.loads(fields)
        return self.module.Architecture(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        )

    def _build(self, architecture: Any) -> nn.Module:
        net: nn.Module = self.module.build(
            architecture, self.image_shape, self.num_classes, **self.settings
        )
        return net


def load_space(name: str, image_shape: tuple[int, int, int], num_classes: int) -> Space:
    """Return the space called `name`, or the one in the file that `name` is the path of."""
    module = plugins.load("search_spaces", name, kind="search space", needs=NEEDS)
    stem = Path(name).stem if name.endswith(".py") else name
    return Space(name=stem, module=module, image_shape=image_shape, num_classes=num_classes)


def candidate_name(architecture: Any) -> str:
    """Return the values of `architecture` joined by dashes: its name in tables and folders."""
    values = asdict(architecture).values()
    return "-".join(
        "_".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
        for value in values
    )


def describe(architecture: Any) -> str:
    """Return the fields of `architecture` as JSON."""
    return json.dumps(asdict(architecture))


def draw_uniformly(space: Space, *, seed: int, is_allowed: Callable[[Cost], bool]) -> Iterator[Any]:
    """Yield distinct architectures drawn uniformly among those that can be built and are allowed.

    Ends where 1,000 draws in a row give nothing new: the space is used up, or nearly.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    seen: set[str] = set()
    idle = 0
    while idle < MAX_IDLE_DRAWS:
        trial = study.ask()
        idle += 1
        try:
            architecture = space.sample(trial)
            name = candidate_name(architecture)
        except Exception:
            continue
        finally:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if name not in seen:
            seen.add(name)
            if _is_allowed(space, architecture, is_allowed):
                idle = 0
                yield architecture


def _is_allowed(space: Space, architecture: Any, is_allowed: Callable[[Cost], bool]) -> bool:
    try:
        return is_allowed(space.cost(architecture))
    except Exception:
        return False
