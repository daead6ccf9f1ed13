"""The search: an Optuna study over a space, asked and told."""

import math
from collections.abc import Callable, Iterator
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
from atom_nas.search.journal import open_study, seal, unseal
from atom_nas.search.samplers import SAMPLERS, uniform
from atom_nas.search.trials import candidates_of, counted, idle, read_candidates, twin_of
from atom_nas.storage.files import derive_seed
from atom_nas.training.cost import Cost
from atom_nas.training.devices import is_device_failure

PICKED_TOGETHER = 4
"""So many picks of the optimiser are asked before the first of them is told.

The samplers reckon with what is asked and not told (TPE by a constant liar). The number is
fixed, so that the picks do not depend on how many are trained at once.
"""

MAX_REPEATS = 20
"""After so many trials in a row that repeat a candidate or break a limit, draw uniformly."""

GOES_BY = "goes_by"
"""The attribute of a study that names what its values are."""


End = tuple[TrialState, float | None]
"""How a trial ended, and its value if it has one."""


class OutOfTime(BaseException):
    """What `evaluate` raises to end a search before a trial; like an interrupt no failure of it."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study in the journal at `journal`; the same search goes on where it was killed."""

    journal: Path
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
    prepare: Callable[[list[tuple[Any, int]]], None] = lambda sample: None
    """Does what `evaluate` needs of several (architecture, seed), at once where that can be."""

    def run(self, num_trials: int, watch: Callable[[list[Candidate]], None]) -> list[Candidate]:
        """Go on until `num_trials` distinct candidates were tried, and return all in order.

        Ends early where nothing new can be drawn. `watch` is called with those so far, at the
        start and as more are told. An interrupt, OutOfTime of `evaluate`, or a failure of the
        device goes through, and leaves what was asked and not told to be drawn again.
        """
        study = self._open()
        watch(found := candidates_of(study, self.space))
        while len(found) < num_trials and idle(study) < MAX_IDLE_DRAWS:
            if self._advance(study, num_trials - len(found)):
                watch(found := candidates_of(study, self.space))
        return found

    def uniform_start(self, num_trials: int) -> list[tuple[Any, int]]:
        """Return the (architecture, seed) that the first trials evaluate, up to `num_uniform`.

        Uniform draws go by the seed and the draws before them, by no value: what is not drawn yet a
        search of its own, which evaluates nothing, draws alike.
        """
        count = min(num_trials, self.num_uniform)
        found = read_candidates(self.journal, self.space)[:count]
        if len(found) < count and all(each.is_uniform for each in found):
            with TemporaryDirectory() as folder:
                ahead = replace(
                    self, journal=Path(folder, "ahead.journal"), evaluate=lambda *_: (0.0, 0.0, 0.0)
                )
                found += ahead.run(count, lambda candidates: None)[len(found) :]
        evaluated = [each for each in found if each.objective is not None]
        return [(each.architecture, each.seed) for each in evaluated if each.seed is not None]

    def _open(self) -> optuna.Study:
        """Open the study; where it went by another objective, tell its trials again."""
        study = open_study(self.journal)
        if study.user_attrs.get(GOES_BY, self.goes_by) != self.goes_by:
            again = self.journal.with_name(f".{self.journal.name}.again")
            again.unlink(missing_ok=True)
            told = open_study(again)
            for trial in self._told_again(study):
                told.add_trial(trial)
            told.set_user_attr(GOES_BY, self.goes_by)
            unseal(self.journal)
            again.replace(self.journal)
            seal(self.journal)
            study = open_study(self.journal)
        study.set_user_attr(GOES_BY, self.goes_by)
        return study

    def _told_again(self, study: optuna.Study) -> Iterator[FrozenTrial]:
        """Yield the trials of `study` with the objective of now, as far as there is time."""
        values: dict[str, float] = {}
        for trial in study.get_trials():
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

    def _advance(self, study: optuna.Study, wanted: int) -> bool:
        """Ask until a candidate, of picks some, is new; evaluate what is, and tell how all end.

        Returns whether anything was new. None is told before all have ended.
        """
        is_uniform = len(counted(study)) < self.num_uniform
        together = 1 if is_uniform else min(PICKED_TOGETHER, wanted)
        asked, new = list[_Asked](), list[_Asked]()
        while len(new) < together and idle(study) < MAX_IDLE_DRAWS:
            asked.append(self._ask(study, is_uniform))
            if asked[-1].is_new:
                new.append(asked[-1])
        evaluated = [each for each in new if each.end is None]
        if len(evaluated) > 1:
            self.prepare([(each.architecture, each.seed) for each in evaluated])
        for each in evaluated:
            each.end = self._end_of(each)
        for each in asked:
            state, value = each.end or _end_like(study, each.twin)
            study.tell(each.trial, value, state)
        seal(self.journal)
        return bool(new)

    def _sampler(self, study: optuna.Study, is_uniform: bool) -> optuna.samplers.BaseSampler:
        """Return the sampler of the next trial, a function of the seed and the trials so far."""
        seed = derive_seed(self.seed, "sampler", len(study.get_trials(deepcopy=False)))
        if is_uniform or idle(study) >= MAX_REPEATS:
            return uniform(self.sampler, seed)
        return SAMPLERS[self.sampler](seed)

    def _ask(self, study: optuna.Study, is_uniform: bool) -> "_Asked":
        """Draw a trial; say what of it is known without an evaluation."""
        study.sampler = self._sampler(study, is_uniform)
        trial = study.ask()
        trial.set_user_attr("uniform", is_uniform)
        asked = _Asked(trial)
        try:
            asked.architecture = self.space.sample(trial)
            self._look_up(asked, candidate_name(asked.architecture))
        except Exception as error:
            asked.end = _failed(trial, error)
        return asked

    def _look_up(self, asked: "_Asked", name: str) -> None:
        """Set what the candidate called `name` costs, and whether it is tried at all."""
        trial, architecture = asked.trial, asked.architecture
        asked.seed = candidate_seed(self.seed, name)
        twin = twin_of(trial.study, name)
        trial.set_user_attr("candidate", name)
        trial.set_user_attr("seed", asked.seed)
        if twin is not None:
            asked.is_new, asked.twin = False, twin.number
            trial.set_user_attr("uncounted", f"repeats trial {twin.number}")
            if "cost" in twin.user_attrs:
                self._constrain(trial, Cost(**twin.user_attrs["cost"]))
            return
        trial.set_user_attr("architecture", architecture_json(architecture))
        cost = (self.cost or self.space.cost)(architecture)
        trial.set_user_attr("cost", asdict(cost))
        self._constrain(trial, cost)
        if not self.limits.allow(cost):
            trial.set_user_attr("uncounted", "above a limit")
            asked.is_new, asked.end = False, (TrialState.PRUNED, None)

    def _end_of(self, asked: "_Asked") -> End:
        try:
            value, accuracy, seconds = self._evaluate(asked.architecture, asked.seed)
        except Exception as error:
            return _failed(asked.trial, error)
        asked.trial.set_user_attr("accuracy", accuracy)
        asked.trial.set_user_attr("seconds", seconds)
        return TrialState.COMPLETE, value

    def _evaluate(self, architecture: Any, seed: int) -> tuple[float, float, float]:
        value, accuracy, seconds = self.evaluate(architecture, seed)
        if not math.isfinite(value):
            raise ValueError(f"the objective is {value}")
        return value, accuracy, seconds

    def _constrain(self, trial: optuna.Trial, cost: Cost) -> None:
        for key, excess in self.limits.excess(cost).items():
            trial.set_constraint(key, excess)


@dataclass
class _Asked:
    """A trial that was asked and is not told."""

    trial: optuna.Trial
    architecture: Any = None
    seed: int = 0
    is_new: bool = True
    """Whether it counts as a candidate that is tried."""
    end: End | None = None
    """Where it is known."""
    twin: int | None = None
    """The number of the trial before it that has the same candidate, and so the same end."""


def _end_like(study: optuna.Study, number: int | None) -> End:
    """Return how a trial that repeats that with the `number` ends: pruned, where that failed."""
    assert number is not None
    value = study.get_trials(deepcopy=False)[number].value
    return (TrialState.PRUNED if value is None else TrialState.COMPLETE), value


def _failed(trial: optuna.Trial, error: Exception) -> End:
    """Keep why `trial` failed; a failure of the device is raised again."""
    if is_device_failure(error):
        raise error
    trial.set_user_attr("reason", " ".join(str(error).split()))
    return TrialState.FAIL, None
