"""What a search draws next: a trial, with what is known of its candidate before it is tried."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from atom_nas.errors import explain
from atom_nas.scoring.space import Space, architecture_json, candidate_name, candidate_seed
from atom_nas.search.candidate import Limits
from atom_nas.search.draft import draft
from atom_nas.search.samplers import SAMPLERS, uniform
from atom_nas.search.trials import DRAW, Standing, Study
from atom_nas.storage.files import derive_seed
from atom_nas.training.cost import Cost
from atom_nas.training.devices import is_device_failure

MAX_REPEATS = 20
"""After so many trials in a row that repeat a candidate or break a limit, draw uniformly of all."""
MAX_PASSED_OVER = 300
"""So many uniform draws that may not start a search are passed over for one that may."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Draws trials of a space, each a function of the seed and the trials before it.

    Processes that pick at the same moment pick alike; whoever had to give a pick up draws the next
    from a random stream of its own, so that they do not meet again.
    """

    space: Space
    limits: Limits
    cost: Callable[[Any], Cost]
    """What a candidate costs; raises where it cannot be built."""
    may_start: Callable[[Any], bool]
    """Whether an architecture may be among the uniform draws, as far as such turn up."""
    sampler: str
    seed: int

    def draw(
        self, study: Study, found: Sequence[FrozenTrial], standing: Standing, is_start: bool
    ) -> tuple[FrozenTrial, str | None]:
        """Return a trial, RUNNING where it is to be tried, and why it failed already, if it did.

        Raises what the device failed of.
        """
        is_stuck = standing.idle >= MAX_REPEATS
        is_uniform = is_start or is_stuck
        seed = derive_seed(self.seed, "sampler", standing.next_draw)
        if standing.given_up is not None and not is_start:
            seed = derive_seed(seed, standing.given_up)
        sampler = uniform(self.sampler, seed) if is_uniform else SAMPLERS[self.sampler](seed)
        for _ in range(MAX_PASSED_OVER):
            trial, sheet = draft(study.study, found, sampler)
            if is_stuck or not is_start or self._can_start(trial):
                break
        trial.set_user_attr(DRAW, standing.next_draw)
        trial.set_user_attr("uniform", is_start)
        state, values, reason = TrialState.RUNNING, None, None
        try:
            state, values = self._propose(trial, standing)
        except Exception as error:
            if is_device_failure(error):
                raise
            reason = explain(error)
        drawn = create_trial(
            state=state,
            values=values,
            params=sheet.trial.params,
            distributions=sheet.trial.distributions,
            user_attrs=sheet.trial.user_attrs,
            system_attrs=sheet.trial.system_attrs,
        )
        return drawn, reason

    def _can_start(self, trial: optuna.Trial) -> bool:
        """Say whether `trial` may start a search; where it suggests nothing, it fails later."""
        try:
            architecture = self.space.sample(trial)
        except Exception:
            return True
        return self.may_start(architecture)

    def _propose(
        self, trial: optuna.Trial, standing: Standing
    ) -> tuple[TrialState, list[float] | None]:
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
            return (TrialState.COMPLETE if twin.values else TrialState.PRUNED), twin.values
        trial.set_user_attr("architecture", architecture_json(architecture))
        cost = self.cost(architecture)
        trial.set_user_attr("cost", asdict(cost))
        self._constrain(trial, cost)
        if not self.limits.allow(cost):
            trial.set_user_attr("uncounted", "above a limit")
            return TrialState.PRUNED, None
        return TrialState.RUNNING, None

    def _constrain(self, trial: optuna.Trial, cost: Cost) -> None:
        for key, excess in self.limits.excess(cost).items():
            trial.set_constraint(key, excess)
