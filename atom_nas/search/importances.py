"""importances.json: which parameters of the space the scores of a search depend on.

By fANOVA (Hutter, Hoos & Leyton-Brown, ICML 2014) on the study: the share of the variance of the
score that each parameter explains alone; what is left is due to several together.
"""

from pathlib import Path

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import TrialState

from atom_nas.search.trials import Trials, is_counted
from atom_nas.storage.files import write_json

MIN_TRIALS = 10
"""With fewer scored candidates a forest says nothing of a parameter."""


def write_importances(path: Path, search: Trials) -> None:
    """Write what the last of `search` says of its parameters, or the reason why it does not."""
    trials = [t for t in search.find() if is_counted(t) and t.state == TrialState.COMPLETE]
    shares, reason = {}, ""
    if len(trials) < MIN_TRIALS:
        reason = f"{len(trials)} candidates were scored, at least {MIN_TRIALS} are needed"
    elif len({_score(trial) for trial in trials}) == 1:
        reason = f"all {len(trials)} candidates have one score"
    else:
        shares = _shares(trials)
        if not shares:
            reason = "no parameter was drawn for all candidates with more than one value"
    write_json(path, {"trials": len(trials), "shares": shares, "reason": reason})


def _shares(trials: list[optuna.trial.FrozenTrial]) -> dict[str, float]:
    """Return the share of each parameter that all `trials` have, the largest first."""
    study = optuna.create_study(directions=["maximize"] * len(trials[0].values))
    study.add_trials(trials)
    shares = FanovaImportanceEvaluator(seed=0).evaluate(study, target=_score)
    return {name: float(shares[name]) for name in sorted(shares, key=lambda name: -shares[name])}


def _score(trial: optuna.trial.FrozenTrial) -> float:
    """Return the first value of `trial`; costs beside it depend on the parameters as they must."""
    return float(trial.values[0])
