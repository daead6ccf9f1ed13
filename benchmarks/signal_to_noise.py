"""Does a set make all nets alike? The spread of its scores against their noise, of committed rows.

    python benchmarks/signal_to_noise.py

Signal and noise are those of atom_nas/audit/signal.py. Of a set with one draw only the spread of
the scores is known, which is both together. No net is trained; writes results/signal_to_noise.md.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from committed_rows import Scored, all_scored
from recompute_audits import RESULTS

from atom_nas.audit.ranking import rank_correlation, reliability, top_fraction
from atom_nas.audit.signal import signal_and_noise, signal_to_noise
from atom_nas.scoring.estimator import Array
from atom_nas.scoring.objective import DEFAULT_MEASURE
from atom_nas.storage.files import write_atomically

RESAMPLES = 999
SHOWN = ("accuracy", DEFAULT_MEASURE)


def interval(scores: Array) -> tuple[float, float]:
    """Return the 95% percentiles of the ratio over resampled candidates."""
    generator = np.random.default_rng(0)
    n = scores.shape[1]
    drawn = (generator.integers(0, n, n) for _ in range(RESAMPLES))
    ratios = [signal_to_noise(scores[:, index]) for index in drawn]
    low, high = np.percentile([each for each in ratios if each is not None], (2.5, 97.5))
    return float(low), float(high)


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
    scores, truth = found.scores(measure), found.truth
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
