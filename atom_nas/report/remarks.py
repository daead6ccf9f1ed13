"""What else the audit found, in words: each sentence only where its figures are known."""

import math
from collections.abc import Iterator

from atom_nas.report.audited import Audit
from atom_nas.report.wording import BEST, MEASURES, decimal, duration, interval


def remarks(audit: Audit) -> list[str]:
    """Return the sentences on ceiling, seeds, other scores and what more candidates would do."""
    return [*_ceiling(audit), *_seeds(audit), *_variants(audit), *_plan(audit)]


def _ceiling(audit: Audit) -> Iterator[str]:
    if math.isfinite(audit.ceiling):
        top = f", and by {decimal(audit.ceiling_top)} inside the {BEST}"
        yield (
            f"Two trainings on the full data agree by {decimal(audit.ceiling)}"
            f"{top if math.isfinite(audit.ceiling_top) else ''}: "
            "a score that reaches this ranks as well as a full training."
        )


def _seeds(audit: Audit) -> Iterator[str]:
    if (seeds := audit.seeds) and math.isfinite(seeds.between + seeds.one):
        yield (
            f"The score of {audit.proxy} is the mean of {seeds.count} seeds, which agree by "
            f"{decimal(seeds.between)}; one alone has Spearman {decimal(seeds.one)}."
        )


def _variants(audit: Audit) -> Iterator[str]:
    found = {audit.measure: audit.estimators[0].spearman, **audit.variants}
    known = {name: rho for name, rho in found.items() if math.isfinite(rho.value)}
    if len(known) > 1:
        best, *others = sorted(known, key=lambda name: -known[name].value)
        against = (f"{interval(known[name])} for {MEASURES.get(name, name)}" for name in others)
        yield (
            f"Of the scores from the trainings on {audit.proxy}, {MEASURES.get(best, best)} ranks "
            f"best, {interval(known[best])}, against {', '.join(against)}."
        )


def _plan(audit: Audit) -> Iterator[str]:
    if (plan := audit.plan) and plan.more_candidates > 0 and math.isfinite(plan.seconds):
        yield (
            f"{plan.more_candidates:.0f} more candidates, about {duration(plan.seconds)}, would "
            f"narrow the interval to {decimal(plan.width)}."
        )
