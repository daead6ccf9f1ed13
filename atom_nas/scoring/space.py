"""A search space, loaded by name or path: candidates drawn, named, built and counted."""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import optuna
import torch
from torch import nn

from atom_nas import plugins
from atom_nas.errors import UserError, explain, unknown
from atom_nas.scoring.architecture import flaw, from_json, plain_fields
from atom_nas.storage.files import derive_seed, digest
from atom_nas.training.cost import Cost, measure_cost
from atom_nas.training.devices import is_device_failure

NEEDS = ("Architecture", "sample", "build")
MAX_IDLE_DRAWS = 1_000
MAX_NAME = 100
IMAGE_SIZE = "image_size"


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
    _costs: dict[str, Cost] = field(default_factory=dict, init=False, repr=False, compare=False)

    def shrunk(self, settings: dict[str, int]) -> Self:
        """Return the space of the same architectures, built with other `settings`.

        `image_size`, which every space has, is the height and width of the images. Raises UserError
        where it is more than they have now, or `build` has no such keyword.
        """
        parameters = inspect.signature(self.module.build).parameters.values()
        allowed = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
        for name in settings:
            if name not in (*allowed, IMAGE_SIZE):
                raise unknown(f"setting of the space {self.name}", name, [*allowed, IMAGE_SIZE])
        shape, least = self.image_shape, min(self.image_shape[1:])
        if IMAGE_SIZE in settings:
            settings = dict(settings)
            size = settings.pop(IMAGE_SIZE)
            if not 0 < size <= least:
                raise UserError(f"{IMAGE_SIZE} is {size}; images can have from 1 to {least} here.")
            shape = (shape[0], size, size)
        is_same = settings == self.settings and shape == self.image_shape
        return self if is_same else replace(self, settings=settings, image_shape=shape)

    @property
    def source(self) -> Path:
        """The file of the module."""
        assert self.module.__file__ is not None
        return Path(self.module.__file__)

    @property
    def code(self) -> bytes:
        """The source of the module as it was loaded, whatever its file is now."""
        return plugins.source(self.module)

    @property
    def digest(self) -> str:
        """SHA-256 of `code`."""
        return plugins.source_digest(self.module)

    def sample(self, trial: optuna.Trial) -> Any:
        """Return the architecture that `trial` suggests; TypeError where it is no Architecture."""
        with no_exit():
            architecture = self.module.sample(_Suggesting(trial))
        if not isinstance(architecture, self.module.Architecture):
            raise TypeError(f"sample returned {type(architecture).__name__}, no Architecture")
        return architecture

    def build(self, architecture: Any, *, seed: int) -> nn.Module:
        """Return a fresh net whose weights depend on `seed` alone, on the CPU."""
        with no_exit(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed is also that of a GPU
            return self._build(architecture)

    def cost(self, architecture: Any) -> Cost:
        """Return the parameters and MACs of `architecture`, counted once."""
        key = architecture_json(architecture)
        if key not in self._costs:
            with no_exit():
                self._costs[key] = measure_cost(
                    lambda: self._build(architecture), self.image_shape, self.num_classes
                )
        return self._costs[key]

    def known_cost(self, architecture: Any) -> Cost | None:
        """Return what `cost` has counted, if it has; nothing of the architecture is built."""
        return self._costs.get(architecture_json(architecture))

    def restore(self, text: str) -> Any:
        """Return the architecture that `architecture_json` wrote as `text`."""
        return self.module.Architecture(**from_json(text))

    def _build(self, architecture: Any) -> nn.Module:
        """Return what the module builds; threads that it sets are set back for the others."""
        num_threads = torch.get_num_threads()
        try:
            net: nn.Module = self.module.build(
                architecture, self.image_shape, self.num_classes, **self.settings
            )
        finally:
            if torch.get_num_threads() != num_threads:
                torch.set_num_threads(num_threads)
        return net


def load_space(name: str, image_shape: tuple[int, int, int], num_classes: int) -> Space:
    """Return the space called `name`, or the one in the file that `name` is the path of.

    Raises UserError where there is none, or it is not made as a space has to be.
    """
    module = plugins.load("search_spaces", name, kind="search space", needs=NEEDS)
    stem = Path(name).stem if name.endswith(".py") else name
    reason = flaw(module.Architecture)
    for function in ("sample", "build"):
        if not callable(getattr(module, function)):
            reason = f"{function} is no function; define it with def"
    if reason:
        raise UserError(f"search space {name!r}: {reason}.")
    return Space(name=stem, module=module, image_shape=image_shape, num_classes=num_classes)


class _Suggesting:
    """A trial as a space sees it: its choices may be tuples too, of which Optuna keeps the JSON."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of `choices`."""
        if all(isinstance(each, str | int | float | None) for each in choices):
            return self._trial.suggest_categorical(name, choices)
        texts = [json.dumps(each) for each in choices]
        return choices[texts.index(self._trial.suggest_categorical(name, texts))]


@contextmanager
def no_exit() -> Iterator[None]:
    """Turn sys.exit in the code of a space into a RuntimeError, so that one candidate fails."""
    try:
        yield
    except SystemExit as end:
        raise RuntimeError(f"the space called sys.exit({end.code!r})") from end


def candidate_name(architecture: Any) -> str:
    """Return the name of `architecture` in tables and folders, one for each in its space.

    Its values joined by dashes where all are lower-case words or whole numbers from 0; else what
    is left of them in a file name, and ten digits of their SHA-256. It has at most 100 characters
    of a-z, 0-9, "_" and "-", and is no name that a system keeps for itself. Raises UserError for
    a value that is not allowed (`plain_fields`).
    """
    values = plain_fields(architecture)
    texts = [str(value) for value in values.values()]
    name = "-".join(texts)
    is_plain = all(map(_is_word, values.values())) and 0 < len(name) <= MAX_NAME
    if is_plain and not _TAKEN.search(name):
        return name
    parts = (re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") for text in texts)
    readable = "-".join(filter(None, parts))[: MAX_NAME - 11]
    return f"{readable}-{digest(values)[:10]}".lstrip("-")


def candidate_seed(seed: int, name: str) -> int:
    """Return the seed of the trainings of the candidate called `name` in a run of `seed`.

    It is the same whoever comes upon the candidate, so that no training is made twice.
    """
    return derive_seed(seed, "candidate", name)


def _is_word(value: object) -> bool:
    if isinstance(value, str):
        return re.fullmatch("[a-z][a-z0-9_]*", value) is not None
    return type(value) is int and value >= 0


_TAKEN = re.compile(r"^(con|prn|aux|nul|(com|lpt)[0-9])$|(^|-)[0-9a-f]{10}$")
"""Devices of Windows, and what ends as a name with a digest does."""


def architecture_json(architecture: Any) -> str:
    """Return the fields of `architecture` as a JSON object, which `Space.restore` reads."""
    return json.dumps(plain_fields(architecture))


def uniform_architectures(
    space: Space,
    *,
    seed: int,
    is_allowed: Callable[[Cost], bool],
    cost: Callable[[Any], Cost] | None = None,
) -> Iterator[Any]:
    """Yield distinct architectures drawn uniformly among those that can be built and are allowed.

    `cost` says what one costs, if more than `space` counts.
    Ends where 1,000 draws in a row give nothing new: the space is used up, or nearly. Raises
    UserError for an architecture that cannot be named, and where none could be drawn and built.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    seen: set[str] = set()
    idle, failure, has_one = 0, "", False
    while idle < MAX_IDLE_DRAWS:
        trial = study.ask()
        idle += 1
        try:
            architecture = space.sample(trial)
        except Exception as error:
            failure = explain(error)
            continue
        finally:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        name = candidate_name(architecture)
        if name not in seen:
            seen.add(name)
            try:
                found = (cost or space.cost)(architecture)
            except Exception as error:
                if is_device_failure(error):
                    raise
                failure = explain(error)
                continue
            has_one = True
            if is_allowed(found):
                idle = 0
                yield architecture
    if failure and not has_one:
        raise UserError(f"no candidate of {space.name} can be drawn and built: {failure}")
