"""What a set is worth: the random images a class at which random sets rank as well as it does.

Pure numbers, without torch. The definition stands in docs/audit.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atom_nas.audit import ranking
from atom_nas.audit.comparison import resample
from atom_nas.audit.monotone import reached, rising
from atom_nas.audit.ranking import Estimate, rank_correlation
from atom_nas.errors import UserError
from atom_nas.scoring.estimator import Array, Estimator

SIZES = (2, 5, 10, 20, 50, 100, 200)
"""Images a class of the random sets."""

SHARING = (40, 720, 15_625)
"""Candidates that share the distillation: a search by default, all nets of the space convnet, all
of NAS-Bench-201."""


@dataclass(frozen=True, kw_only=True)
class RandomSets:
    """How random sets of one size rank."""

    images: int
    """A class."""
    draws: int
    spearman: Estimate
    """The mean over the draws."""
    monotone: float
    """The same, made to rise with the size."""


@dataclass(frozen=True, kw_only=True)
class CostRatio:
    """The cost of a candidate on the proxy over that on a random set of its worth."""

    candidates: int
    """So many share the distillation."""
    ratio: float


@dataclass(frozen=True, kw_only=True)
class Worth:
    """The worth of a proxy in random images a class; at an end of the sizes it may lie beyond."""

    proxy: str
    n: int
    """Audited candidates."""
    draws: int
    """Condensations of the proxy."""
    spearman: Estimate
    """The mean over them."""
    images: Estimate
    """A class, within the sizes of the curve."""
    curve: tuple[RandomSets, ...]
    """From the smallest."""
    costs: tuple[CostRatio, ...]
    """Empty where costs are not known."""

    @property
    def sentence(self) -> str:
        """The worth in words, and in cost."""
        images, drawn = self.images, sorted({each.draws for each in self.curve})
        if drawn == [self.draws]:
            draws = f"{self.draws} draw{'s' * (self.draws > 1)}"
        else:
            fewest = f"{drawn[0]} to " if len(drawn) > 1 else ""
            draws = f"draws: {self.draws} of it, {fewest}{drawn[-1]} of random images"
        value, low, high = (self.say(each) for each in (images.value, images.low, images.high))
        return (
            f"{self.proxy} is worth {value} [{low}, {high}] random images a class "
            f"(n = {self.n}, {draws}){self._cost_in_words()}."
        )

    def say(self, images: float) -> str:
        """Return a number of images in words: at most 2, 7.5, 31, at least 200."""
        smallest, largest = self.curve[0].images, self.curve[-1].images
        bound = "at most " if images <= smallest else "at least " if images >= largest else ""
        return bound + (f"{images:.0f}" if images >= 9.95 else f"{round(images, 1):g}")

    def _cost_in_words(self) -> str:
        if not self.costs:
            return ""
        times = {_times(each.ratio): each.candidates for each in self.costs[::-1]}
        (first, sharing), *others = reversed(times.items())
        cost = f"; scoring a candidate on it costs {first} as much as on these"
        if not others:
            return cost
        rest = ", ".join(f"{words} where {candidates:,}" for words, candidates in others)
        return f"{cost} where {sharing:,} candidates share the distillation ({rest} do)"


def sizes_up_to(most: int, draws: int = 1) -> tuple[int, ...]:
    """Return those of `SIZES` for which the smallest class, of `most` images, has enough.

    Several `draws` are to differ, so that a set of the whole class is none of them. Raises
    UserError where it has too few for two of them.
    """
    largest = most if draws == 1 else most - 1
    if largest >= SIZES[1]:
        return tuple(size for size in SIZES if size <= largest)
    raise UserError(
        f"--worth draws {SIZES[0]}, {SIZES[1]} and more training images of every class, and one "
        f"has {most}; add images of it, or leave --worth out."
    )


def measure_worth(
    proxy: Estimator, sets: Mapping[int, Estimator], truth: ArrayLike, *, seed: int = 0
) -> Worth:
    """Return what the proxy is worth in random images a class, by the truth (n,).

    `sets` are random ones by their images a class. A row of `repeats`, of shape (draws, n), is one
    draw, `scores` are one where there are none; candidates that failed rank last in each. The
    bootstrap draws candidates by `seed`, the same ones for all. Raises UserError where
    there are fewer than two sets, or numbers of candidates differ.
    """
    if len(sets) < 2 or min(sets) < 1:
        raise UserError(
            f"got random sets of {sorted(sets)} images a class; give two sizes or more."
        )
    sizes = sorted(sets)
    groups = [_draws(each) for each in (proxy, *(sets[size] for size in sizes))]
    y, *rows = ranking.checked(truth, *(row for group in groups for row in group))
    ends = np.cumsum([0, *map(len, groups)])
    found = _means(np.array([[rank_correlation(row, y)] for row in rows]), ends)
    resampled = _means(resample(rows, y, seed), ends)
    draws = [len(group) for group in groups]
    curve, curves = (rising(each[1:], draws[1:]) for each in (found, resampled))
    value = float(reached(curve, found[0], sizes)[0])
    rho = [
        _estimate(float(own[0]), drawn, (-1.0, 1.0), len(y))
        for own, drawn in zip(found, resampled, strict=True)
    ]
    every = (float(sizes[0]), float(sizes[-1]))
    return Worth(
        proxy=proxy.name,
        n=len(y),
        draws=draws[0],
        spearman=rho[0],
        images=_estimate(value, reached(curves, resampled[0], sizes), every, len(y)),
        curve=tuple(
            RandomSets(images=size, draws=count, spearman=each, monotone=float(monotone))
            for size, count, each, monotone in zip(
                sizes, draws[1:], rho[1:], curve[:, 0], strict=True
            )
        ),
        costs=_ratios(proxy, {size: sets[size] for size in sizes}, value),
    )


def _draws(estimator: Estimator) -> Array:
    """Return the scores of each draw (draws, n), those that failed just below all others."""
    repeats = estimator.ranked_repeats
    return estimator.ranked[None] if repeats is None else repeats


def _means(rows: Array, ends: NDArray[np.int64]) -> Array:
    """Return the mean of the rows between each two `ends`, over each column."""
    means: Array = np.add.reduceat(rows, ends[:-1], axis=0) / np.diff(ends)[:, None]
    return means


def _estimate(value: float, drawn: Array, every: tuple[float, float], n: int) -> Estimate:
    """Return the value with the percentiles of the bootstrap; `every` value under 3 candidates."""
    low, high = np.percentile(drawn, (2.5, 97.5)) if n > 2 else every
    return ranking.around(value, float(low), float(high))


def _ratios(proxy: Estimator, sets: Mapping[int, Estimator], worth: float) -> tuple[CostRatio, ...]:
    """Return what one draw of the proxy costs a candidate over one of the random sets of its worth.

    Between two sizes, which rise in `sets`, the cost is linear in the number of images.
    """
    if not all(each.macs_per_candidate > 0 for each in (proxy, *sets.values())):
        return ()
    found = []
    for sharing in SHARING:
        on_random = np.interp(worth, [*sets], [_cost(each, sharing) for each in sets.values()])
        ratio = _cost(proxy, sharing) / float(on_random)
        found.append(CostRatio(candidates=sharing, ratio=ratio))
    return tuple(found)


def _cost(estimator: Estimator, sharing: int) -> float:
    """Return the multiply-adds of a candidate on one draw, its share of what is spent once too."""
    whole = estimator.macs_per_candidate + estimator.setup_macs / sharing
    return whole / len(_draws(estimator))


def _times(ratio: float) -> str:
    digits = ".2f" if 0.095 <= ratio < 9.995 else ".2g" if ratio < 1 else ".0f"
    return f"{ratio:{digits}} times"
