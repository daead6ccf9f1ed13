"""What the figures of an audit mean, in words: the decision, and what would help.

The rules are those of docs/audit.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from atom_nas.audit.comparison import Comparison
from atom_nas.audit.ranking import MIN_CANDIDATES, Estimate, candidates_needed
from atom_nas.audit.record import Figures, Plan, Rival, Seeds, Use
from atom_nas.audit.truth import Ceiling
from atom_nas.scoring.estimator import Array, Estimator

TOLERANCE = 1.1
"""A rival costs no more than the proxy up to so many times its multiply-adds."""

SATURATED = 0.95
"""From such an accuracy on, that nets share it says that they learnt nearly all there is."""

LEVEL = 0.05
"""In no more than this share of audits is a proxy refused that no fair rival ranks better than."""


def decide(proxy: Figures, rivals: Sequence[Rival], *, n: int, tied: str = "") -> tuple[Use, str]:
    """Apply the rule to the proxy, and say why; `tied` says whose values are mostly equal."""
    name = proxy.name
    if tied:
        return "undecided", tied
    if n < MIN_CANDIDATES:
        return "undecided", f"Too few candidates to decide ({n}; the rule wants {MIN_CANDIDATES})."
    fair = [rival for rival in rivals if rival.is_fair]
    if proxy.spearman.low > 0 and not fair:
        return "undecided", (
            f"{name} ranks better than chance, but no rival here costs as little, so whether to "
            "use it is open: add a score that costs nothing, as num_params."
        )
    if better := [rival for rival in fair if is_refused_for(rival)]:
        best = min(better, key=lambda rival: rival.comparison.difference.value)
        return "no", f"Do not use {name} here: {best.figures.name} ranks better and costs no more."
    if proxy.spearman.low <= 0:
        return "no", f"Do not use {name} here: it is not shown to rank better than chance."
    if left := [rival.figures for rival in fair if rival.comparison.verdict != "better"]:
        least = min(rival.cost for rival in left)
        cheapest = [rival.name for rival in left if rival.cost == least]
        hint = ", which costs no more" if len(left) == 1 else ""
        if len(cheapest) < len(left):
            verb = "cost" if len(cheapest) > 1 else "costs"
            hint = f"; of these {_listed(cheapest, 'and')} {verb} the least"
        return "undecided", (
            f"{name} ranks better than chance, but is not shown to rank better than "
            f"{_listed([rival.name for rival in left])}{hint}."
        )
    return "yes", f"Use {name}: it ranks better than every rival that costs no more."


def is_refused_for(rival: Rival) -> bool:
    """Return whether the proxy ranks worse than this fair rival, however many there are."""
    corrected = rival.p_worse_corrected
    return corrected is not None and corrected <= LEVEL and rival.comparison.verdict == "worse"


def say_if_tied(proxy: str, scores: Iterable[Array], truth: Array) -> str:
    """Say whose values tell more than half of the candidates nothing of each other, or nothing.

    They failed, or are one and the same. `scores` are those of the proxy and its accuracies where
    they are known, each (n,), and the truth is (n,), NaN where one failed. Accuracies near 1 that
    are shared say that nets learnt, not that the scores are alike.
    """
    n, scores = len(truth), [*scores]
    for values, what in ((scores[0], f"failed on {proxy}"), (truth, "failed on the full data")):
        if n > 2 and (lost := int(np.isnan(values).sum())) > n / 2:
            return f"{lost} of {n} candidates {what}, so there is little to rank: mend that first."
    score, *accuracies = scores
    if (found := _commonest(score))[1] > n / 2:
        return (
            f"{found[1]} of {n} candidates score the same on {proxy}, so there is little to rank: "
            "lengthen the training (--proxy-steps) or take more images a class where it teaches "
            "nothing, or another --objective where all learn all."
        )
    for value, most in map(_commonest, accuracies):
        if most > n / 2 and value < SATURATED:
            return (
                f"{most} of {n} candidates have the same accuracy on {proxy}, as where a training "
                "teaches nothing: lengthen it (--proxy-steps) or take more images a class."
            )
    value, most = _commonest(truth)
    if most > n / 2:
        advice = "lengthen the training on the full data (--full-steps)"
        if value >= SATURATED:
            advice = "more validation images, or harder ones, would tell such nets apart"
        return (
            f"{most} of {n} candidates have the same full-data accuracy, so there is little to "
            f"rank: {advice}."
        )
    return ""


def _commonest(values: Array) -> tuple[float, int]:
    """Return the commonest value and how many share it; nobody where there are fewer than 3."""
    found, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if len(values) < 3 or not found.size:
        return math.nan, 0
    most = counts.argmax()
    return float(found[most]), int(counts[most])


def say_how_it_ranks(proxy: Figures, rivals: Sequence[Rival], n: int) -> list[str]:
    """Say how the proxy ranks, and how it compares with its rivals, one sentence a verdict."""
    name = proxy.name
    sentences = [
        f"{name} ranks {n} candidates with Spearman {_interval(proxy.spearman)} "
        "against full-data training."
    ]
    num_fair = sum(rival.is_fair for rival in rivals)
    for verdict, words, end in (
        ("better", f"{name} ranks better than", "."),
        ("worse", f"{name} ranks worse than", "."),
        (
            "worse alone",
            f"Taken alone, {name} ranks worse than",
            f"; corrected for {num_fair} rivals that is not sure.",
        ),
        ("undecided", f"Undecided whether {name} ranks better than", "."),
    ):
        found = [
            f"{rival.figures.name} ({_interval(rival.comparison.difference, sign='+')})"
            for rival in rivals
            if _verdict(rival) == verdict
        ]
        if found:
            sentences.append(f"{words} {', '.join(found)}{end}")
    if n < MIN_CANDIDATES:
        sentences.append(f"Under {MIN_CANDIDATES} candidates a correlation says little.")
    return sentences


def say_what_failed(proxy: Estimator, rivals: Sequence[Estimator]) -> list[str]:
    """Say on how many candidates each failed; a rival that failed on all is none."""
    lost = {each.name: int(np.isnan(each.scores).sum()) for each in (proxy, *rivals)}
    n = len(proxy.scores)
    some = [f"{name} on {count}" for name, count in lost.items() if 0 < count < n]
    gone = [each.name for each in rivals if lost[each.name] == n]
    sentences = []
    if some:
        sentences.append(f"Counted as the worst where a score failed: {', '.join(some)}.")
    if gone:
        sentences.append(f"Left out, as no candidate could be scored by it: {', '.join(gone)}.")
    return sentences


def _verdict(rival: Rival) -> str:
    """Return the verdict of the comparison; "worse alone" where the correction takes it back."""
    is_taken_back = rival.is_fair and not is_refused_for(rival)
    is_worse_alone = rival.comparison.verdict == "worse" and is_taken_back
    return "worse alone" if is_worse_alone else rival.comparison.verdict


def with_seeds(one_seed: float, between_seeds: float, seeds: float) -> float:
    """Return the correlation to expect from the mean of so many seeds (may be infinite).

    Spearman's correction for attenuation with the Spearman-Brown formula: where one seed
    correlates by rho with the truth and by r with another seed, the mean of k correlates by
    rho sqrt(k / (1 + (k - 1) r)). It is exact for scores with independent equal noise, and a
    guide for ranks.
    """
    share = max(between_seeds, 1e-6)
    gain = 1 / share if math.isinf(seeds) else seeds / (1 + (seeds - 1) * share)
    return max(-1.0, min(1.0, one_seed * math.sqrt(gain)))


def say_what_noise_costs(seeds: Seeds | None, ceiling: Ceiling) -> list[str]:
    """Say whether more seeds or a better set would help most; nothing where seeds are too few.

    Where seeds do not agree or one does not go with the truth there is nothing to extrapolate.
    """
    if seeds is None:
        return []
    one = (
        f"One seed correlates with the truth by {seeds.one:.2f} and with another seed by "
        f"{seeds.between:.2f}"
    )
    if seeds.between <= 0:
        return [f"{one}: seeds do not agree, so the score is noise; a better set would help most."]
    if seeds.one <= 0:
        return [f"{one}: more seeds would not help; a better set would."]
    more = 2 * seeds.count
    now, then, most = (
        with_seeds(seeds.one, seeds.between, count) for count in (seeds.count, more, math.inf)
    )
    limit = ceiling.value if ceiling.value is not None else 1.0
    is_noise = most - now >= limit - most
    advice = "more seeds would help most" if is_noise else "a better set would help most"
    return [
        f"{one}: with {more} seeds instead of {seeds.count} expect about "
        f"{then:.2f}, with any number at most {most:.2f}; {advice}."
    ]


def suggest_measure(measure: str, others: Mapping[str, Comparison]) -> list[str]:
    """Name the measure that ranks best of those that rank better than `measure`, if any does.

    `others` compares each with it, on the same trainings.
    """
    better = {name: each for name, each in others.items() if each.verdict == "better"}
    if not better:
        return []
    best = max(better, key=lambda name: better[name].difference.value)
    gain = _interval(better[best].difference, sign="+")
    return [
        f"By {best} the same trainings rank better than by {measure} ({gain}), at no cost: "
        f"--objective {best}."
    ]


LEAST_MORE = 10
"""Candidates by which an audit that is to be narrower grows at least."""


def plan(rho: Estimate, n: int, width: float, *, macs: float, seconds: float) -> Plan:
    """Return how many more candidates, each at this cost, narrow the interval to `width`."""
    is_reached = rho.high - rho.low < width
    more = 0 if is_reached else max(LEAST_MORE, candidates_needed(rho.value, width) - n)
    return Plan(width=width, more_candidates=more, macs=more * macs, seconds=more * seconds)


def _listed(names: Sequence[str], last: str = "or") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _interval(found: Estimate, sign: str = "") -> str:
    value, low, high = (f"{each:{sign}z.2f}" for each in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"
