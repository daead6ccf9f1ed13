"""The rivals of a proxy: other small sets, full data at equal cost, and sets of them by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from atom_nas.artifact import Proxy
from atom_nas.audit import Estimator
from atom_nas.evaluation import CandidateError, ProxyScores
from atom_nas.images import Dataset
from atom_nas.runs import derive_seed

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
    """Scores a sample by training on small sets of images, several seeds each."""

    scores: ProxyScores
    condense: Callable[[str, int], Proxy]
    """From (name, how many proxies of that name come before it) to the proxy."""
    num_seeds: int

    def estimate(self, name: str, sample: Sample) -> Estimator:
        """Return the mean accuracy over the seeds, each with a proxy of its own.

        A candidate that fails scores 0. The variants are the validation loss and the mean of the
        training loss over epochs, both negated.
        """
        proxies = [self.condense(name, number) for number in range(self.num_seeds)]
        measured = [self._score_all(proxy, sample, i) for i, proxy in enumerate(proxies)]
        accuracies, losses, areas, seconds = np.stack(measured, axis=1)
        return Estimator(
            name=name,
            scores=accuracies.mean(0),
            setup_seconds=sum(proxy.seconds for proxy in proxies),
            seconds_per_candidate=float(np.nansum(np.nanmean(seconds, axis=1))),
            repeats=accuracies,
            variants={"loss": losses.mean(0), "training_loss": areas.mean(0)},
        )

    def _score_all(self, proxy: Proxy, sample: Sample, number: int) -> list[list[float]]:
        """Return accuracies, negated losses, negated areas and seconds, (4, n)."""
        rows = []
        for architecture, seed in tqdm(sample, desc=proxy.name, unit="candidate"):
            if number:
                seed = derive_seed(seed, "proxy", number)
            try:
                score = self.scores.score(proxy, architecture, seed=seed)
            except CandidateError:
                rows.append([0.0, np.nan, np.nan, np.nan])
            else:
                area = float(np.mean(score.curve))
                rows.append([score.accuracy, -score.loss, -area, score.seconds])
        table = np.array(rows).T
        worst = np.nanmin(table[1:3], axis=1, initial=0.0, keepdims=True) - 1
        table[1:3] = np.where(np.isnan(table[1:3]), worst, table[1:3])
        return table.tolist()  # type: ignore[no-any-return]


def full_data(name: str, dataset: Dataset, seed: int) -> Proxy:
    """Return all the training images as a proxy that took no time to make."""
    return Proxy(images=dataset.train, manifest={"proxy": name, "seed": seed, "seconds": 0.0})
