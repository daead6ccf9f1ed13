"""Candidates scored by training on small sets of images, several draws of each set."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from atom_nas.distillation.proxy import Proxy
from atom_nas.scoring.estimator import Array, Estimator, Kind
from atom_nas.scoring.proxy_scores import CandidateError, ProxyScores
from atom_nas.storage import derive_seed
from atom_nas.training.fit import Score

MEASURES: Mapping[str, Callable[[Score], float]] = {
    "accuracy": lambda score: score.accuracy,
    "accuracy_times_likelihood": lambda score: score.accuracy * math.exp(-score.curve[-1]),
    "loss": lambda score: -score.loss,
    "training_loss": lambda score: -float(np.mean(score.curve)),
    "final_training_loss": lambda score: -score.curve[-1],
}
"""What a training says of its candidate, higher is better: accuracy and loss on the validation
split; the training loss in its mean over epochs (the area under its curve; Ru et al., NeurIPS
2021) and in the last epoch; and the accuracy times the likelihood of a training label in the last
epoch (the geometric mean)."""

DEFAULT_MEASURE = "accuracy_times_likelihood"
"""Chosen by the measurements in docs/audit.md."""

_FAILED = Score(accuracy=0.0, loss=np.nan, seconds=np.nan, curve=(np.nan,))


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores candidates by training on small sets of images, several draws of each set."""

    table: ProxyScores
    condense: Callable[[str, int], Proxy]
    """From (name, how many proxies of that name come before it) to the proxy."""
    num_seeds: int
    measure: str
    """What ranks the candidates, a key of `MEASURES`."""
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

    def estimate(self, name: str, sample: Sequence[tuple[Any, int]]) -> Estimator:
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
        """Return the mean over draws of each candidate's measure, the others as variants.

        One without scores has accuracy 0, and losses 1 nat above all others.
        """
        rows = [list(each) or [_FAILED] * self.num_seeds for each in scores]
        found = {
            name: _last(np.array([[measure(score) for score in row] for row in rows]).T)
            for name, measure in MEASURES.items()
        }
        repeats = found.pop(self.measure)
        seconds = np.array([[score.seconds for score in row] for row in rows])
        proxies = self.proxies(name)
        return Estimator(
            name=proxies[0].name,
            kind=_kind(proxies[0]),
            scores=repeats.mean(0),
            setup_seconds=sum(proxy.seconds for proxy in proxies),
            seconds_per_candidate=float(np.nan_to_num(np.nanmean(seconds.sum(1)))),
            repeats=repeats,
            measure=self.measure,
            variants={name: each.mean(0) for name, each in found.items()},
        )


def _kind(proxy: Proxy) -> Kind:
    method = proxy.name.rpartition("_ipc")[0]
    if not method:
        return "full_data"
    return (
        "distilled"
        if proxy.manifest.get("recipe")
        else ("random" if method == "random" else "coreset")
    )


def _last(scores: Array) -> Array:
    """Return `scores` with those that are missing below all others."""
    return np.where(np.isnan(scores), np.nanmin(scores, initial=0.0) - 1, scores)
