"""The pools of ConvNets that search_regret.py searches in, from committed rows.

Those of digits have three lengths of full training, those of CIFAR-10 one. Both have test
accuracies. The free scores are taken once, and lie beside the scores on proxies.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recompute_audits import RESULTS, rows_of
from search_pool import Pool

from atom_nas.audit.free_scores import FreeScores
from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset
from atom_nas.distillation.macs import count_distillation
from atom_nas.distillation.names import is_distilled, parse_name
from atom_nas.distillation.recipes import paper
from atom_nas.scoring.estimator import Estimator
from atom_nas.scoring.objective import DEFAULT_MEASURE, MEASURES
from atom_nas.scoring.space import Space, load_space
from atom_nas.storage.files import CACHE
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, Outcome
from atom_nas.training.schedule import Training
from search_spaces.convnet import CHOICES

Rows = list[dict[str, str]]

OF_240, OF_300 = ("c3bf4eee336ac3d0", "21a25fbb292adbd8"), "499b3ff46e126cae"
"""Digests among the rows of digits: of trainings of 240 steps, on random images and on distilled
ones; and of the set after 300 steps of distillation, which is left out for that after 100."""


def digits() -> Pool:
    """Return the ConvNets of digits under 2 M multiply-adds: three lengths of full training."""
    folder = RESULTS / "cheaper-digits"
    rows = [*rows_of(folder / "scores.csv"), *rows_of(RESULTS / "distil-digits" / "scores.csv")]
    nets = ConvNets(
        dataset=open_dataset("digits", CACHE, seed=0),
        truth=rows_of(folder / "truth.csv"),
        lengths=(960, 240, 480),
        rows=[r for r in rows if r["training_digest"] in OF_240 and r["proxy_digest"] != OF_300],
        distil_steps=100,
        num_measured=270,
        free=folder / "free.csv",
    )
    return nets.pool("digits")


def box() -> Pool:
    """Return the ConvNets of the box: one full training of CIFAR-10 each.

    So one training both picks, by validation images, and judges, by test images.
    """
    folder = RESULTS / "box-cifar10"
    nets = ConvNets(
        dataset=open_dataset("cifar10", CACHE, seed=0),
        truth=rows_of(folder / "first-trainings" / "truth.csv"),
        lengths=(5632,),
        rows=rows_of(folder / "scores.csv"),
        distil_steps=300,
        num_measured=2_000,
        free=RESULTS / "box-audit" / "free.csv",
    )
    return nets.pool("CIFAR-10")


@dataclass(frozen=True, kw_only=True)
class ConvNets:
    """Nets of the space convnet, and the rows that there are of each."""

    dataset: Dataset
    truth: Rows
    """Full trainings."""
    lengths: tuple[int, ...]
    """Their steps; the first are the truth."""
    rows: Rows
    """Of 240 steps on proxies."""
    distil_steps: int
    num_measured: int
    """Images that a net is measured on after a training on a proxy."""
    free: Path
    """The table of the free scores."""

    def pool(self, name: str) -> Pool:
        """Return the nets that have rows on all proxies' images."""
        space = load_space("convnet", self.dataset.image_shape, self.dataset.num_classes)
        draws = sorted({(row["proxy"], row["proxy_digest"]) for row in self.rows})
        own = {
            key: {row["candidate"]: row for row in self.rows if row["proxy_digest"] == key}
            for _, key in draws
        }
        known = dict.fromkeys(row["candidate"] for row in self.truth)
        names = [each for each in known if all(each in scored for scored in own.values())]
        nets = [net_of(space, each) for each in names]
        macs = float(np.mean([space.cost(net).macs for net in nets]))
        proxies: dict[str, tuple[Estimator, ...]] = {}
        for proxy, key in draws:
            found = self._on(proxy, [own[key][each] for each in names], macs)
            proxies[proxy] = (*proxies.get(proxy, ()), found)
        whole, *shorter = self.lengths
        num_train = len(self.dataset.train)
        num_validation = len(self.dataset.validation)
        full = self._passes(whole, num_train, num_validation)
        return Pool(
            name=f"{name}, {len(names)} ConvNets",
            names=tuple(names),
            trainings=tuple(self._accuracies(whole, "validation", names)),
            test=np.array([np.mean(each) for each in self._accuracies(whole, "test", names)]),
            full_macs=macs * full,
            proxies=proxies,
            free=tuple(self._free(space, nets)),
            shorter={
                self._passes(steps, num_train, num_validation) / full: np.array(
                    [np.mean(each) for each in self._accuracies(steps, "validation", names)]
                )
                for steps in shorter
            },
            eta=2,
        )

    def _passes(self, steps: int, num_images: int, num_measured: int) -> float:
        shown = Training(steps=steps, flip=self.dataset.flip).images_shown(num_images)
        return FORWARD_BACKWARD * shown + FORWARD * num_measured

    def _accuracies(self, steps: int, split: str, names: list[str]) -> list[tuple[float, ...]]:
        own = [row for row in self.truth if row["steps"] == str(steps)]
        column = f"{split}_accuracy"
        return [tuple(float(r[column]) for r in own if r["candidate"] == name) for name in names]

    def _on(self, proxy: str, rows: Rows, macs: float) -> Estimator:
        """Return the scores of trainings on `proxy` of nets of so many multiply-adds."""
        method, per_class = parse_name(proxy)
        setup = 0.0
        if is_distilled(method):
            recipe = replace(paper(self.dataset, per_class), steps=self.distil_steps)
            setup = count_distillation(recipe, self.dataset.train, per_class)
        outcomes = [
            Outcome(
                accuracy=float(row["accuracy"]),
                loss=float(row["loss"]),
                curve=tuple(map(float, row["curve"].split())),
            )
            for row in rows
        ]
        found = {key: np.array([by(each) for each in outcomes]) for key, by in MEASURES.items()}
        num_images = per_class * self.dataset.num_classes
        return Estimator(
            name=proxy,
            kind="distilled" if setup else "random",
            scores=found.pop(DEFAULT_MEASURE),
            variants=found,
            setup_macs=setup,
            macs_per_candidate=macs * self._passes(240, num_images, self.num_measured),
        )

    def _free(self, space: Space, nets: list[Any]) -> list[Estimator]:
        scores = FreeScores(
            self.free, space=space, dataset=self.dataset, seed=0, device=torch.device("cpu")
        )
        return scores.estimators(nets)


def net_of(space: Space, name: str) -> Any:
    """Return the architecture called `name`."""
    words = [int(word) if word.isdigit() else word for word in name.split("-")]
    return space.module.Architecture(**dict(zip(CHOICES, words, strict=True)))
