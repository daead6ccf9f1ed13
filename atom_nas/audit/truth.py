"""The truth of an audit: what full-data training makes of each candidate, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, harmonic_mean

import numpy as np
from numpy.typing import NDArray

from atom_nas.audit.ranking import rank_correlation, top_fraction
from atom_nas.errors import UserError
from atom_nas.scoring.estimator import Array

MIN_AGREEING = 3
"""Of fewer candidates two trainings neither agree nor disagree."""

MIN_SHARE = 3
"""One candidate in so many has to have three trainings for one of them to choose the top."""

Trainings = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The rank correlation with the truth that a perfect score is expected to have."""

    value: float | None
    """None where the trainings are too few to tell."""
    agreement: float | None
    """Spearman between two trainings, the mean over pairs of them."""
    trainings: float
    """How many a candidate's truth is the mean of (harmonic mean over candidates)."""
    reason: str
    """Why there is none, or empty."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Top:
    """The best candidates, and the accuracies by which scores are judged among them."""

    is_in: NDArray[np.bool_]
    """Shape (n,)."""
    accuracies: Array
    """Shape (n,)."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Full-data accuracies of the n audited candidates, as fractions; NaN failed, and counts as 0.

    A number in place of a candidate's trainings is one training. Raises UserError where there is
    none, one is no fraction, or the test split is of other candidates.
    """

    validation: Trainings
    """For each candidate those of its trainings on the validation split, which decides all."""
    test: Trainings | None = None
    """The same on the test split, which is only reported."""
    seconds: float = 0.0
    """Of a training, the mean."""
    macs: float = 0.0
    """Multiply-adds of a training, the mean."""

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            if (found := getattr(self, name)) is not None:
                object.__setattr__(self, name, _trainings(found, name))
        if self.test is not None and len(self.test) != len(self.validation):
            raise UserError(
                f"the truth has {len(self.validation)} candidates on the validation split, "
                f"{len(self.test)} on the test split; give the same ones."
            )
        if not all(math.isfinite(each) and each >= 0 for each in (self.seconds, self.macs)):
            raise UserError("a full training's seconds or MACs are no number; 0 is not known.")

    @property
    def mean(self) -> Array:
        """Shape (n,): the mean over trainings on the validation split."""
        return _means(self.validation)

    @property
    def test_mean(self) -> Array | None:
        """Shape (n,): the same on the test split, where it is known."""
        return None if self.test is None else _means(self.test)

    @property
    def has_failed(self) -> NDArray[np.bool_]:
        """Shape (n,): whether all trainings of the candidate failed."""
        return _all_failed(self.validation)

    @property
    def known_test(self) -> Array | None:
        """`test_mean`, NaN where all trainings failed on either split."""
        if self.test is None:
            return None
        return np.where(self.has_failed | _all_failed(self.test), np.nan, _means(self.test))

    def tops(self, fraction: float) -> tuple[Top, ...]:
        """Return the best `fraction`, in each way that there is to choose them.

        Where a third of the candidates has 3 trainings or more, each in turn chooses among those
        and the mean of the others judges: what chooses and what judges then share no noise. Else,
        and for all (1.0), the mean of all trainings does both.
        """
        if fraction == 1 or not self._is_crossed:
            return (Top(is_in=top_fraction(self.mean, fraction), accuracies=self.mean),)
        pool = self._pool
        chosen = []
        for number in range(min(len(self.validation[i]) for i in pool)):
            one = _means([[self.validation[i][number]] for i in pool])
            is_in = np.zeros(len(self.validation), dtype=bool)
            is_in[pool[top_fraction(one, fraction)]] = True
            chosen.append(Top(is_in=is_in, accuracies=_means(self._without(number))))
        return tuple(chosen)

    def ceiling(self, fraction: float = 1.0) -> Ceiling:
        """Return what a perfect score is expected to reach in `tops(fraction)`.

        Where two trainings correlate by r, that is sqrt(k r / (1 + (k - 1) r)) with the mean of k
        (Spearman's correction for attenuation and the Spearman-Brown formula), and 0 for r <= 0.
        """
        if fraction == 1:
            reason = f"it needs {MIN_AGREEING} candidates with two trainings or more"
            return _ceiling([_agreement(self.validation)], self.validation, reason)
        reason = "for that a third of the candidates must be trained 3 times"
        if not self._is_crossed:
            return _ceiling([], self.validation, reason)
        found = []
        for number, top in enumerate(self.tops(fraction)):
            others = self._without(number)
            found.append(_agreement([others[i] for i in np.flatnonzero(top.is_in)]))
        return _ceiling(found, [self.validation[i][1:] for i in self._pool], reason)

    @property
    def _pool(self) -> NDArray[np.intp]:
        return np.flatnonzero([len(each) > 2 for each in self.validation])

    @property
    def _is_crossed(self) -> bool:
        return MIN_SHARE * len(self._pool) >= len(self.validation)

    def _without(self, number: int) -> list[tuple[float, ...]]:
        """Return the trainings of each candidate but for one, where there are three."""
        return [
            (*each[:number], *each[number + 1 :]) if len(each) > 2 else each
            for each in self.validation
        ]


def _trainings(found: Sequence[float | Sequence[float]], name: str) -> Trainings:
    rows = tuple(tuple(float(each) for each in np.atleast_1d(row)) for row in found)
    if not rows or not all(rows):
        raise UserError(f"a candidate has no {name} accuracy; give one or more, NaN where failed.")
    if wrong := [each for row in rows for each in row if each < 0 or each > 1]:
        raise UserError(f"the truth has the {name} accuracy {wrong[0]:g}; give a fraction of 1.")
    return rows


def _all_failed(trainings: Trainings) -> NDArray[np.bool_]:
    return np.array([bool(np.isnan(each).all()) for each in trainings])


def _means(trainings: Sequence[Sequence[float]]) -> Array:
    return np.array(
        [sum(0.0 if math.isnan(a) else a for a in each) / len(each) for each in trainings]
    )


def _agreement(trainings: Sequence[Sequence[float]]) -> float | None:
    """Return the mean Spearman over pairs of trainings, weighted by the candidates that have both.

    None where no pair has `MIN_AGREEING` of them.
    """
    found, weights = [], []
    for a, b in combinations(range(max(map(len, trainings), default=0)), 2):
        pairs = [(each[a], each[b]) for each in trainings if len(each) > b]
        if len(pairs) >= MIN_AGREEING:
            found.append(rank_correlation(*np.nan_to_num(np.array(pairs).T, nan=0.0)))
            weights.append(len(pairs))
    return fmean(found, weights) if found else None


def _ceiling(
    agreements: Sequence[float | None], trainings: Sequence[Sequence[float]], reason: str
) -> Ceiling:
    k = float(harmonic_mean([len(each) for each in trainings]))
    known = [each for each in agreements if each is not None]
    if not known:
        return Ceiling(value=None, agreement=None, trainings=k, reason=reason)
    r = fmean(known)
    value = math.sqrt(k * r / (1 + (k - 1) * r)) if r > 0 else 0.0
    return Ceiling(value=value, agreement=r, trainings=k, reason="")
