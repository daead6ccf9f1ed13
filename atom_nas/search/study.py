"""The search: an Optuna study over a space, drawn and told."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from atom_nas.scoring.proxy_scores import CandidateError
from atom_nas.scoring.space import MAX_IDLE_DRAWS, Space
from atom_nas.search.candidate import Candidate, Limits
from atom_nas.search.drawing import Drawing
from atom_nas.search.failures import is_of_no_candidate, reason_of
from atom_nas.search.journal import Journal
from atom_nas.search.objectives import Objectives
from atom_nas.search.trials import Standing, Study, Trials, is_counted
from atom_nas.training.cost import Cost

PICKED_TOGETHER = 4
"""So many picks of the optimiser are drawn before the first of them is told.

The samplers reckon with what is drawn and not told (TPE by a constant liar). The number is
fixed, so that the picks do not depend on how many are trained at once.
"""


class OutOfTime(BaseException):
    """What `evaluate` raises to end a search before a trial; like an interrupt no failure of it."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study among `trials`; the same search goes on where it was killed."""

    trials: Trials
    space: Space
    evaluate: Callable[[Any, int], tuple[float, float, float]]
    """From (architecture, seed) to (score, accuracy, seconds); raises where it fails.

    A UserError or an OSError is of no candidate, and ends the search.
    """
    goes_by: str
    """Digest of what the objective depends on: a study that went by another is told again."""
    limits: Limits
    sampler: str
    num_uniform: int
    """The first so many candidates are drawn uniformly."""
    may_start: Callable[[Any], bool] = lambda architecture: True
    """Whether an architecture may be among these, as far as such turn up."""
    seed: int
    objectives: Objectives = field(default_factory=Objectives)
    cost: Callable[[Any], Cost] | None = None
    """What a candidate costs, if more than `space` counts; raises where it cannot be built."""
    prepare: Callable[[list[tuple[Any, int]]], None] = lambda sample: None
    """Does what `evaluate` needs of several (architecture, seed), at once where that can be."""

    def run(self, num_trials: int, watch: Callable[[list[Candidate]], None]) -> list[Candidate]:
        """Go on until `num_trials` distinct candidates were tried, and return all in order.

        Ends early where nothing new can be drawn. `watch` is called with those so far, at the
        start and after each. An interrupt, OutOfTime of `evaluate`, or what is no candidate's
        failure goes through, and leaves what was drawn and not told to be drawn again.
        """
        down = [StudyDirection.MINIMIZE] * len(self.objectives.costs)
        directions = [StudyDirection.MAXIMIZE, *down]
        study = self.trials.open(self.goes_by, directions, self._told_again)
        known, standing, watched = dict[int, Candidate](), Standing(), -1
        while True:
            found = study.read()
            standing.take_in(found)
            counted = standing.counted
            if len(counted) != watched:
                watched = len(counted)
                watch(_in_order(counted, self.space, known))
            is_used_up = standing.idle >= MAX_IDLE_DRAWS
            if len(counted) >= num_trials or (is_used_up and len(counted) == standing.places):
                return _in_order(counted, self.space, known)
            waiting = standing.waiting
            if waiting and study.take(waiting):
                self._try(study, standing, waiting._trial_id, num_trials)
            elif standing.places >= num_trials or is_used_up:
                study.wait()
            else:
                self._advance(study, standing, found, num_trials)

    def uniform_start(self, num_trials: int) -> list[tuple[Any, int]]:
        """Return the (architecture, seed) that the first trials evaluate, up to `num_uniform`.

        What is not drawn yet a fresh search draws alike.
        """
        count = min(num_trials, self.num_uniform)
        found = read_candidates(self.trials, self.space)[:count]
        if len(found) < count and all(each.is_uniform for each in found):
            found += self._drawn_afresh(count)[len(found) :]
        return _evaluated(found)

    def reference(self) -> list[tuple[Any, int]]:
        """Return the (architecture, seed) of the `num_uniform` that a fresh search draws first.

        They are the same whatever the trials so far; those that cannot be built are left out.
        """
        return _evaluated(self._drawn_afresh(self.num_uniform))

    def _drawn_afresh(self, count: int) -> list[Candidate]:
        """Return what a search of its own, which evaluates nothing, draws uniformly first.

        Uniform draws go by the seed and the draws before them, by no value.
        """
        with TemporaryDirectory() as folder:
            ahead = replace(
                self,
                trials=Journal(Path(folder, "ahead.journal")),
                evaluate=lambda *_: (0.0, 0.0, 0.0),
            )
            return ahead.run(count, lambda candidates: None)

    def _told_again(self, trials: list[FrozenTrial]) -> Iterator[FrozenTrial]:
        """Yield `trials` with the objective of now, as far as there is time."""
        known: dict[str, tuple[float, ...]] = {}
        for trial in trials:
            attrs, state, values = trial.user_attrs, trial.state, None
            if attrs.get("uncounted", "").startswith("repeats"):
                values = known.get(attrs["candidate"])
                state = TrialState.COMPLETE if values else TrialState.PRUNED
            elif "cost" in attrs and "uncounted" not in attrs:
                for found in ("accuracy", "seconds", "reason"):
                    attrs.pop(found, None)
                architecture = self.space.restore(attrs["architecture"])
                try:
                    attrs["cost"] = asdict(self._cost(architecture))
                    values, measured = self._evaluate(architecture, attrs)
                    attrs |= measured
                    known[attrs["candidate"]] = values
                    state = TrialState.COMPLETE
                except OutOfTime:
                    return
                except Exception as error:
                    if is_of_no_candidate(error):
                        raise
                    state, attrs["reason"] = TrialState.FAIL, reason_of(error)
            yield create_trial(
                state=state,
                values=values,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=attrs,
                system_attrs=trial.system_attrs,
            )

    def _advance(
        self, study: Study, standing: Standing, found: list[FrozenTrial], num_trials: int
    ) -> None:
        """Draw and enter trials until one, of picks some, is to be tried; try it and tell its end.

        Of the others the end is known as they are drawn.
        """
        is_start = standing.places < self.num_uniform
        together = 1 if is_start else min(PICKED_TOGETHER, num_trials - standing.places)
        drawing = self._drawing()
        entered: dict[int, str | None] = {}
        try:
            while len(entered) < together and standing.idle < MAX_IDLE_DRAWS:
                trial, reason = drawing.draw(study, found, standing, is_start)
                trial_id = study.enter(trial)
                if trial.state == TrialState.RUNNING:
                    entered[trial_id] = reason
                found = study.read()
                standing.take_in(found)
            if len(entered) > 1:
                self.prepare(self._to_evaluate(standing, found, entered, num_trials))
            for trial_id in [*entered]:
                self._try(study, standing, trial_id, num_trials, entered.pop(trial_id))
        except BaseException:
            for trial_id in entered:
                study.leave(trial_id)
            raise

    def _drawing(self) -> Drawing:
        return Drawing(
            space=self.space,
            limits=self.limits,
            cost=self._cost,
            may_start=self.may_start,
            sampler=self.sampler,
            seed=self.seed,
        )

    def _to_evaluate(
        self,
        standing: Standing,
        found: Sequence[FrozenTrial],
        entered: Mapping[int, str | None],
        num_trials: int,
    ) -> list[tuple[Any, int]]:
        """Return the (architecture, seed) of those entered that have a place and did not fail."""
        return [
            (self.space.restore(trial.user_attrs["architecture"]), trial.user_attrs["seed"])
            for trial in found
            if entered.get(trial._trial_id, "none") is None and standing.is_first(trial, num_trials)
        ]

    def _try(
        self,
        study: Study,
        standing: Standing,
        trial_id: int,
        num_trials: int,
        reason: str | None = None,
    ) -> None:
        """Evaluate the trial that was entered and tell its end, unless another has its place.

        It failed already where there is a `reason`.
        """
        found = study.read()
        standing.take_in(found)
        trial = next(each for each in reversed(found) if each._trial_id == trial_id)
        attrs, values = trial.user_attrs, None
        is_drawn = reason is not None or "architecture" in attrs
        if not (is_drawn and standing.is_first(trial, num_trials)):
            standing.given_up = trial.number
            study.leave(trial_id)
            return
        try:
            if reason is None:
                architecture = self.space.restore(attrs["architecture"])
                values, measured = self._evaluate(architecture, attrs)
        except Exception as error:
            if is_of_no_candidate(error):
                study.leave(trial_id)
                raise
            reason = reason_of(error)
        except BaseException:
            study.leave(trial_id)
            raise
        if values is None:
            study.finish(trial_id, {"reason": reason}, TrialState.FAIL)
        else:
            study.finish(trial_id, measured, TrialState.COMPLETE, values)

    def _evaluate(
        self, architecture: Any, attrs: Mapping[str, Any]
    ) -> tuple[tuple[float, ...], dict[str, float]]:
        """Return the values of the trial with `attrs`, and what its trainings took and reached."""
        score, accuracy, seconds = self.evaluate(architecture, attrs["seed"])
        if not math.isfinite(score):
            raise CandidateError(f"the objective is {score}")
        values = self.objectives.values(score, Cost(**attrs["cost"]))
        return values, {"accuracy": accuracy, "seconds": seconds}

    def _cost(self, architecture: Any) -> Cost:
        return (self.cost or self.space.cost)(architecture)


def read_candidates(trials: Trials, space: Space) -> list[Candidate]:
    """Return the candidates of the last search so far, none where there was no search."""
    return _in_order([trial for trial in trials.find() if is_counted(trial)], space, {})


def _in_order(
    counted: Sequence[FrozenTrial], space: Space, known: dict[int, Candidate]
) -> list[Candidate]:
    """Return the candidates of `counted`; those that are not `known` by number become so."""
    for trial in counted:
        if trial.number not in known:
            known[trial.number] = _candidate(trial, space)
    return [known[trial.number] for trial in counted]


def _evaluated(found: Sequence[Candidate]) -> list[tuple[Any, int]]:
    """Return the (architecture, seed) of those `found` that have an objective."""
    evaluated = [each for each in found if each.objective is not None]
    return [(each.architecture, each.seed) for each in evaluated if each.seed is not None]


def _candidate(trial: FrozenTrial, space: Space) -> Candidate:
    attrs = trial.user_attrs
    return Candidate(
        trial=trial.number,
        name=attrs.get("candidate", ""),
        architecture=space.restore(attrs["architecture"]) if "architecture" in attrs else None,
        seed=attrs.get("seed"),
        objective=trial.values[0] if trial.state == TrialState.COMPLETE else None,
        accuracy=attrs.get("accuracy"),
        cost=Cost(**attrs["cost"]) if "cost" in attrs else None,
        seconds=attrs.get("seconds"),
        is_uniform=attrs["uniform"],
        reason=attrs.get("reason", ""),
    )
