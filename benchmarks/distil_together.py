"""Distil several sets at once that differ in method and images per class alone.

    python benchmarks/distil_together.py --proxies atom_ipc1 atom_ipc10 datadam_ipc10 --steps 8000

What is random in a step depends on the seed and the step alone, so all of them match the same real
images in the same net, and these, most of the work, go through it once. The sets are those that
`atom-nas distill` makes, to the last bit; with its checkpoints either goes on. Of one step at a
time it is the turn of the set that is furthest behind.
"""

from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition

import command
import torch
from torch import Tensor

from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset
from atom_nas.distillation import matching
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.names import is_distilled, parse_name
from atom_nas.distillation.recipes import RECIPES, adjust
from atom_nas.errors import UserError, unknown
from atom_nas.storage.files import CACHE, digest
from atom_nas.training.convnet import FeatureNet
from atom_nas.training.devices import resolve_device
from atom_nas.training.memory import keep_freed_memory


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is distilled."""

    proxies: tuple[str, ...]
    """Sets by name, as in atom_ipc10."""
    dataset: str = "cifar10"
    data_dir: Path = CACHE
    recipe: str = "released"
    steps: int | None = None
    """Default the recipe's own."""
    adjust: str = ""
    """Other settings of the recipe, as in real_batch=128."""
    seed: int = 0
    device: str = "cpu"
    out: Path = Path("together")
    """A folder, with one of each set's name."""

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise unknown("recipe", self.recipe, RECIPES)
        for name in self.proxies:
            if not is_distilled(parse_name(name)[0]):
                raise UserError(f"{name} is chosen, not distilled; leave it out of --proxies.")


class Turns:
    """Whose step it is: that of the set which is furthest behind."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._steps = dict.fromkeys(names, -1)
        self._changed = Condition()
        self._real: tuple[int, tuple[list[Tensor], Tensor]] | None = None
        self._has_ended = False

    @contextmanager
    def step(self, name: str, step: int) -> Iterator[None]:
        """Wait for the turn of `name`, and hold it; raises CancelledError after an `end`."""
        with self._changed:
            self._set(name, step)
            self._changed.wait_for(lambda: self._has_ended or self._is_next(name))
            if self._has_ended:
                raise CancelledError
            yield
            self._set(name, step + 1)

    def leave(self, name: str) -> None:
        """Go on without `name`, which is done or failed."""
        with self._changed:
            del self._steps[name]
            self._changed.notify_all()

    def end(self) -> None:
        """End all of them at their next steps."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def real_features(self, net: FeatureNet, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return what `net` makes of the real images of this step, computed once."""
        now = min(self._steps.values())
        if self._real is None or self._real[0] != now:
            self._real = now, FeatureNet.forward(net, images)
        return self._real[1]

    def _set(self, name: str, step: int) -> None:
        self._steps[name] = step
        self._changed.notify_all()

    def _is_next(self, name: str) -> bool:
        furthest_behind = min(self._steps, key=lambda each: self._steps[each])
        return furthest_behind == name


@contextmanager
def shared_steps(turns: Turns) -> Iterator[None]:
    """Let the steps of every distillation of this process take turns, and share real features."""
    gradient, plain_net = matching.Matching.gradient, matching.FeatureNet

    class SharedNet(FeatureNet):
        def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
            if torch.is_grad_enabled():
                return super().forward(images)
            return turns.real_features(self, images)

    def in_turn(
        self: matching.Matching, images: Tensor, net: FeatureNet, step: int
    ) -> tuple[Tensor, Tensor]:
        if self._classes_per_pass(images) < len(self.class_indices):
            raise UserError("the images of all classes are too many for one pass of the net.")
        with turns.step(self.job, step):
            return gradient(self, images, net, step)

    matching.Matching.gradient = in_turn  # type: ignore[method-assign]
    matching.FeatureNet = SharedNet  # type: ignore[misc]
    try:
        yield
    finally:
        matching.Matching.gradient = gradient  # type: ignore[method-assign]
        matching.FeatureNet = plain_net  # type: ignore[misc]


def condensations(settings: Settings, dataset: Dataset) -> list[Condensation]:
    """Return what is made; raises UserError where classes go through a net by themselves."""
    jobs = []
    for name in settings.proxies:
        method, images_per_class = parse_name(name)
        own = RECIPES[settings.recipe](dataset, images_per_class)
        recipe = adjust(replace(own, steps=settings.steps or own.steps), settings.adjust)
        if recipe.norm != "batch":
            raise UserError(
                f"norm is {recipe.norm}, in which every class goes through the net by itself; "
                "sets are distilled together with norm=batch."
            )
        job = Condensation(
            dataset=dataset,
            method=method,
            images_per_class=images_per_class,
            seed=settings.seed,
            recipe=recipe,
            device_type=resolve_device(settings.device).type,
        )
        jobs.append(job)
    return jobs


def main(settings: Settings) -> None:
    device = resolve_device(settings.device)
    keep_freed_memory(device)
    dataset = open_dataset(settings.dataset, settings.data_dir, seed=settings.seed)
    jobs = condensations(settings, dataset)
    turns = Turns(tuple(digest(job.identity) for job in jobs))

    def make(job: Condensation) -> None:
        try:
            condense(job, settings.out / job.name, device)
        finally:
            turns.leave(digest(job.identity))

    with shared_steps(turns), ThreadPoolExecutor(len(jobs)) as pool:
        try:
            for made in [pool.submit(make, job) for job in jobs]:
                made.result()
        finally:
            turns.end()


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
