"""Does a set make all nets alike? The spread of its scores against their noise, of committed rows.

    python benchmarks/signal_to_noise.py

Signal and noise are those of atom_nas/audit/signal.py. Of a set with one draw only the spread of
the scores is known, which is both together. No net is trained; writes results/signal_to_noise.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from ranking_protocols import VARIANTS
from recompute_audits import RESULTS, cell, rows_of

from atom_nas.audit.ranking import rank_correlation, reliability, top_fraction
from atom_nas.audit.signal import signal_and_noise, signal_to_noise
from atom_nas.audit.truth_table import TruthTable
from atom_nas.scoring.estimator import Array
from atom_nas.scoring.objective import DEFAULT_MEASURE, MEASURES
from atom_nas.scoring.space import load_space
from atom_nas.storage.files import write_atomically
from atom_nas.training.fit import Outcome

RESAMPLES = 999
SHOWN = ("accuracy", DEFAULT_MEASURE)

Rows = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Scores of n candidates on a set, a draw of it each, beside their full-data accuracies."""

    where: str
    name: str
    scores: dict[str, Array]
    """By measure, (draws, n)."""
    truth: Array
    """Shape (n,)."""


def interval(scores: Array) -> tuple[float, float]:
    """Return the 95% percentiles of the ratio over resampled candidates."""
    generator = np.random.default_rng(0)
    n = scores.shape[1]
    drawn = (generator.integers(0, n, n) for _ in range(RESAMPLES))
    ratios = [signal_to_noise(scores[:, index]) for index in drawn]
    low, high = np.percentile([each for each in ratios if each is not None], (2.5, 97.5))
    return float(low), float(high)


def scored(where: str, name: str, draws: Iterable[Rows], truth: dict[str, float]) -> Scored:
    """Return the scores of the candidates that all `draws` have."""
    found = [{row["candidate"]: _outcome(row) for row in rows} for rows in draws]
    names = [name for name in found[0] if all(name in draw for draw in found)]
    scores = {
        key: np.array([[MEASURES[key](draw[name]) for name in names] for draw in found])
        for key in SHOWN
    }
    return Scored(where=where, name=name, scores=scores, truth=np.array([truth[n] for n in names]))


def _outcome(row: dict[str, str]) -> Outcome:
    curve = tuple(map(float, row["curve"].split()))
    return Outcome(accuracy=float(row["accuracy"]), loss=float(row["loss"]), curve=curve)


def by(rows: Rows, *columns: str) -> Iterable[tuple[tuple[str, ...], Rows]]:
    """Yield the rows that agree in these columns, by their values."""

    def key(row: dict[str, str]) -> tuple[str, ...]:
        return tuple(row[column] for column in columns)

    for values, found in groupby(sorted(rows, key=key), key):
        yield values, list(found)


def all_scored() -> list[Scored]:
    """Return every set of the committed rows."""
    space = load_space("nas_bench_201", (3, 32, 32), 10)
    table = TruthTable.open("nas_bench_201", space, "cifar10")
    audited = rows_of(RESULTS / "nas_bench_201-cifar10" / "scores.csv")
    cells = {row["candidate"]: cell(space, row["candidate"]) for row in audited}
    truth = {
        name: float(np.mean(table.measure(each, seed=0).validation)) for name, each in cells.items()
    }
    found = list(_of_an_audit("nas_bench_201, CIFAR-10", audited, truth))
    for name in VARIANTS:
        path = RESULTS / "nas_bench_201-protocols" / f"{name}.csv"
        if path.exists():
            draws = [rows for _, rows in by(rows_of(path), "draw")]
            found.append(scored("the first of these", name, draws, truth))
    for folder in ("digits-convnet", "digits-mobile"):
        truth = _accuracies(rows_of(RESULTS / folder / "truth.csv"))
        rows = rows_of(RESULTS / folder / "scores.csv")
        found += _of_an_audit(folder.replace("digits-", "digits, "), rows, truth)
    rows = rows_of(RESULTS / "cheaper-digits" / "truth.csv")
    truth = _accuracies([row for row in rows if row["steps"] == "960"])
    rows = rows_of(RESULTS / "cheaper-digits" / "scores.csv")
    longest = sorted(by(rows, "training_digest"), key=lambda pair: -_seconds(pair[1]))
    for steps, (_, own) in zip((240, 120, 60), longest, strict=True):
        draws = [each for _, each in by(own, "proxy_seed")]
        found.append(scored("digits, convnet, 2 M", f"random_ipc50, {steps} steps", draws, truth))
    return found


def _of_an_audit(where: str, rows: Rows, truth: dict[str, float]) -> Iterable[Scored]:
    for (name,), own in by(rows, "proxy"):
        if not name.startswith("full"):
            yield scored(where, name, [each for _, each in by(own, "proxy_seed")], truth)


def _accuracies(rows: Rows) -> dict[str, float]:
    return {
        name: float(np.mean([float(row["test_accuracy"]) for row in own]))
        for (name,), own in by(rows, "candidate")
    }


def _seconds(rows: Rows) -> float:
    return float(np.mean([float(row["seconds"]) for row in rows]))


def to_markdown(found: Sequence[Scored]) -> str:
    """Return a table a measure."""
    parts = [
        "# Signal and noise of a set",
        "Standard deviations in hundredths of the score: of one draw over candidates (spread), and "
        "of one training around the mean of its candidate's draws (noise). Signal to noise [95% "
        "interval over candidates] takes the noise out of the spread first; in the best half by "
        "truth it says what is left where a search picks.",
    ]
    head = (
        *("space, data", "set", "n", "draws", "spread", "noise", "signal to noise"),
        *("in the best half", "between draws (Spearman)", "with truth, one draw (Spearman)"),
    )
    for measure in SHOWN:
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [f"| {' | '.join(_cells(each, measure))} |" for each in found]
        parts += [f"## {measure}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _cells(found: Scored, measure: str) -> Iterable[Any]:
    scores, truth = found.scores[measure], found.truth
    draws, n = scores.shape
    spread = np.mean([draw.std(ddof=1) for draw in scores])
    yield from (found.where, found.name, f"{n}", f"{draws}", f"{100 * spread:.1f}")
    if draws > 1:
        low, high = interval(scores)
        (_, noise), whole = signal_and_noise(scores), signal_to_noise(scores)
        best = signal_to_noise(scores[:, top_fraction(truth, 0.5)])
        yield from (f"{100 * noise:.1f}", f"{whole:.1f} [{low:.1f}, {high:.1f}]")
        yield from (f"{best:.1f}", f"{reliability(scores):.2f}")
    else:
        yield from ("", "", "", "")
    yield f"{np.mean([rank_correlation(draw, truth) for draw in scores]):.2f}"


if __name__ == "__main__":
    text = to_markdown(all_scored())
    write_atomically(RESULTS / "signal_to_noise.md", text)
    print(text)
