"""How to go on with a run: what the same command takes up, with the numbers of this one."""

from collections.abc import Iterator
from dataclasses import dataclass

from atom_nas.report.results import Results

CAME_READY = "proxy_digest"
"""The setting of a proxy that came with its data set, of which no more are condensed."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """An option to add to the command, and what it is good for."""

    option: str
    purpose: str


def steps(results: Results) -> list[Step]:
    """Return what a run with these results can go on with."""
    return [*_search(results), *_audit(results), *_export(results)]


def _search(results: Results) -> Iterator[Step]:
    if tried := len(results.trials):
        yield Step(
            option=f"--trials {2 * tried}",
            purpose=f"search on: {tried} candidates were tried so far",
        )


def _audit(results: Results) -> Iterator[Step]:
    if not (audit := results.audit):
        return
    are_all = audit.n < (results.asked_size or 0)
    if (more := audit.plan.more_candidates) and not are_all:
        yield Step(
            option=f"--audit-size {audit.n + more}",
            purpose=f"a surer ranking: {audit.n} candidates are audited so far, "
            f"{audit.n + more} would narrow its interval to a width of {audit.plan.width:g}",
        )
    if audit.ceiling.value is None and results.is_truth_made_here:
        yield Step(
            option="--truth-seeds 3",
            purpose="see what a perfect score could reach",
        )
    if CAME_READY in results.settings:
        return
    if audit.seeds is None:
        yield Step(option="--proxy-seeds 2", purpose="see how well the proxy agrees with itself")
    yield Step(option="--against coresets", purpose="more rivals: herding and k-means images")


def _export(results: Results) -> Iterator[Step]:
    if front := results.front:
        if {trial.candidate for trial in front} - {each.candidate for each in results.exports}:
            yield Step(option=f"--top-k {len(front)}", purpose="train and export the whole front")
    elif results.trials:
        yield Step(
            option=f"--top-k {max(2 * len(results.exports), 3)}",
            purpose="train and export more of the best",
        )
