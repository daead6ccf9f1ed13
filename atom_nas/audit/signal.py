"""How far candidates differ in their scores, against how far one candidate's own draws do."""

import math

import numpy as np
from numpy.typing import ArrayLike

from atom_nas.audit.ranking import checked
from atom_nas.errors import UserError


def signal_and_noise(score_matrix: ArrayLike) -> tuple[float, float]:
    """Return the standard deviations of signal and noise in scores (draws, n), 2 of each or more.

    As in a two-way analysis of variance with one score a cell: what is left after the means of
    candidates and of draws is the noise of one score; the signal is what the candidates' means
    differ by, less the share of the noise in them. A shift of a whole draw ranks nothing, and is
    neither.
    """
    scores = np.array(checked(*np.atleast_2d(np.asarray(score_matrix, dtype=float))))
    draws, n = scores.shape
    if draws < 2 or n < 2:
        raise UserError(f"got scores of {draws} draws, {n} candidates; give 2 of each or more.")
    means = scores.mean(0)
    left = scores - means - scores.mean(1, keepdims=True) + means.mean()
    noise = float((left**2).sum() / ((draws - 1) * (n - 1)))
    return math.sqrt(max(0.0, float(means.var(ddof=1)) - noise / draws)), math.sqrt(noise)


def signal_to_noise(score_matrix: ArrayLike) -> float | None:
    """Return their ratio; None where the draws differ by nothing but a shift."""
    signal, noise = signal_and_noise(score_matrix)
    return signal / noise if noise > 0 else None
