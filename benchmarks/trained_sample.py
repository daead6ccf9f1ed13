"""Candidates of known truth, drawn as an audit of seed 0 does, and what sets of images say of them.

The rows of all trainings lie in one scores.csv, where the same command goes on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ranking_protocols
import torch
from recompute_audits import RESULTS, rows_of

from atom_nas.audit.sampling import audited_sample
from atom_nas.audit.trained_truth import Measured
from atom_nas.audit.truth_table import TruthTable
from atom_nas.data.sources import open_dataset
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.names import is_distilled, parse_name
from atom_nas.distillation.proxy import Proxy
from atom_nas.distillation.ready import Ready
from atom_nas.distillation.recipes import adjust, paper
from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.scorer import Sample, Scorer
from atom_nas.scoring.space import Space, candidate_name, load_space
from atom_nas.scoring.trainer import Trainer
from atom_nas.storage.files import CACHE
from atom_nas.training.cost import Cost
from atom_nas.training.memory import keep_freed_memory
from atom_nas.training.schedule import Training

CPU = torch.device("cpu")
MEASURES = ("accuracy_times_likelihood", "accuracy", "final_training_loss")
"""The first ranks, the others stand beside it."""


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Which candidates are trained, on what data, and where their rows lie."""

    space: str = "convnet"
    truth: str = "nas_bench_201"
    """A table by name, or a CSV."""
    max_macs: int | None = None
    dataset: str = "cifar10"
    draws: int = 2
    """Of each set."""
    n: int = 30
    """Candidates that are drawn."""
    skip: int = 0
    """Of these, so many of the first are left out."""
    is_fresh: bool = False
    """Of NAS-Bench-201: cells that the committed audit did not draw."""
    workers: str = "auto"
    data_dir: Path = CACHE
    out: Path = Path("trained")


class TrainedSample:
    """The candidates of `options`, and their trainings on sets by name."""

    def __init__(self, options: SampleOptions) -> None:
        keep_freed_memory(CPU)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._options = options
        self.dataset = open_dataset(options.dataset, options.data_dir, seed=0)
        image_shape, num_classes = self.dataset.image_shape, self.dataset.num_classes
        self.space = load_space(options.space, image_shape, num_classes)
        self._trainer = Trainer(self.dataset.normalization, CPU, workers=options.workers)
        options.out.mkdir(parents=True, exist_ok=True)

    @cached_property
    def sample(self) -> Sample:
        """The candidates, each with its seed; of NAS-Bench-201 those of ranking_protocols.py, or
        fresh ones."""
        options = self._options
        if options.space == "nas_bench_201":
            if options.is_fresh:
                return list(islice(fresh_cells(self.space), options.skip, options.n))
            return ranking_protocols.sample(self.space, options.n)[options.skip :]

        def is_allowed(cost: Cost) -> bool:
            return options.max_macs is None or cost.macs <= options.max_macs

        drawn = audited_sample(self.space, [], is_allowed=is_allowed, seed=0)
        return list(islice(drawn, options.skip, options.n))

    @cached_property
    def names(self) -> list[str]:
        """What the candidates are called in tables."""
        return [candidate_name(architecture) for architecture, _ in self.sample]

    @cached_property
    def full(self) -> list[Measured]:
        """The full trainings of each."""
        table = TruthTable.open(self._options.truth, self.space, self.dataset.name)
        return table.measure_all(self.sample)

    @property
    def truth(self) -> Array:
        """What full data say of each (n,): test accuracy, validation accuracy where that lacks."""
        return np.array([np.mean(each.test or each.validation) for each in self.full])

    def estimate(
        self,
        proxy: str,
        steps: int,
        *,
        draws: int | None = None,
        shrink: dict[str, int] | None = None,
        distil_steps: int | None = None,
    ) -> Estimator:
        """Train what lacks on the draws of `proxy`, `steps` each, and return the scores.

        There are `options.draws`, unless `draws` are given. `shrink` are settings of the space;
        where the proxy is distilled, `distil_steps` are those of the distillation, by default its
        recipe's.
        """

        def make(name: str, number: int) -> Proxy:
            return self.condensed(name, number, distil_steps)

        return self.estimate_made(proxy, make, steps, draws=draws, shrink=shrink)

    def estimate_made(
        self,
        proxy: str,
        make: Callable[[str, int], Proxy],
        steps: int,
        *,
        draws: int | None = None,
        shrink: dict[str, int] | None = None,
    ) -> Estimator:
        """Do the same where `make` returns the set of a name and a number."""
        options = self._options
        scorer = Scorer(
            table=ProxyScores(
                options.out / "scores.csv",
                space=self.space.shrunk(shrink or {}),
                dataset=self.dataset,
                trainer=self._trainer,
            ),
            condense=make,
            num_seeds=draws or options.draws,
            training=Training(steps=steps, flip=self.dataset.flip),
            measure=MEASURES[0],
        )
        return scorer.estimate(proxy, self.sample)

    def close(self) -> None:
        """Stop the workers."""
        self._trainer.close()

    def condensed(self, name: str, number: int, steps: int | None = None) -> Proxy:
        """Return the set of that name and number, made once, in `steps` where it is distilled.

        Settings of its recipe may follow the name, as in atom_ipc10:norm=none; atom_ipc50:box is
        the one that comes with the package; and sets may be added up, as in
        atom_ipc10+random_ipc10.
        """
        sets = [self._condensed(each, number, steps) for each in name.split("+")]
        return reduce(joined, sets)

    def _condensed(self, name: str, number: int, steps: int | None) -> Proxy:
        dataset, store = self.dataset, self._options.out / "proxies"
        own, settings = split(name)
        method, images_per_class = parse_name(own)
        job: Condensation | Ready
        if settings == "box":
            dataset = open_dataset("cifar10_box", self._options.data_dir, seed=0)
            settings = ""
        if is_distilled(method) and dataset.excerpt:
            job = Ready(dataset=dataset, name=own, seed=number)
        else:
            recipe = None
            if is_distilled(method):
                recipe = paper(dataset, images_per_class)
                recipe = adjust(replace(recipe, steps=steps or recipe.steps), settings)
            job = Condensation(
                dataset=dataset,
                method=method,
                images_per_class=images_per_class,
                seed=number,
                recipe=recipe,
            )
        return condense(job, job.folder(store), CPU)


def fresh_cells(space: Space) -> Iterator[tuple[Any, int]]:
    """Yield uniform draws of NAS-Bench-201 that the committed audit has no rows of."""
    known = {row["candidate"] for row in rows_of(RESULTS / "nas_bench_201-cifar10" / "scores.csv")}
    for cell, seed in audited_sample(space, [], is_allowed=lambda cost: True, seed=1):
        if candidate_name(cell) not in known:
            yield cell, seed


def by(measure: str, estimator: Estimator) -> Estimator:
    """Return what another measure of the same trainings, in the mean over draws, says."""
    if measure == estimator.measure:
        return estimator
    return replace(estimator, scores=estimator.variants[measure], repeats=None)


def joined(first: Proxy, second: Proxy) -> Proxy:
    """Return both sets as one of the first's kind."""
    images = first.images.join(second.images)
    sums = {key: first.manifest[key] + second.manifest[key] for key in ("macs", "seconds")}
    about = {"proxy": f"{first.name}+{second.name}", "images_digest": images.digest}
    return Proxy(images=images, manifest={**first.manifest, **sums, **about})


def split(name: str) -> tuple[str, str]:
    """Return the name of a set and the settings of its recipe, which may follow it: a colon."""
    own, _, settings = name.partition(":")
    return own, settings


def method_of(name: str) -> str:
    """Return the method of a set by its name, of several together the first's."""
    return parse_name(split(name.split("+")[0])[0])[0]


def size_of(name: str) -> int:
    """Return the images a class of a set, or of several together."""
    return sum(parse_name(split(each)[0])[1] for each in name.split("+"))
