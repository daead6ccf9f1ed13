"""The rivals of a proxy: other small sets, full data at equal cost, and sets of them by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from atom_nas.artifact import Proxy
from atom_nas.audit import Array, Estimator
from atom_nas.evaluation import CandidateError, ProxyScores
from atom_nas.images import Dataset
from atom_nas.runs import derive_seed
from atom_nas.train import Score

Sample = Sequence[tuple[Any, int]]
"""The audited candidates, as (architecture, seed)."""

AGAINST: dict[str, tuple[str, ...]] = {
    "free": ("random",),
    "equal_cost": ("random", "full_annealed", "full_stopped"),
    "coresets": ("random", "herding", "kmeans"),
    "all": (
        *("random", "herding", "kmeans", "dm", "datadam", "atom"),
        *("full_annealed", "full_stopped"),
    ),
}
"""What is measured beside the free scores, which always are."""

FULL = ("full_annealed", "full_stopped")


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores candidates by training on small sets of images, several draws of each set."""

    table: ProxyScores
    condense: Callable[[str, int], Proxy]
    """From (name, how many proxies of that name come before it) to the proxy."""
    num_seeds: int
    _proxies: dict[str, list[Proxy]] = field(default_factory=dict)

    def proxies(self, name: str) -> list[Proxy]:
        """Return the draws of the set called `name`, condensed once."""
        if name not in self._proxies:
            self._proxies[name] = [self.condense(name, i) for i in range(self.num_seeds)]
        return self._proxies[name]

    def score(self, name: str, architecture: Any, *, seed: int) -> list[Score]:
        """Train `architecture` on each draw of `name`; raises CandidateError where that fails."""
        return [
            self.table.score(
                proxy, architecture, seed=derive_seed(seed, "proxy", number) if number else seed
            )
            for number, proxy in enumerate(self.proxies(name))
        ]

    def estimate(self, name: str, sample: Sample) -> Estimator:
        """Return how `name` scores the sample; a candidate that fails comes last."""
        self.proxies(name)
        scores = []
        for architecture, seed in tqdm(sample, desc=name, unit="candidate"):
            try:
                scores.append(self.score(name, architecture, seed=seed))
            except CandidateError:
                scores.append([])
        return self.summarize(name, scores)

    def summarize(self, name: str, scores: Sequence[Sequence[Score]]) -> Estimator:
        """Return the mean over draws of each candidate's accuracy; one without scores has 0.

        The variants are the validation loss, and the training loss in its mean over epochs (the
        area under its curve; Ru et al., NeurIPS 2021) and in the last epoch, all
        negated, where one without scores is 1 nat below the others.
        """
        failed = Score(accuracy=0.0, loss=np.nan, seconds=np.nan, curve=(np.nan,))
        rows = [list(each) or [failed] * self.num_seeds for each in scores]
        table = np.array(
            [
                [(s.seconds, s.accuracy, -s.loss, -np.mean(s.curve), -s.curve[-1]) for s in row]
                for row in rows
            ]
        )
        seconds, accuracies, *others = np.moveaxis(table, 2, 0).swapaxes(1, 2)
        names = ("loss", "training_loss", "final_training_loss")
        proxies = self.proxies(name)
        return Estimator(
            name=proxies[0].name,
            scores=accuracies.mean(0),
            setup_seconds=sum(proxy.seconds for proxy in proxies),
            seconds_per_candidate=float(np.nan_to_num(np.nanmean(seconds.sum(0)))),
            repeats=accuracies,
            variants={name: _last(each.mean(0)) for name, each in zip(names, others, strict=True)},
        )


def _last(scores: Array) -> Array:
    """Return `scores` (n,) with those that are missing below all others."""
    return np.where(np.isnan(scores), np.nanmin(scores, initial=0.0) - 1, scores)


def full_data(name: str, dataset: Dataset, seed: int) -> Proxy:
    """Return all the training images as a proxy that took no time to make."""
    return Proxy(images=dataset.train, manifest={"proxy": name, "seed": seed, "seconds": 0.0})
