"""What the trials of a study say: which candidates were tried, and how."""

from itertools import takewhile
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from atom_nas.scoring.space import Space
from atom_nas.search.candidate import Candidate
from atom_nas.search.journal import open_study
from atom_nas.training.cost import Cost


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


def idle(study: optuna.Study) -> int:
    """Return how many trials in a row, up to the last, tried nothing of their own."""
    trials = reversed(study.get_trials(deepcopy=False))
    return sum(1 for _ in takewhile(lambda trial: "uncounted" in trial.user_attrs, trials))


def twin_of(study: optuna.Study, name: str) -> FrozenTrial | None:
    """Return the trial, told or not yet, that tries the candidate called `name`."""
    for trial in study.get_trials(deepcopy=False):
        if trial.user_attrs.get("candidate") == name and "uncounted" not in trial.user_attrs:
            return trial
    return None
