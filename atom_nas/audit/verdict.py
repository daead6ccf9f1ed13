"""What the figures of an audit mean, in words: the decision, and what would help.

The rules are those of docs/audit.md.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from atom_nas.audit.ranking import MIN_CANDIDATES, Comparison, candidates_needed


class Decision(TypedDict):
    """Whether to search on the proxy (yes, no or undecided), and the sentence that says why."""

    use: str
    sentence: str


def decide(
    name: str,
    figures: Mapping[str, Any],
    comparisons: Mapping[str, Comparison],
    costs: Mapping[str, float],
    own_cost: float,
) -> Decision:
    """Apply the rule to the proxy `name`; `comparisons` and `costs` (seconds) are its rivals'."""
    n, rho = figures["n"], figures["spearman"]
    if n < MIN_CANDIDATES:
        return Decision(
            use="undecided",
            sentence=f"Too few candidates to decide ({n}; the rule wants {MIN_CANDIDATES}).",
        )
    fair = [rival for rival in comparisons if costs[rival] <= own_cost]
    better = [rival for rival in fair if comparisons[rival].verdict == "worse"]
    if better:
        best = min(better, key=lambda rival: comparisons[rival].difference.value)
        return Decision(
            use="no",
            sentence=f"Do not use {name} here: {best} ranks better and costs less or the same.",
        )
    if rho["low"] <= 0:
        return Decision(
            use="no",
            sentence=f"Do not use {name} here: it is not shown to rank better than chance.",
        )
    undecided = [rival for rival in fair if comparisons[rival].verdict == "undecided"]
    if undecided:
        cheapest = min(undecided, key=lambda rival: costs[rival])
        hint = (
            ", which costs less"
            if len(undecided) == 1
            else f"; of these {cheapest} costs the least"
        )
        return Decision(
            use="undecided",
            sentence=f"{name} ranks better than chance, but is not shown to rank better than "
            f"{_listed(undecided)}{hint}.",
        )
    return Decision(
        use="yes", sentence=f"Use {name}: it ranks better than every rival that costs no more."
    )


def describe(
    name: str, figures: Mapping[str, Any], comparisons: Mapping[str, Comparison]
) -> list[str]:
    """Say how the proxy ranks, and how it compares with its rivals, one sentence a verdict."""
    sentences = [
        f"{name} ranks {figures['n']} candidates with Spearman {_interval(figures['spearman'])} "
        "against full-data training."
    ]
    for verdict, words in (
        ("better", f"{name} ranks better than"),
        ("worse", f"{name} ranks worse than"),
        ("undecided", f"Undecided whether {name} ranks better than"),
    ):
        rivals = [
            f"{rival} ({_interval(vars(comparison.difference), sign='+')})"
            for rival, comparison in comparisons.items()
            if comparison.verdict == verdict
        ]
        if rivals:
            sentences.append(f"{words} {', '.join(rivals)}.")
    if figures["n"] < MIN_CANDIDATES:
        sentences.append(f"Under {MIN_CANDIDATES} candidates a correlation says little.")
    return sentences


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


def explain_noise(figures: Mapping[str, Any], ceiling: float | None) -> list[str]:
    """Say whether more seeds or a better set would help most; nothing where seeds are too few."""
    found = figures["reliability"]
    if not found:
        return []
    rho, between = found["one_seed"], found["between_seeds"]
    most = with_seeds(rho, between, math.inf)
    more = 2 * found["seeds"]
    now, then = with_seeds(rho, between, found["seeds"]), with_seeds(rho, between, more)
    limit = ceiling if ceiling is not None else 1.0
    is_noise = most - now >= limit - most
    advice = "more seeds would help most" if is_noise else "a better set would help most"
    return [
        f"One seed correlates with the truth by {rho:.2f} and with another seed by {between:.2f}: "
        f"with {more} seeds instead of {found['seeds']} expect about {then:.2f}, with any number "
        f"at most {most:.2f}; {advice}."
    ]


def suggest_measure(measure: str, others: Mapping[str, Comparison]) -> list[str]:
    """Name the measure that ranks best of those that rank better than `measure`, if any does.

    `others` compares each with it, on the same trainings.
    """
    better = {name: each for name, each in others.items() if each.verdict == "better"}
    if not better:
        return []
    best = max(better, key=lambda name: better[name].difference.value)
    gain = _interval(vars(better[best].difference), sign="+")
    return [
        f"By {best} the same trainings rank better than by {measure} ({gain}), at no cost: "
        f"--objective {best}."
    ]


def plan(figures: Mapping[str, Any], width: float, *, is_truth_known: bool) -> dict[str, Any]:
    """Return how many more audited candidates narrow the interval of Spearman below `width`.

    With them their cost in seconds, on the proxy and, unless a table knows it, on the full data.
    """
    rho, seconds = figures["spearman"]["value"], figures["seconds"]
    more = max(0, candidates_needed(rho, width) - figures["n"])
    each = seconds["proxy_per_candidate"]
    if not is_truth_known:
        each += seconds["full_per_candidate"]
    return {"width": width, "more_candidates": more, "seconds": more * each}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _interval(estimate: Mapping[str, float], sign: str = "") -> str:
    value, low, high = (f"{estimate[key]:{sign}.2f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
