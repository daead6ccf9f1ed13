"""Candidates scored by training on small sets of images, several condensations of each set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, cast

import numpy as np

from atom_nas.data.images import ImageSet
from atom_nas.distillation.proxy import Proxy
from atom_nas.errors import UserError
from atom_nas.scoring.estimator import Estimator, Kind, mean_of_known
from atom_nas.scoring.objective import MEASURES
from atom_nas.scoring.proxy_scores import CandidateError, ProxyScores, Wanted
from atom_nas.storage.files import derive_seed
from atom_nas.storage.progress import follow
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, Outcome
from atom_nas.training.schedule import Training

Sample = Sequence[tuple[Any, int]]
"""Candidates as (architecture, seed)."""

_FAILED = Outcome(accuracy=np.nan, loss=np.nan, seconds=np.nan, curve=(np.nan,))


def _contents(images: ImageSet) -> frozenset[tuple[int, bytes]]:
    """Return label and bytes of every image, which no order changes."""
    pixels = images.pixels.numpy()
    return frozenset(zip(images.labels.tolist(), map(bytes, pixels), strict=True))


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores candidates by one training on each condensation of a set."""

    table: ProxyScores
    condense: Callable[[str, int], Proxy]
    """From (name, how many proxies of that name come before it) to the proxy."""
    num_seeds: int
    """Condensations of a set."""
    training: Training
    measure: str
    """What ranks the candidates, a key of `MEASURES`."""
    _proxies: dict[str, list[Proxy]] = field(default_factory=dict, repr=False)

    def proxies(self, name: str) -> list[Proxy]:
        """Return the condensations of the set called `name`, each made once.

        Raises UserError where two of them are the same images.
        """
        if name not in self._proxies:
            found = [self.condense(name, i) for i in range(self.num_seeds)]
            if len(found) > 1 and len({_contents(proxy.images) for proxy in found}) < len(found):
                raise UserError(
                    f"{name} has the same images with another seed, so that {self.num_seeds} of "
                    "them say no more than one; take --proxy-seeds 1."
                )
            self._proxies[name] = found
        return self._proxies[name]

    def outcomes(self, name: str, architecture: Any, *, seed: int) -> list[Outcome]:
        """Train `architecture` on each condensation of `name`.

        Raises CandidateError where that fails on one of them.
        """
        sample = [(architecture, seed)]
        for _ in self.fill(name, sample):
            pass
        return [
            self.table.score(proxy, architecture, self.training, seed=own)
            for proxy, _, own in self._wanted(name, sample)
        ]

    def has(self, name: str, sample: Sample) -> bool:
        """Say whether `outcomes` of the sample would train nothing."""
        return all(self.table.has(each, self.training) for each in self._wanted(name, sample))

    def seconds(self, name: str) -> float | None:
        """Return what the trainings of a candidate take, by those so far; None before the first."""
        proxies = self.proxies(name)
        found = (self.table.mean_seconds(proxy, self.training) for proxy in proxies)
        known = [seconds for seconds in found if seconds is not None]
        return len(proxies) * fmean(known) if known else None

    def accuracies(self, name: str, sample: Sample) -> list[float]:
        """Return the accuracies of those of the sample that can be trained, on one condensation."""
        scorer, found = replace(self, num_seeds=1, _proxies={}), []
        scorer.prepare(name, sample)
        for architecture, seed in sample:
            with suppress(CandidateError):
                found.append(scorer.outcomes(name, architecture, seed=seed)[0].accuracy)
        return found

    def prepare(
        self, name: str, sample: Sample, may_begin: Callable[[], bool] = lambda: True
    ) -> None:
        """Do what trainings of the sample on `name` lack, several at once where that can be.

        Where `may_begin` says no, those under way are finished and the others left.
        """
        if self.has(name, sample):
            return
        total = len(sample) * len(self.proxies(name))
        for _ in follow(self.fill(name, sample, may_begin), name, total=total, unit="training"):
            pass

    def fill(
        self, name: str, sample: Sample, may_begin: Callable[[], bool] = lambda: True
    ) -> Iterator[None]:
        """Do the same, and yield once for each training, as it is there."""
        return self.table.fill(self._wanted(name, sample), self.training, may_begin)

    def _wanted(self, name: str, sample: Sample) -> list[Wanted]:
        """Return the trainings of the sample on each condensation of `name`."""
        return [
            (proxy, architecture, derive_seed(seed, "proxy", number) if number else seed)
            for architecture, seed in sample
            for number, proxy in enumerate(self.proxies(name))
        ]

    def score(self, outcomes: Sequence[Outcome]) -> float:
        """Return the mean of the measure over condensations."""
        return float(np.mean([MEASURES[self.measure](outcome) for outcome in outcomes]))

    def estimate(self, name: str, sample: Sample) -> Estimator:
        """Return how `name` scores the sample."""
        self.prepare(name, sample)
        rows = []
        for architecture, seed in sample:
            try:
                rows.append(self.outcomes(name, architecture, seed=seed))
            except CandidateError:
                rows.append([])
        macs = self.table.mean_macs(architecture for architecture, _ in sample)
        return self.summarize(name, rows, macs)

    def summarize(self, name: str, rows: Iterable[Sequence[Outcome]], macs: float) -> Estimator:
        """Return the mean over condensations of each candidate's measure, the others as variants.

        `rows` holds the outcomes of each candidate, none where it failed; `macs` are the
        multiply-adds of a forward pass, the mean over candidates.
        """
        table = [list(row) or [_FAILED] * self.num_seeds for row in rows]
        found = {
            key: np.array([[measure(outcome) for outcome in row] for row in table]).T
            for key, measure in MEASURES.items()
        }
        repeats = found.pop(self.measure)
        seconds = np.array([[outcome.seconds for outcome in row] for row in table]).sum(1)
        proxies = self.proxies(name)
        return Estimator(
            name=proxies[0].name,
            kind=cast(Kind, proxies[0].kind),
            scores=repeats.mean(0),
            repeats=repeats,
            measure=self.measure,
            variants={key: each.mean(0) for key, each in found.items()},
            setup_macs=sum(proxy.macs for proxy in proxies),
            macs_per_candidate=macs * sum(self._passes(proxy) for proxy in proxies),
            setup_seconds=sum(proxy.seconds for proxy in proxies),
            seconds_per_candidate=mean_of_known(seconds),
        )

    def _passes(self, proxy: Proxy) -> int:
        """Return the forward passes, of one image each, that a training on `proxy` amounts to."""
        shown = self.training.images_shown(len(proxy.images))
        return FORWARD_BACKWARD * shown + FORWARD * self.table.num_validation
