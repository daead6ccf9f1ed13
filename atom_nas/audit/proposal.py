"""What to run after an audit that did not say yes: the better buy among what is there to be run.

The rule is written in docs/audit.md. A free score searches only together with the proxy (`JOINT`),
and full data at equal cost not at all: what cannot be run is not proposed.
"""

from collections.abc import Iterable, Sequence

from atom_nas.audit.against import AVERAGED, JOINT
from atom_nas.audit.ranking import MIN_CANDIDATES
from atom_nas.audit.record import Combined, Figures, Proposal, Rival
from atom_nas.audit.verdict import TOLERANCE, is_refused_for
from atom_nas.scoring.estimator import Kind

SETS: tuple[Kind, ...] = ("distilled", "random", "coreset")
"""What --proxy takes."""

FREE: tuple[Kind, ...] = ("size", "zero_cost", "rank_average")
"""What an objective puts together with the proxy."""

HOW = {"combined_ranks": "the mean rank joins both", "combined": "a model joins both"}
"""How an objective of `JOINT` does so."""


def propose(
    proxy: Figures,
    rivals: Sequence[Rival],
    combined: Iterable[Combined],
    *,
    n: int,
    objective: str,
) -> Proposal | None:
    """Propose another set, a joint objective, or both, with the reasons, or nothing.

    `objective` is what the search goes by so far.
    """
    if n < MIN_CANDIDATES:
        return None
    reasons = []
    if other := _better_buy(proxy, rivals, SETS):
        reasons.append(_reason(proxy, other))
    free = _better_buy(proxy, rivals, FREE)
    joint = None
    if free and objective not in JOINT:
        joint = _best_joint(proxy, combined, free.figures)
    if free and joint:
        reasons.append(f"{_reason(proxy, free)}: {HOW[joint]}")
    if not reasons:
        return None
    name = other.figures.name if other else None
    return Proposal(proxy=name, objective=joint, reason="; ".join(reasons))


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
        return f"{name} cannot be told apart from {proxy.name} and costs less"
    alone = "" if is_refused_for(rival) else ", taken alone,"
    return f"{name} ranks better than {proxy.name}{alone} and costs no more"


def _best_joint(proxy: Figures, combined: Iterable[Combined], free: Figures) -> str | None:
    """Return the joint objective that ranks these candidates best, of equals the cheaper.

    The mean rank counts where the score that is `free` has a part in it. None where each ranks
    them worse than the proxy.
    """
    found = {both.figures.name: both.figures.spearman.value for both in combined}
    if free.kind != "rank_average" and free.name not in AVERAGED:
        found.pop("combined_ranks", None)
    known = [each for each, name in JOINT.items() if name in found]
    best = max(known, key=lambda each: found[JOINT[each]], default=None)
    return best if best and found[JOINT[best]] >= proxy.spearman.value else None
