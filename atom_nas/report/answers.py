"""The four questions that a reader comes with, answered from the run's own files."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from atom_nas.audit.ranking import MIN_CANDIDATES
from atom_nas.audit.record import Audit, Figures
from atom_nas.report.results import Export, Results
from atom_nas.report.wording import bounds, costs, decimal, duration, percent
from atom_nas.search.objectives import COSTS, Objectives

MAX_EXPORTS = 3
"""Of more exports the others are in the table only."""

STRONG, FAIR = 0.7, 0.4
"""Where the low end of the interval of Spearman is called strong, and fair."""

SIZE = Objectives(("params", "macs"))
"""What is shown of the costs of an export where no latency was optimised."""

NOT_AUDITED = "Not known: no audit was made."
HOW_TO_AUDIT = "To audit, give the command again with the same --out and audit in place of search."

DECISIONS = {"yes": "Use {}.", "no": "Do not use {}.", "undecided": "Undecided on {}."}
"""Said where an audit has no sentence of its own."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A question, the answer in a sentence, and what it rests on, a line each."""

    question: str
    answer: str
    lines: tuple[str, ...]


def answers(results: Results) -> tuple[Answer, ...]:
    """Return the four answers, in the order of the page."""
    return _which(results), _costs(results), _sureness(results), _worth(results)


def title(results: Results) -> str:
    """Return what the page is about: the nets that were found, else the proxy alone."""
    if results.exports:
        return f"The best nets for {results.dataset}"
    return f"Is {results.proxy} worth searching on?"


def _which(results: Results) -> Answer:
    exports = results.exports
    best = _best(exports[0]) if exports else "Not decided: nothing was exported."
    return Answer(
        question="Which architectures?",
        answer=_front(results) if results.front else best,
        lines=(
            *(f"{each.candidate}: {_accuracy(each)}" for each in exports[:MAX_EXPORTS]),
            *_more(len(exports)),
            *(_chosen(results) if exports else _best_on_proxy(results)),
        ),
    )


def _best(export: Export) -> str:
    test = export.accuracies.test
    how = f", {percent(test)} % of test images right" if math.isfinite(test) else ""
    return f"The best is {export.candidate}{how}."


def _front(results: Results) -> str:
    front = {trial.candidate for trial in results.front}
    exported = len(front & {each.candidate for each in results.exports})
    return (
        f"A front of {len(front)} net{'s' * (len(front) > 1)}, {exported or 'none'} exported: no "
        f"other of {len(results.trials)} candidates scores as high on the proxy at no more "
        f"{bounds(results.objectives)}."
    )


def _accuracy(export: Export) -> str:
    test, validation = export.accuracies.test, export.accuracies.validation
    if not math.isfinite(test) and not math.isfinite(validation):
        return "accuracy not known"
    return f"{percent(test)} % of test images, {percent(validation)} % of validation images right"


def _more(number: int) -> Iterator[str]:
    if number > MAX_EXPORTS:
        yield f"{number - MAX_EXPORTS} more are in the table below"


def _chosen(results: Results) -> Iterator[str]:
    """Yield by what the exports were chosen, and on what they were trained."""
    if number := results.exports[0].fitted_on:
        yield (
            f"Chosen in turn by {results.proxy} and by a model of it and free scores, fitted on "
            f"{number} candidates of known accuracy"
        )
    yield f"Trained on {results.trained_on}"


def _best_on_proxy(results: Results) -> Iterator[str]:
    """Yield the best of the search, of which only its training on the proxy is known."""
    for best in results.scored[:1]:
        yield (
            f"The best of the search is {best.candidate}: {percent(best.proxy_accuracy)} % of "
            f"validation images right after training on {results.proxy}"
        )


def _costs(results: Results) -> Answer:
    exports = results.exports
    known = [each for each in exports if math.isfinite(each.num_params)]
    missing = "no export says its size" if exports else "nothing was exported"
    best = exports[0] if exports else None
    which = "most accurate" if results.front else "best"
    is_timed = "latency" in results.objectives.costs
    shown = Objectives(tuple(COSTS)) if is_timed else SIZE
    tried = results.scored[:1]
    if tried and not exports and math.isfinite(tried[0].num_params):
        return Answer(
            question="What do they cost?",
            answer=f"The best of the search: {costs(tried[0], shown)}.",
            lines=(),
        )
    return Answer(
        question="What do they cost?",
        answer=f"The {which}: {_size(best, shown)}."
        if best and known
        else f"Not known: {missing}.",
        lines=(
            *(f"{each.candidate}: {_size(each, shown)}" for each in exports[:MAX_EXPORTS] if known),
            *_more(len(exports)),
        ),
    )


def _size(export: Export, shown: Objectives) -> str:
    if not math.isfinite(export.num_params):
        return "size not known"
    return costs(export, shown)


def _sureness(results: Results) -> Answer:
    question, audit = "How sure is the ranking?", results.audit
    if audit is None:
        return Answer(question=question, answer=NOT_AUDITED, lines=(HOW_TO_AUDIT.rstrip("."),))
    ranking = audit.ranking_of(results.objective)
    rho = ranking.spearman
    return Answer(
        question=question,
        answer=_how_sure(audit, rho.low),
        lines=(
            *([] if ranking is audit.proxy else [f"Of {ranking.name}, by which was searched"]),
            f"Spearman {decimal(rho.value)}, 95% interval {decimal(rho.low)} to "
            f"{decimal(rho.high)}, n = {audit.n} candidates trained on the full data too; 1 is "
            "the same order, 0 is chance",
            *(() if audit.caution else _pairs(ranking, audit)),
        ),
    )


def _how_sure(audit: Audit, low: float) -> str:
    if audit.caution:
        return "Not sure: for most of the candidates the order means little."
    if audit.n < MIN_CANDIDATES:
        return f"Not sure: {audit.n} candidates are too few, {MIN_CANDIDATES} are wanted."
    if not low > 0:
        return "Not sure: it may be no better than chance."
    if low >= STRONG:
        return "Sure: even the low end of the interval is a strong ranking."
    if low >= FAIR:
        return "Fairly sure: even the low end of the interval is a fair ranking."
    return "Better than chance, but how much better is open."


def _pairs(ranking: Figures, audit: Audit) -> Iterator[str]:
    """Yield in words what Kendall's tau says of two candidates drawn at random.

    tau-b divides by the mean of how many pairs the score and the truth part; here pairs count that
    the truth parts, and a score that does not part them is a coin.
    """
    tau = ranking.kendall
    of_score, of_truth = map(_num_parted, (ranking.scores, audit.truth))
    if math.isfinite(tau.value) and of_truth:
        ratio = math.sqrt(of_score / of_truth)
        value, low, high = (
            min(100.0, 50 * (1 + ratio * each)) for each in (tau.value, tau.low, tau.high)
        )
        yield (
            f"Of two candidates at random it puts the better one first {decimal(value, 0)} times "
            f"in 100 ({decimal(low, 0)} to {decimal(high, 0)}); a coin would 50 times"
        )


def _num_parted(values: Iterable[float | None]) -> int:
    """Return how many pairs have unequal values."""
    counts = Counter(values)
    n = counts.total()
    return (n * n - sum(count * count for count in counts.values())) // 2


def _worth(results: Results) -> Answer:
    question, audit = "Was the proxy worth it?", results.audit
    if audit is None:
        lines = ("Hours saved and points lost: not known without it",)
        return Answer(question=question, answer=NOT_AUDITED, lines=lines)
    said = (
        audit.sentences[0] if audit.sentences else DECISIONS[audit.decision].format(results.proxy)
    )
    return Answer(
        question=question,
        answer=said,
        lines=(_saved(results, audit), _lost(audit), *_spent(results, audit)),
    )


def _saved(results: Results, audit: Audit) -> str:
    """Say what full trainings of the same candidates would have taken, less what the proxy took."""
    seconds = [each.seconds for each in results.scored if math.isfinite(each.seconds)]
    if not audit.full_seconds:
        return "Hours saved: not known, as the seconds of a full training are not"
    if not seconds:
        return "Hours saved: not known, as no search was timed in this folder"
    making, each = audit.proxy.setup_seconds, audit.full_seconds
    proxy, full = making + sum(seconds), len(seconds) * each
    how = (
        f"{len(seconds)} full trainings of {duration(each)} come to {duration(full)}, the search "
        f"on the proxy took {duration(proxy)}"
        + (f", {duration(making)} of it to make the proxy" if making else "")
    )
    if full > proxy:
        return f"Saved: {duration(full - proxy)} of full training ({how})"
    return f"No time was saved: {duration(proxy - full)} more than full training ({how})"


def _lost(audit: Audit) -> str:
    regret = audit.proxy.regret_points
    if not math.isfinite(regret):
        return "Points lost: not known"
    return (
        f"Lost among the {audit.n} audited: {decimal(regret)} points of accuracy, from the best of "
        "them to the first by the proxy"
    )


def _spent(results: Results, audit: Audit) -> Iterator[str]:
    """Yield what has to be known of these times."""
    if results.full_seconds:
        found = duration(results.full_seconds)
        what = "the audit and the exports" if results.is_truth_made_here else "the exports"
        yield f"Not counted: {found} of training in this folder, for {what}"
    if audit.full_seconds and not results.is_truth_made_here:
        yield "The time of a full training is that of the table of truth, maybe of another machine"
