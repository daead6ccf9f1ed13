"""Numbers as words for a reader: short, with a unit, and `n/a` where there is none."""

import json
import math

from atom_nas.audit.figures import TOP
from atom_nas.audit.ranking import Estimate
from atom_nas.search.objectives import COSTS, Costly, Objectives

MISSING = "n/a"
RHO = "\N{GREEK SMALL LETTER RHO}"
BEST = f"best {100 * TOP:.0f} %"
"""The candidates at the top by truth, which scores are judged on too."""

MEASURES = {
    "accuracy": "validation accuracy",
    "accuracy_times_likelihood": "validation accuracy x training likelihood",
    "loss": "validation loss",
    "training_loss": "mean training loss",
    "final_training_loss": "last training loss",
    "combined": "predicted rank",
    "combined_ranks": "mean rank by proxy and free scores",
}
"""What the score of a proxy, or the objective of a search, may be, by its name in the files."""

COST_WORDS = {"params": "parameters", "macs": "multiply-adds", "latency": "latency"}
COST_HEADS = {"params": "Parameters", "macs": "MACs", "latency": "Latency (ms)"}
"""The costs that a search can optimise, in a sentence and at the head of a column."""

_PREFIXES = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
_UNITS = ((31_557_600, "years"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number with so many digits after the point and a true minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:z.{digits}f}".replace("-", "\N{MINUS SIGN}")


def measured(name: str) -> tuple[str, str, float]:
    """Return the words for a measure with a capital, its unit in brackets, and the factor to it."""
    words = MEASURES.get(name, name).capitalize()
    if name == "accuracy":
        return words, " (%)", 100
    return words, " (nats, negated)" if name.endswith("loss") else "", 1


def interval(found: Estimate) -> str:
    """Return the value and its interval: 0.81 (0.62 to 0.91)."""
    return f"{decimal(found.value)} ({decimal(found.low)} to {decimal(found.high)})"


def percent(fraction: float) -> str:
    """Return a fraction in percent, one decimal, without the sign: 84.2."""
    return decimal(100 * fraction, 1)


def top_found(overlap: float, k: int) -> str:
    """Return a share of k as a count: 3 of 5 (2.5 of 5 where ties leave it open)."""
    return f"{round(overlap * k, 1):g} of {k}"


def duration(seconds: float) -> str:
    """Return a time in the largest unit that is reached: 0.4 s, 3.3 min, 12 h."""
    if not math.isfinite(seconds):
        return MISSING
    size, unit = next((pair for pair in _UNITS if seconds >= pair[0]), (1, "s"))
    scaled = seconds / size
    digits = 1 if scaled < 1 else 2
    return f"{scaled:.{digits}g} {unit}" if scaled < 10 else f"{scaled:.0f} {unit}"


def quantity(count: float) -> str:
    """Return a count with three digits: 532, 12.3 k, 1.20 M."""
    if not math.isfinite(count):
        return MISSING
    rounded = float(f"{count:.3g}")
    if rounded < 1000:
        return f"{count:.0f}"
    unit, size = next((u, s) for u, s in _PREFIXES if rounded >= s)
    digits = max(0, 2 - math.floor(math.log10(rounded / size)))
    return f"{rounded / size:.{digits}f} {unit}"


def cost(found: Costly, name: str) -> str:
    """Return the cost called `name`: 12.3 k, or milliseconds with three digits."""
    value = getattr(found, COSTS[name])
    if value is None or not math.isfinite(value):
        return MISSING
    if name != "latency":
        return quantity(value)
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def costs(found: Costly, objectives: Objectives) -> str:
    """Return all costs that are optimised: 12.3 k parameters, 0.31 ms."""
    units = {**COST_WORDS, "latency": "ms"}
    return ", ".join(f"{cost(found, name)} {units[name]}" for name in objectives.costs)


def bounds(objectives: Objectives) -> str:
    """Return what no other has at most as much of: multiply-adds and latency."""
    return " and ".join(COST_WORDS[name] for name in objectives.costs)


def share(cost: float, full: float) -> str:
    """Return MACs in percent of a full training, or as they are where that is not known."""
    if not cost:
        return "free"
    if not full:
        return f"{quantity(cost)} MACs"
    part = 100 * cost / full
    return (
        f"{part:.0f} %"
        if part >= 9.95
        else f"{float(f'{part:.2g}'):.15g} %"
        if part >= 1e-4
        else "< 0.0001 %"
    )


def plain(value: object) -> str:
    """Return a setting as text: none for null, JSON for what is nested."""
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def shorten(text: str, width: int) -> str:
    """Return `text`, its middle left out where it is longer than `width`."""
    if len(text) <= width:
        return text
    head = width // 2
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (width - head - 1) :]}"
