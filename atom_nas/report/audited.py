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
    kendall: Interval
    top_k: float
    overlap: float
    """Share of the k best by score that are among the k best by truth."""
    regret_points: float
    cost: float
    """Seconds to score the audited candidates, condensation included; 0 where none was needed."""
    difference: Interval
    """Spearman of the proxy minus Spearman of this estimator; NaN for the proxy itself."""
    verdict: str
    """Whether the proxy is better or worse than this estimator, or undecided; else empty."""


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
    sentences: tuple[str, ...]
    """The verdict in words."""


def parse_audit(found: Mapping[str, Any]) -> Audit:
    """Return the audit that audit.json holds; null stands for a figure that is not defined."""
    n = int(found.get("n") or 0)
    verdict = found.get("verdict") or {}
    figures = {found["proxy"]: found, **(found.get("baselines") or {})}
    return Audit(
        proxy=found["proxy"],
        dataset=found["dataset"],
        space=found["space"],
        n=n,
        full_cost=n * number((found.get("seconds") or {}).get("full_per_candidate")),
        estimators=tuple(
            _estimator(name, its or {}, n, verdict.get(name) or "") for name, its in figures.items()
        ),
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
        kendall=_interval(found.get("kendall")),
        top_k=number(top.get("k")),
        overlap=number(top.get("overlap")),
        regret_points=number(found.get("regret_points")),
        cost=(seconds.get("distill") or 0) + n * (seconds.get("proxy_per_candidate") or 0),
        difference=_interval(found.get("difference")),
        verdict=verdict,
    )


def _interval(found: Mapping[str, Any] | None) -> Interval:
    ends = found or {}
    return Interval(**{end: number(ends.get(end)) for end in ("value", "low", "high")})
