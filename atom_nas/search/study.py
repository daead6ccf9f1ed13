"""The search: an Optuna study over a space, asked and told trial by trial."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
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
from atom_nas.storage.files import derive_seed
from atom_nas.training.cost import Cost
from atom_nas.training.devices import is_device_failure

MAX_REPEATS = 20
"""After so many trials in a row that repeat a candidate or break a limit, draw uniformly."""

GOES_BY = "goes_by"
"""The attribute of a study that names what its values are."""


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

    def run(self, num_trials: int, watch: Callable[[list[Candidate]], None]) -> list[Candidate]:
        """Go on until `num_trials` distinct candidates were tried, and return all in order.

        Ends early where nothing new can be drawn. `watch` is called with those so far, at the
        start and after each. An interrupt, OutOfTime of `evaluate`, or a
        failure of the device goes through, and leaves the trial that was running to be drawn again.
        """
        study = self._open()
        watch(candidates_of(study, self.space))
        while len(counted(study)) < num_trials and _idle(study) < MAX_IDLE_DRAWS:
            if self._advance(study):
                watch(candidates_of(study, self.space))
        return candidates_of(study, self.space)

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

    def _advance(self, study: optuna.Study) -> bool:
        """Ask for a trial and tell its end; return whether it tried a candidate of its own."""
        study.sampler = self._sampler(study)
        trial = study.ask()
        trial.set_user_attr("uniform", len(counted(study)) < self.num_uniform)
        try:
            value = self._value(trial)
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:
            if is_device_failure(error):
                raise
            trial.set_user_attr("reason", " ".join(str(error).split()))
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)
        seal(self.journal)
        return "uncounted" not in trial.user_attrs

    def _sampler(self, study: optuna.Study) -> optuna.samplers.BaseSampler:
        """Return the sampler of the next trial, a function of the seed and the trials so far."""
        is_uniform = len(counted(study)) < self.num_uniform or _idle(study) >= MAX_REPEATS
        seed = derive_seed(self.seed, "sampler", len(study.get_trials(deepcopy=False)))
        return uniform(self.sampler, seed) if is_uniform else SAMPLERS[self.sampler](seed)

    def _value(self, trial: optuna.Trial) -> float:
        """Return the objective of what `trial` suggests; TrialPruned where it is not to be told."""
        architecture = self.space.sample(trial)
        name = candidate_name(architecture)
        trial.set_user_attr("candidate", name)
        trial.set_user_attr("seed", candidate_seed(self.seed, name))
        twins = (t for t in counted(trial.study) if t.user_attrs.get("candidate") == name)
        if (twin := next(twins, None)) is not None:
            trial.set_user_attr("uncounted", f"repeats trial {twin.number}")
            if "cost" in twin.user_attrs:
                self._constrain(trial, Cost(**twin.user_attrs["cost"]))
            if twin.value is None:
                raise optuna.TrialPruned
            return twin.value
        trial.set_user_attr("architecture", architecture_json(architecture))
        cost = (self.cost or self.space.cost)(architecture)
        trial.set_user_attr("cost", asdict(cost))
        self._constrain(trial, cost)
        if not self.limits.allow(cost):
            trial.set_user_attr("uncounted", "above a limit")
            raise optuna.TrialPruned
        value, accuracy, seconds = self._evaluate(architecture, trial.user_attrs["seed"])
        trial.set_user_attr("accuracy", accuracy)
        trial.set_user_attr("seconds", seconds)
        return value

    def _evaluate(self, architecture: Any, seed: int) -> tuple[float, float, float]:
        value, accuracy, seconds = self.evaluate(architecture, seed)
        if not math.isfinite(value):
            raise ValueError(f"the objective is {value}")
        return value, accuracy, seconds

    def _constrain(self, trial: optuna.Trial, cost: Cost) -> None:
        for key, excess in self.limits.excess(cost).items():
            trial.set_constraint(key, excess)


def read_candidates(journal: Path, space: Space) -> list[Candidate]:
    """Return the candidates of the search in `journal` so far, none where there was no search."""
    return candidates_of(open_study(journal), space) if journal.exists() else []


def candidates_of(study: optuna.Study, space: Space) -> list[Candidate]:
    """Return the candidates that `study` tried, in order."""
    return [_candidate(trial, space) for trial in counted(study)]


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


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Return the finished trials that tried a candidate of their own."""
    return [trial for trial in study.get_trials(deepcopy=False) if _is_counted(trial)]


def _is_counted(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and "uncounted" not in trial.user_attrs


def _idle(study: optuna.Study) -> int:
    """Return how many trials in a row, up to the last, tried nothing of their own."""
    trials = reversed(study.get_trials(deepcopy=False))
    return sum(1 for _ in takewhile(lambda trial: not _is_counted(trial), trials))
