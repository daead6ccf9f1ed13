"""What a trial of the search comes to: trainings on the proxy, and their objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from atom_nas.pipeline.deadline import Deadline
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
        if not (self.deadline.is_ahead() or self.scorer.has(self.proxy, architecture)):
            raise OutOfTime
        outcomes = self.scorer.outcomes(self.proxy, architecture, seed=seed)
        if self.predict:
            objective = self.predict(architecture, outcomes)
        else:
            objective = self.scorer.score(outcomes)
        accuracy = fmean(outcome.accuracy for outcome in outcomes)
        return objective, accuracy, sum(outcome.seconds for outcome in outcomes)
