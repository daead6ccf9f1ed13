"""The search: an Optuna study over a space, on a journal that a kill cannot hurt."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from atom_nas.scoring.space import MAX_IDLE_DRAWS, Space, architecture_json, candidate_name
from atom_nas.search.samplers import SAMPLERS, uniform
from atom_nas.storage import derive_seed, drop_torn_line
from atom_nas.training.cost import Cost

MAX_REPEATS = 20
"""After so many trials in a row that repeat a candidate or break a limit, draw uniformly."""

CREATE_TRIAL, SET_TRIAL_STATE = 4, 6
"""Codes of operations in Optuna's journal; every version reads the older ones' files."""


class _Interrupted(BaseException):
    """Ctrl-C on its way past Optuna, which would record the trial as failed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper limits on a candidate; None for no limit."""

    num_params: int | None = None
    macs: int | None = None

    def excess(self, cost: Cost) -> dict[str, float]:
        """Return for each limit by how much `cost` is above it; allowed where all are <= 0."""
        pairs = {"num_params": (cost.num_params, self.num_params), "macs": (cost.macs, self.macs)}
        return {k: float(value - limit) for k, (value, limit) in pairs.items() if limit is not None}

    def allow(self, cost: Cost) -> bool:
        """Say whether `cost` is within the limits."""
        return all(value <= 0 for value in self.excess(cost).values())


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One architecture of the search, and how it did."""

    trial: int
    name: str
    architecture: Any
    """None where the space could not even sample one."""
    seed: int
    objective: float | None
    """What the search maximises; None where it failed."""
    accuracy: float | None
    """On the validation split, trained on the proxy; a fraction. None where it failed."""
    cost: Cost | None
    seconds: float | None
    is_uniform: bool
    """Drawn uniformly, hence fit for an audit, rather than picked by the optimiser."""
    reason: str
    """Why it failed, or empty."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study in the journal at `journal`; the same search goes on where it was killed."""

    journal: Path
    space: Space
    evaluate: Callable[[Any, int], tuple[float, float, float]]
    """From (architecture, seed) to (objective, accuracy, seconds); raises where it fails."""
    limits: Limits
    sampler: str
    num_uniform: int
    """The first so many candidates are drawn uniformly."""
    seed: int

    def run(self, num_trials: int, watch: Callable[[list[Candidate]], None]) -> list[Candidate]:
        """Go on until `num_trials` distinct candidates were tried, and return all in order.

        Ends early where nothing new can be drawn. `watch` is called with those so far, at the
        start and after each.
        """
        study = self._open()
        idle = 0

        def after_trial(study: optuna.Study, trial: FrozenTrial) -> None:
            nonlocal idle
            counted = _counted(study)
            if counted and counted[-1].number == trial.number:
                idle = 0
                watch([self._candidate(trial) for trial in counted])
            else:
                idle += 1
            if len(counted) >= num_trials or idle >= MAX_IDLE_DRAWS:
                study.stop()
            study.sampler = self._sampler(study, idle)

        counted = _counted(study)
        watch([self._candidate(trial) for trial in counted])
        if len(counted) < num_trials:
            study.sampler = self._sampler(study, idle)
            try:
                study.optimize(self._objective, catch=(Exception,), callbacks=[after_trial])
            except _Interrupted as interrupted:
                raise KeyboardInterrupt from interrupted
        return [self._candidate(trial) for trial in _counted(study)]

    def _open(self) -> optuna.Study:
        """Open the journal, alone; what a killed writer left is removed.

        That is a torn line, a lock, and a trial without an end, which is then drawn again alike.
        """
        if self.journal.exists():
            drop_torn_line(self.journal)
            _drop_unfinished_trial(self.journal)
            self.journal.with_name(f"{self.journal.name}.lock").unlink(missing_ok=True)
        backend = JournalFileBackend(
            str(self.journal), lock_obj=JournalFileOpenLock(str(self.journal))
        )
        return optuna.create_study(
            storage=JournalStorage(backend),
            study_name="search",
            direction="maximize",
            load_if_exists=True,
        )

    def _sampler(self, study: optuna.Study, idle: int) -> optuna.samplers.BaseSampler:
        """Return the sampler of the next trial, a function of the seed and the trials so far."""
        is_uniform = len(_counted(study)) < self.num_uniform or idle >= MAX_REPEATS
        number = len(study.get_trials(deepcopy=False))
        seed = derive_seed(self.seed, "sampler", number)
        return uniform(self.sampler, seed) if is_uniform else SAMPLERS[self.sampler](seed)

    def _objective(self, trial: optuna.Trial) -> float:
        counted = _counted(trial.study)
        seed = derive_seed(self.seed, "candidate", trial.number)
        trial.set_user_attr("seed", seed)
        trial.set_user_attr("uniform", len(counted) < self.num_uniform)
        try:
            architecture = self.space.sample(trial)
            name = candidate_name(architecture)
            twin = next((t for t in counted if t.user_attrs.get("candidate") == name), None)
            if twin is not None:
                return self._repeat(trial, twin)
            trial.set_user_attr("candidate", name)
            trial.set_user_attr("architecture", architecture_json(architecture))
            cost = self.space.cost(architecture)
            trial.set_user_attr("cost", asdict(cost))
            self._constrain(trial, cost)
            if not self.limits.allow(cost):
                trial.set_user_attr("uncounted", "above a limit")
                raise optuna.TrialPruned
            objective, accuracy, seconds = self.evaluate(architecture, seed)
        except optuna.TrialPruned:
            raise
        except KeyboardInterrupt as interrupt:
            raise _Interrupted from interrupt
        except Exception as error:
            trial.set_user_attr("reason", " ".join(str(error).split()))
            raise
        trial.set_user_attr("accuracy", accuracy)
        trial.set_user_attr("seconds", seconds)
        return objective

    def _repeat(self, trial: optuna.Trial, twin: FrozenTrial) -> float:
        """Give `trial` the value of the `twin` of the same architecture, already trained."""
        trial.set_user_attr("uncounted", f"repeats trial {twin.number}")
        if twin.value is None:
            raise optuna.TrialPruned
        self._constrain(trial, Cost(**twin.user_attrs["cost"]))
        return twin.value

    def _constrain(self, trial: optuna.Trial, cost: Cost) -> None:
        for key, excess in self.limits.excess(cost).items():
            trial.set_constraint(key, excess)

    def _candidate(self, trial: FrozenTrial) -> Candidate:
        attrs = trial.user_attrs
        return Candidate(
            trial=trial.number,
            name=attrs.get("candidate", ""),
            architecture=self.space.restore(attrs["architecture"])
            if "architecture" in attrs
            else None,
            seed=attrs["seed"],
            objective=trial.value if trial.state == TrialState.COMPLETE else None,
            accuracy=attrs.get("accuracy"),
            cost=Cost(**attrs["cost"]) if "cost" in attrs else None,
            seconds=attrs.get("seconds"),
            is_uniform=attrs["uniform"],
            reason=attrs.get("reason", ""),
        )


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    """Return the finished trials that tried a candidate of their own."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished() and "uncounted" not in trial.user_attrs
    ]


def _drop_unfinished_trial(journal: Path) -> None:
    """Cut the last trial from `journal` where a kill left it running."""
    lines = journal.read_bytes().splitlines(keepends=True)
    codes = [json.loads(line)["op_code"] for line in lines]
    if CREATE_TRIAL in codes:
        last = len(codes) - 1 - codes[::-1].index(CREATE_TRIAL)
        if SET_TRIAL_STATE not in codes[last:]:
            os.truncate(journal, sum(map(len, lines[:last])))
