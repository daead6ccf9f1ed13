"""The figures of audit.json, one record an estimator; a number that is missing is NaN."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and the ends of its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """What the audit found about one way to score candidates."""

    name: str
    spearman: Interval
    spearman_top: Interval
    """Inside the best fifth by truth."""
    kendall: Interval
    top_k: float
    overlap: float
    """Share of the k best by score that are among the k best by truth."""
    precision: float
    """The same share for the best tenth."""
    rank_of_best: float
    """By score, of the best by truth; 1 is the best."""
    regret_points: float
    cost: float
    """Seconds to score the audited candidates, condensation included; 0 where none was needed."""
    difference: Interval
    """Spearman of the proxy minus Spearman of this estimator; NaN for the proxy itself."""
    verdict: str
    """Whether the proxy is better or worse than this estimator, or undecided; else empty."""


@dataclass(frozen=True, kw_only=True)
class Combined:
    """The proxy put together with scores that are free."""

    estimator: Estimator
    over: str
    """The name of the same without the proxy."""
    uplift: Interval
    """Spearman of the estimator minus Spearman of what it is `over`."""
    verdict: str
    """Whether it is better or worse than that, or undecided."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """What is found inside the best fraction of the candidates by truth."""

    fraction: float
    n: int
    ceiling: float
    spearman: Mapping[str, float]
    """By name of the estimator, the combined ones among them."""


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """How far the seeds agree that the score of the proxy is the mean of."""

    count: int
    between: float
    """Spearman of one with another."""
    one: float
    """Spearman of one with the truth."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What narrows the interval of the proxy's Spearman to `width`."""

    width: float
    more_candidates: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The audit of a proxy against its rivals."""

    proxy: str
    dataset: str
    space: str
    n: int
    """The number of audited candidates."""
    full_cost: float
    """Seconds to train all of them on the full data."""
    estimators: tuple[Estimator, ...]
    """The proxy, then its rivals."""
    combined: tuple[Combined, ...]
    regions: tuple[Region, ...]
    """From the best few to all."""
    ceiling: float
    """Spearman between two trainings on the full data."""
    ceiling_top: float
    """The same inside the best fifth by truth."""
    measure: str
    """What of the trainings is the score of the proxy, a key of `MEASURES` in wording.py."""
    variants: Mapping[str, Interval]
    """Spearman of other measures from the trainings of the proxy, by name."""
    seeds: Seeds | None
    plan: Plan | None
    sentences: tuple[str, ...]
    """The verdict in words."""


def parse_audit(found: Mapping[str, Any]) -> Audit:
    """Return the audit that audit.json holds; null stands for a figure that is not defined.

    Of what an older file lacks, there is none.
    """
    n = int(found.get("n") or 0)
    verdict = found.get("verdict") or {}
    figures = {found["proxy"]: found, **(found.get("baselines") or {})}
    ceiling, seeds, plan = (found.get(key) or {} for key in ("ceiling", "reliability", "plan"))
    return Audit(
        proxy=found["proxy"],
        dataset=found["dataset"],
        space=found["space"],
        n=n,
        full_cost=n * number((found.get("seconds") or {}).get("full_per_candidate")),
        estimators=tuple(
            _estimator(name, its or {}, n, verdict.get(name) or "") for name, its in figures.items()
        ),
        combined=tuple(
            _combined(name, its, n) for name, its in (found.get("combined") or {}).items()
        ),
        regions=tuple(_region(row) for row in found.get("by_fraction") or ()),
        ceiling=number(ceiling.get("all")),
        ceiling_top=number(ceiling.get("top")),
        measure=found.get("measure") or "accuracy",
        variants={name: _interval(its) for name, its in (found.get("variants") or {}).items()},
        seeds=_seeds(seeds) if seeds else None,
        plan=_plan(plan) if plan else None,
        sentences=tuple(found.get("sentences") or ["The audit reached no verdict."]),
    )


def number(value: object) -> float:
    """Return `value`, a number or its text, as a float; NaN for None and for empty text."""
    return math.nan if value is None or value == "" else float(str(value))


def _estimator(name: str, found: Mapping[str, Any], n: int, verdict: str) -> Estimator:
    top, seconds = found.get("top") or {}, found.get("seconds") or {}
    return Estimator(
        name=name,
        spearman=_interval(found.get("spearman")),
        spearman_top=_interval((found.get("top_fraction") or {}).get("spearman")),
        kendall=_interval(found.get("kendall")),
        top_k=number(top.get("k")),
        overlap=number(top.get("overlap")),
        precision=number(found.get("precision_at_10")),
        rank_of_best=number(found.get("rank_of_best")),
        regret_points=number(found.get("regret_points")),
        cost=(seconds.get("distill") or 0) + n * (seconds.get("proxy_per_candidate") or 0),
        difference=_interval(found.get("difference")),
        verdict=verdict,
    )


def _combined(name: str, found: Mapping[str, Any], n: int) -> Combined:
    return Combined(
        estimator=_estimator(name, found, n, ""),
        over=found["over"],
        uplift=_interval(found.get("uplift")),
        verdict=found.get("verdict") or "",
    )


def _region(found: Mapping[str, Any]) -> Region:
    return Region(
        fraction=found["fraction"],
        n=found["n"],
        ceiling=number(found.get("ceiling")),
        spearman={name: number(rho) for name, rho in found["spearman"].items()},
    )


def _seeds(found: Mapping[str, Any]) -> Seeds:
    return Seeds(
        count=found["seeds"],
        between=number(found.get("between_seeds")),
        one=number(found.get("one_seed")),
    )


def _plan(found: Mapping[str, Any]) -> Plan:
    return Plan(
        width=number(found.get("width")),
        more_candidates=number(found.get("more_candidates")),
        seconds=number(found.get("seconds")),
    )


def _interval(found: Mapping[str, Any] | None) -> Interval:
    ends = found or {}
    return Interval(**{end: number(ends.get(end)) for end in ("value", "low", "high")})
