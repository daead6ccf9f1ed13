"""The search: an Optuna study over a space, asked and told trial by trial."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from atom_nas.scoring.space import (
    MAX_IDLE_DRAWS,
    Space,
    architecture_json,
    candidate_name,
    candidate_seed,
)
from atom_nas.search.candidate import Candidate, Limits
from atom_nas.search.draft import draft
from atom_nas.search.journal import Journal
from atom_nas.search.samplers import SAMPLERS, uniform
from atom_nas.search.trials import DRAW, Standing, Study, Trials, is_counted
from atom_nas.storage.files import derive_seed
from atom_nas.training.cost import Cost
from atom_nas.training.devices import is_device_failure

MAX_REPEATS = 20
"""After so many trials in a row that repeat a candidate or break a limit, draw uniformly."""


class OutOfTime(BaseException):
    """What `evaluate` raises to end a search before a trial; like an interrupt no failure of it."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study among `trials`; the same search goes on where it was killed."""

    trials: Trials
    space: Space
    evaluate: Callable[[Any, int], tuple[float, float, float]]
    """From (architecture, seed) to (objective, accuracy, seconds); raises where it fails."""
    goes_by: str
    """Digest of what the objective depends on: a study that went by another is told again."""
    limits: Limits
    sampler: str
    num_uniform: int
    """The first so many candidates are drawn uniformly."""
    seed: int
    cost: Callable[[Any], Cost] | None = None
    """What a candidate costs, if more than `space` counts; raises where it cannot be built."""

    def run(self, num_trials: int, watch: Callable[[list[Candidate]], None]) -> list[Candidate]:
        """Go on until `num_trials` distinct candidates were tried, and return all in order.

        Ends early where nothing new can be drawn. `watch` is called with those so far, at the
        start and after each. An interrupt, OutOfTime of `evaluate`, or a
        failure of the device goes through, and leaves the trial that was running to be drawn again.
        """
        study, known = self.trials.open(self.goes_by, self._told_again), dict[int, Candidate]()
        standing, watched = Standing(), -1
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

        Uniform draws go by the seed and the draws before them, by no value: what is not drawn yet a
        search of its own, which evaluates nothing, draws alike.
        """
        count = min(num_trials, self.num_uniform)
        found = read_candidates(self.trials, self.space)[:count]
        if len(found) < count and all(each.is_uniform for each in found):
            with TemporaryDirectory() as folder:
                ahead = replace(
                    self,
                    trials=Journal(Path(folder, "ahead.journal")),
                    evaluate=lambda *_: (0.0, 0.0, 0.0),
                )
                found += ahead.run(count, lambda candidates: None)[len(found) :]
        evaluated = [each for each in found if each.objective is not None]
        return [(each.architecture, each.seed) for each in evaluated if each.seed is not None]

    def _told_again(self, trials: list[FrozenTrial]) -> Iterator[FrozenTrial]:
        """Yield `trials` with the objective of now, as far as there is time."""
        values: dict[str, float] = {}
        for trial in trials:
            attrs, state, value = trial.user_attrs, trial.state, None
            if attrs.get("uncounted", "").startswith("repeats"):
                value = values.get(attrs["candidate"])
                state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            elif "cost" in attrs and "uncounted" not in attrs:
                for found in ("accuracy", "seconds", "reason"):
                    attrs.pop(found, None)
                architecture = self.space.restore(attrs["architecture"])
                try:
                    value, accuracy, seconds = self._evaluate(architecture, attrs["seed"])
                    attrs |= {"accuracy": accuracy, "seconds": seconds}
                    values[attrs["candidate"]] = value
                    state = TrialState.COMPLETE
                except OutOfTime:
                    return
                except Exception as error:
                    if is_device_failure(error):
                        raise
                    state, attrs["reason"] = TrialState.FAIL, " ".join(str(error).split())
            yield create_trial(
                state=state,
                value=value,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=attrs,
                system_attrs=trial.system_attrs,
            )

    def _advance(
        self, study: Study, standing: Standing, found: list[FrozenTrial], num_trials: int
    ) -> None:
        """Draw a trial, enter it, and tell its end if it tries a candidate of its own."""
        is_start = standing.places < self.num_uniform
        is_uniform = is_start or standing.idle >= MAX_REPEATS
        seed = derive_seed(self.seed, "sampler", standing.drawn)
        sampler = uniform(self.sampler, seed) if is_uniform else SAMPLERS[self.sampler](seed)
        trial, sheet = draft(study.study, found, sampler)
        trial.set_user_attr(DRAW, standing.drawn)
        trial.set_user_attr("uniform", is_start)
        state, value, reason = TrialState.RUNNING, None, None
        try:
            state, value = self._propose(trial, standing)
        except Exception as error:
            if is_device_failure(error):
                raise
            reason = " ".join(str(error).split())
        entered = study.enter(
            create_trial(
                state=state,
                value=value,
                params=sheet.trial.params,
                distributions=sheet.trial.distributions,
                user_attrs=sheet.trial.user_attrs,
                system_attrs=sheet.trial.system_attrs,
            )
        )
        if state == TrialState.RUNNING:
            self._try(study, standing, entered, num_trials, reason)

    def _propose(self, trial: optuna.Trial, standing: Standing) -> tuple[TrialState, float | None]:
        """Write down what `trial` suggests; return how it ends, RUNNING where it is to be tried."""
        architecture = self.space.sample(trial)
        name = candidate_name(architecture)
        trial.set_user_attr("candidate", name)
        trial.set_user_attr("seed", candidate_seed(self.seed, name))
        if (twin := standing.twin(name)) is not None:
            trial.set_user_attr("uncounted", f"repeats trial {twin.number}")
            if "cost" in twin.user_attrs:
                self._constrain(trial, Cost(**twin.user_attrs["cost"]))
            if not twin.state.is_finished():
                return TrialState.FAIL, None
            return (TrialState.PRUNED if twin.value is None else TrialState.COMPLETE), twin.value
        trial.set_user_attr("architecture", architecture_json(architecture))
        cost = (self.cost or self.space.cost)(architecture)
        trial.set_user_attr("cost", asdict(cost))
        self._constrain(trial, cost)
        if not self.limits.allow(cost):
            trial.set_user_attr("uncounted", "above a limit")
            return TrialState.PRUNED, None
        return TrialState.RUNNING, None

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
        attrs, value = trial.user_attrs, None
        is_drawn = reason is not None or "architecture" in attrs
        if not (is_drawn and standing.is_first(trial, num_trials)):
            study.leave(trial_id)
            return
        try:
            if reason is None:
                architecture = self.space.restore(attrs["architecture"])
                value, accuracy, seconds = self._evaluate(architecture, attrs["seed"])
        except Exception as error:
            if is_device_failure(error):
                study.leave(trial_id)
                raise
            reason = " ".join(str(error).split())
        except BaseException:
            study.leave(trial_id)
            raise
        if value is None:
            study.finish(trial_id, {"reason": reason}, TrialState.FAIL)
        else:
            measured = {"accuracy": accuracy, "seconds": seconds}
            study.finish(trial_id, measured, TrialState.COMPLETE, value)

    def _evaluate(self, architecture: Any, seed: int) -> tuple[float, float, float]:
        value, accuracy, seconds = self.evaluate(architecture, seed)
        if not math.isfinite(value):
            raise ValueError(f"the objective is {value}")
        return value, accuracy, seconds

    def _constrain(self, trial: optuna.Trial, cost: Cost) -> None:
        for key, excess in self.limits.excess(cost).items():
            trial.set_constraint(key, excess)


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


def _candidate(trial: FrozenTrial, space: Space) -> Candidate:
    attrs = trial.user_attrs
    return Candidate(
        trial=trial.number,
        name=attrs.get("candidate", ""),
        architecture=space.restore(attrs["architecture"]) if "architecture" in attrs else None,
        seed=attrs.get("seed"),
        objective=trial.value if trial.state == TrialState.COMPLETE else None,
        accuracy=attrs.get("accuracy"),
        cost=Cost(**attrs["cost"]) if "cost" in attrs else None,
        seconds=attrs.get("seconds"),
        is_uniform=attrs["uniform"],
        reason=attrs.get("reason", ""),
    )
