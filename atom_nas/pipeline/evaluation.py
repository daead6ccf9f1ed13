"""What a trial of the search comes to: trainings on the proxy, and their objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from atom_nas.audit.combination import Joined
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.reference import RankAverage
from atom_nas.pipeline.deadline import Deadline
from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.scoring.scorer import Sample, Scorer
from atom_nas.search.study import OutOfTime
from atom_nas.training.fit import Outcome


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Trains candidates on `proxy` while there is time."""

    proxy: str
    scorer: Scorer
    deadline: Deadline
    predict: Callable[[Any, Sequence[Outcome]], float] | None = None
    """From an architecture and its outcomes to the objective, if that is not the measure."""

    def prepare(self, sample: Sample) -> None:
        """Do what trainings of the sample there is time for, several at once where that can be."""
        for _ in self.scorer.fill(self.proxy, sample, self.deadline.is_ahead):
            pass

    def evaluate(self, architecture: Any, seed: int) -> tuple[float, float, float]:
        """Return objective, accuracy and seconds of `architecture`.

        Raises CandidateError where it cannot be trained, OutOfTime where there is no time for it.
        """
        if not (self.deadline.is_ahead() or self.scorer.has(self.proxy, [(architecture, seed)])):
            raise OutOfTime
        outcomes = self.scorer.outcomes(self.proxy, architecture, seed=seed)
        if self.predict:
            objective = self.predict(architecture, outcomes)
        else:
            objective = self.scorer.score(outcomes)
        accuracy = fmean(outcome.accuracy for outcome in outcomes)
        return objective, accuracy, sum(outcome.seconds for outcome in outcomes)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Joins the scores of a candidate by the proxy and the free ones to its objective."""

    proxy: str
    scorer: Scorer
    free: FreeScores
    joined: Joined

    def __call__(self, architecture: Any, outcomes: Sequence[Outcome]) -> float:
        """Return the objective of `architecture`, from its outcome on each condensation."""
        own = self.scorer.summarize(self.proxy, [outcomes], macs=0.0)
        return float(self.joined(own, self.free.estimators([architecture]))[0])


@dataclass(frozen=True, kw_only=True)
class AmongReference:
    """The rank average among a reference, which is scored when it is first asked for."""

    proxy: str
    scorer: Scorer
    free: FreeScores
    reference: Sample
    deadline: Deadline

    def __call__(self, own: Estimator, free: Sequence[Estimator]) -> Array:
        """Return the objective of candidates; OutOfTime where the reference lacks time."""
        return self._average(own, free)

    @cached_property
    def _average(self) -> RankAverage:
        architectures = [architecture for architecture, _ in self.reference]

        def is_there() -> bool:
            return self.scorer.has(self.proxy, self.reference)

        if not is_there():
            self.scorer.prepare(self.proxy, self.reference, self.deadline.is_ahead)
        if not is_there():
            raise OutOfTime
        scores = self.scorer.estimate(self.proxy, self.reference)
        return RankAverage(scores, self.free.estimators(architectures))
