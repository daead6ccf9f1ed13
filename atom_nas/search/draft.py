"""A trial that is drawn before it is kept: a sampler sees the study, and writes on a sheet beside.

So a trial enters its study whole, in one operation, whatever lies between the study and here; and
the trials are read once for it, not once for every parameter.
"""

import copy
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_ID = -1
"""Of the draft, which no kept trial has."""


def draft(
    study: optuna.Study, trials: Sequence[FrozenTrial], sampler: BaseSampler
) -> tuple[optuna.Trial, "Sheet"]:
    """Return a trial that follows `trials`, all those of `study`, and the sheet that holds it."""
    sheet = Sheet(study, trials)
    return optuna.Study(study.study_name, sheet, sampler=sampler).ask(), sheet


class Sheet(BaseStorage):
    """A storage of the trials as they were read, and of one more, which may be written to."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        self._study, self._trials = study, trials
        self.trial = FrozenTrial(
            number=len(trials),
            trial_id=_ID,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Return the draft."""
        assert template_trial is None
        return _ID

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Write a parameter of the draft."""
        value = distribution.to_external_repr(param_value_internal)
        self.trial.params = {**self.trial.params, param_name: value}
        self.trial.distributions = {**self.trial.distributions, param_name: distribution}

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of the draft."""
        self.trial.user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write what a sampler notes of the draft."""
        self.trial.system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a copy of the draft."""
        assert trial_id == _ID
        return copy.deepcopy(self.trial)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials as they were read, and the draft; those that wait are not to be had."""
        if states == (TrialState.WAITING,):
            return []
        found = [*self._trials, self.trial]
        return [trial for trial in found if states is None or trial.state in states]

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return an id, which nothing here depends on."""
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of the study."""
        return self._study.study_name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return those of the study."""
        return self._study.directions

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what samplers noted of the study."""
        found = self._study._storage.get_study_system_attrs(self._study._study_id)
        return dict(found)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep what a sampler notes of the study."""
        self._study._storage.set_study_system_attr(self._study._study_id, key, value)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a sampler has no use for it")

    create_new_study = delete_study = set_study_user_attr = get_study_user_attrs = _refuse
    get_all_studies = set_trial_state_values = set_trial_intermediate_value = _refuse
