"""What else the audit found, in words: each sentence only where its figures are known."""

from collections.abc import Iterator

from atom_nas.audit.record import Audit
from atom_nas.report.wording import BEST, MEASURES, decimal, duration, interval, quantity


def remarks(audit: Audit) -> list[str]:
    """Return the sentences on ceiling, seeds, other scores and what more candidates would do."""
    return [*_ceiling(audit), *_seeds(audit), *_variants(audit), *_plan(audit)]


def _ceiling(audit: Audit) -> Iterator[str]:
    whole, top = audit.ceiling, audit.ceiling_top
    if whole.value is None or whole.agreement is None:
        yield f"No ceiling is known: {whole.reason}."
        return
    mean = f", the mean of {whole.trainings:.2g} trainings" if whole.trainings > 1 else ""
    yield (
        f"Two trainings on the full data agree by {decimal(whole.agreement)}, so a perfect score "
        f"is expected to reach Spearman {decimal(whole.value)} with the truth{mean}: its ceiling."
    )
    if top.value is None:
        yield f"Inside the {BEST} the ceiling is not known: {top.reason}."
    else:
        yield f"Inside the {BEST} it is {decimal(top.value)}."


def _seeds(audit: Audit) -> Iterator[str]:
    if seeds := audit.seeds:
        yield (
            f"The score of {audit.proxy.name} is the mean of {seeds.count} seeds, which agree by "
            f"{decimal(seeds.between)}; one alone has Spearman {decimal(seeds.one)}."
        )
        if seeds.signal_to_noise is not None:
            yield (
                f"It varies {decimal(seeds.signal_to_noise, 1)} times as much between candidates "
                "as between seeds of one candidate, in the best half by truth "
                f"{decimal(seeds.signal_to_noise_half, 1)} times."
            )


def _variants(audit: Audit) -> Iterator[str]:
    if audit.variants:
        found = {audit.measure: audit.proxy.spearman, **audit.variants}
        best, *others = sorted(found, key=lambda name: -found[name].value)
        against = (f"{interval(found[name])} for {MEASURES.get(name, name)}" for name in others)
        yield (
            f"Of the scores from the trainings on {audit.proxy.name}, {MEASURES.get(best, best)} "
            f"ranks best, {interval(found[best])}, against {', '.join(against)}."
        )


def _plan(audit: Audit) -> Iterator[str]:
    if (plan := audit.plan).more_candidates:
        macs = f" and {quantity(plan.macs)} MACs" if plan.macs else ""
        yield (
            f"{plan.more_candidates} more candidates, about {duration(plan.seconds)}{macs}, would "
            f"narrow the interval of Spearman to a width of {decimal(plan.width)}."
        )
