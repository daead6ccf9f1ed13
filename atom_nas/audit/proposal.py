"""What to run after an audit that did not say yes: the better buy among what is there to be run.

The rule is written in docs/audit.md. A free score searches only as a part of a model (--objective
combined), and full data at equal cost not at all: what cannot be run is not proposed.
"""

from collections.abc import Iterable, Sequence

from atom_nas.audit.ranking import MIN_CANDIDATES
from atom_nas.audit.record import Combined, Figures, Rival
from atom_nas.audit.verdict import TOLERANCE, is_refused_for
from atom_nas.scoring.estimator import Kind

SETS: tuple[Kind, ...] = ("distilled", "random", "coreset")
"""What --proxy takes."""

FREE: tuple[Kind, ...] = ("size", "zero_cost", "rank_average")
"""What --objective combined puts together with the proxy."""

COMBINED = "combined"


def propose(
    proxy: Figures,
    rivals: Sequence[Rival],
    combined: Iterable[Combined],
    *,
    n: int,
    objective: str,
) -> list[str]:
    """Propose another set, the model, or both, with the reasons; nothing where neither is better.

    `objective` is what the search goes by so far.
    """
    if n < MIN_CANDIDATES:
        return []
    options, reasons = [], []
    if other := _better_buy(proxy, rivals, SETS):
        options.append(f"--proxy {other.figures.name}")
        reasons.append(_reason(proxy, other))
    free = _better_buy(proxy, rivals, FREE)
    if free and objective != COMBINED and _is_model_as_good(proxy, combined):
        options.append(f"--objective {COMBINED}")
        reasons.append(f"{_reason(proxy, free)}: a model joins both")
    if not options:
        return []
    return [f"next: the same command with {' '.join(options)} ({'; '.join(reasons)})."]


def _better_buy(proxy: Figures, rivals: Sequence[Rival], kinds: Sequence[Kind]) -> Rival | None:
    """Return the rival of these kinds that is ahead by most of those that cost no more.

    Where none is ahead, the cheapest of those that cost less, rank better than chance and are not
    told from the proxy; of equals the one that ranks best.
    """
    fair = [rival for rival in rivals if rival.is_fair and rival.figures.kind in kinds]
    if ahead := [rival for rival in fair if rival.comparison.verdict == "worse"]:
        return min(ahead, key=lambda rival: rival.comparison.difference.value)
    level = [
        rival
        for rival in fair
        if rival.comparison.verdict == "undecided"
        and rival.figures.spearman.low > 0
        and TOLERANCE * rival.figures.cost < proxy.cost
    ]
    return min(
        level, key=lambda rival: (rival.figures.cost, -rival.figures.spearman.value), default=None
    )


def _reason(proxy: Figures, rival: Rival) -> str:
    name = rival.figures.name
    if rival.comparison.verdict != "worse":
        return f"{name} is not told from {proxy.name} and costs less"
    alone = "" if is_refused_for(rival) else ", taken alone,"
    return f"{name} ranks better than {proxy.name}{alone} and costs no more"


def _is_model_as_good(proxy: Figures, combined: Iterable[Combined]) -> bool:
    """Return whether there is a model, and it ranks these candidates no worse than the proxy."""
    models = (both.figures for both in combined if both.figures.kind == "model")
    return any(model.spearman.value >= proxy.spearman.value for model in models)
