"""What of a training ranks its candidate best: other parts of its curve, or a model of the whole?

    python benchmarks/curve_measures.py

Committed rows; no net is trained. Measures are compared on NAS-Bench-201; the best there is then
held against the default on the other spaces, which had no part in the choice. The model is a ridge
regression from accuracy, validation loss and sixths of the curve: fitted on other candidates of
the same set (out of fold), or on NAS-Bench-201 and taken to the other spaces as it is, in shares of
rank. Writes results/curve_measures.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from committed_rows import BOX, NAS_BENCH_201, Scored, all_scored
from intervals import interval
from recompute_audits import RESULTS
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV

from atom_nas.audit.combination import predict_unseen
from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import rank_correlation
from atom_nas.scoring.estimator import Array
from atom_nas.scoring.objective import DEFAULT_MEASURE, MEASURES
from atom_nas.storage.files import write_atomically
from atom_nas.training.fit import Outcome

SETS = ("atom_ipc50", "random_ipc50")
SPACES = (NAS_BENCH_201, BOX, "digits, convnet", "digits, mobile")
PARTS = 6


def part(outcome: Outcome, start: float, end: float = 1.0) -> float:
    """Return the mean training loss between two shares of the training."""
    curve = outcome.curve
    first = int(start * len(curve))
    return float(np.mean(curve[first : max(first + 1, round(end * len(curve)))]))


OTHERS: Mapping[str, Callable[[Outcome], float]] = {
    "training loss, first sixth": lambda outcome: -part(outcome, 0, 1 / 6),
    "training loss, first third": lambda outcome: -part(outcome, 0, 1 / 3),
    "training loss, middle third": lambda outcome: -part(outcome, 1 / 3, 2 / 3),
    "training loss, last third": lambda outcome: -part(outcome, 2 / 3),
    "how far the training loss falls": lambda outcome: outcome.curve[0] - outcome.curve[-1],
    "training and validation loss": lambda outcome: -outcome.curve[-1] - outcome.loss,
    "validation minus training loss": lambda outcome: outcome.loss - outcome.curve[-1],
    "accuracy x likelihood, last third": lambda outcome: (
        outcome.accuracy * math.exp(-part(outcome, 2 / 3))
    ),
    "accuracy squared x likelihood": lambda outcome: (
        outcome.accuracy**2 * math.exp(-outcome.curve[-1])
    ),
    "accuracy x likelihood squared": lambda outcome: (
        outcome.accuracy * math.exp(-2 * outcome.curve[-1])
    ),
}

FITTED, TAKEN = "model of the curve, out of fold", "the same, fitted on NAS-Bench-201"


def scores_of(found: Scored, fitted_on: Scored) -> dict[str, Array]:
    """Return every measure of the candidates (n,), the mean over draws."""
    by = {**MEASURES, **OTHERS}
    scores = {name: found.by(measure).mean(0) for name, measure in by.items()}
    scores[FITTED] = predict_unseen(features(found), found.truth, seed=0)
    if found.where != fitted_on.where:
        model = RidgeCV(alphas=np.logspace(-3, 3, 13))
        model.fit(shares(features(fitted_on)), shares(fitted_on.truth))
        scores[TAKEN] = model.predict(shares(features(found)))
    return scores


def features(found: Scored) -> Array:
    """Return accuracy, validation loss and the sixths of the curve (n, 2 + PARTS)."""
    measures = [
        lambda outcome: outcome.accuracy,
        lambda outcome: outcome.loss,
        *(
            lambda outcome, i=i: part(outcome, i / PARTS, (i + 1) / PARTS)  # type: ignore[misc]
            for i in range(PARTS)
        ),
    ]
    return np.stack([found.by(measure).mean(0) for measure in measures], axis=1)


def shares(values: Array) -> Array:
    """Return the ranks of each column as shares, 1 for the largest."""
    ranks: Array = rankdata(values, axis=0) / len(values)
    return ranks


def to_markdown(sets: Sequence[Scored], found: Sequence[dict[str, Array]]) -> str:
    """Return the table, and what the best on NAS-Bench-201 is elsewhere."""
    rho = [
        {name: rank_correlation(own, each.truth) for name, own in scores.items()}
        for each, scores in zip(sets, found, strict=True)
    ]
    titles = [f"{each.where}, {each.name}, n = {len(each.truth)}" for each in sets]
    lines = [f"| measure | {' | '.join(titles)} |", "|---" * (1 + len(sets)) + "|"]
    for name in (*MEASURES, *OTHERS, FITTED, TAKEN):
        cells = (f"{each[name]:.2f}" if name in each else "" for each in rho)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    there = [each for own, each in zip(sets, rho, strict=True) if own.where == NAS_BENCH_201]
    best = max(
        (*MEASURES, *OTHERS),
        key=lambda name: np.mean([each[name] for each in there]),
    )
    is_default = " (the default)" * (best == DEFAULT_MEASURE)
    said = [
        f"NAS-Bench-201 is ranked best, in the mean of its sets, by {best}{is_default}. "
        "Others minus the default:"
    ]
    for name in dict.fromkeys((best, FITTED, TAKEN)):
        if name == DEFAULT_MEASURE:
            continue
        gaps = []
        for own, title, scores in zip(sets, titles, found, strict=True):
            if name in scores:
                gap = compare(scores[name], scores[DEFAULT_MEASURE], own.truth).difference
                gaps.append(f"- {title}: {interval(gap, '+')}")
        said.append("\n".join([f"{name}", "", *gaps]))
    head = (
        "# What of a training ranks best?\n\nSpearman with full data, the mean of the measure over "
        "draws; intervals are paired."
    )
    return "\n\n".join([head, "\n".join(lines), *said]) + "\n"


def main() -> None:
    sets = [each for each in all_scored() if each.where in SPACES and each.name in SETS]
    fitted_on = {each.name: each for each in sets if each.where == NAS_BENCH_201}
    found = [scores_of(each, fitted_on[each.name]) for each in sets]
    text = to_markdown(sets, found)
    write_atomically(RESULTS / "curve_measures.md", text)
    print(text)


if __name__ == "__main__":
    main()
