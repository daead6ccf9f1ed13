"""The audit of scores against a truth: does a proxy rank as full training does, and who is better?

Pure numbers, without torch. The rule by which it says yes or no is written in docs/audit.md.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from atom_nas.audit import ranking, verdict
from atom_nas.audit.against import JOINT
from atom_nas.audit.comparison import Comparison, compare, compare_all, holm
from atom_nas.audit.proposal import propose
from atom_nas.audit.ranking import Estimate, rank_correlation, spearman
from atom_nas.audit.record import (
    Audit,
    Combined,
    Figures,
    Plan,
    Region,
    Rival,
    Seeds,
    known_or_none,
)
from atom_nas.audit.signal import signal_to_noise
from atom_nas.audit.truth import Truth
from atom_nas.audit.worth import measure_worth
from atom_nas.errors import UserError
from atom_nas.scoring.estimator import Array, Estimator

TOP = 0.2
"""The best fraction by truth, inside which estimators are judged too."""

FRACTIONS, MIN_TOP = tuple(i / 10 for i in range(1, 11)), 5

WIDTH = 0.2
"""The width of the interval that is planned for, where none is asked for."""


def audit_scores(
    proxy: Estimator,
    rivals: Sequence[Estimator],
    truth: Truth,
    *,
    combined: Sequence[tuple[Estimator, Estimator]] = (),
    sets: Mapping[int, Estimator] | None = None,
    candidates: Sequence[str] | None = None,
    dataset: str = "",
    space: str = "",
    seed: int = 0,
    width: float = WIDTH,
    is_truth_known: bool = True,
    caution: str = "",
    objective: str = "",
) -> Audit:
    """Judge the proxy against its rivals by the truth of the same n candidates.

    `combined` are the estimators that hold the proxy, each with the same but for it. `sets` are
    random ones by their images a class, which say what the proxy is worth and decide nothing. The
    bootstrap draws by `seed`. The plan reaches `width`, and trains on the full data unless
    `is_truth_known` of any candidate. A `caution` is said first and leaves it undecided. Where the
    `objective` of a search is given, what to run next is proposed. A rival that failed on all
    candidates is left out, and a sentence says so. Raises UserError where numbers of candidates
    differ or names are not distinct.
    """
    n, mean = len(truth.validation), truth.mean
    names = [str(i) for i in range(n)] if candidates is None else list(candidates)
    parts = [*(part for pair in combined for part in pair), *(sets or {}).values()]
    _check([proxy, *rivals, *(estimator for estimator, _ in combined)], parts, names, n)
    failed = verdict.say_what_failed(proxy, rivals)
    rivals = [rival for rival in rivals if np.isfinite(rival.scores).any()]
    figures = figures_of(proxy, truth, seed)
    against = compare_all(proxy.ranked, [rival.ranked for rival in rivals], mean, seed=seed)
    judged = _judge(proxy, rivals, against, truth, seed)
    accuracy = [proxy.variants["accuracy"]] if "accuracy" in proxy.variants else []
    known = np.where(truth.has_failed, np.nan, mean)
    tied = caution or verdict.say_if_tied(proxy.name, [proxy.scores, *accuracy], known)
    decision, sentence = verdict.decide(figures, judged, n=n, tied=tied)
    seeds, ceiling = _seeds(proxy, mean), truth.ceiling()
    worth = measure_worth(proxy, sets, mean, seed=seed) if sets else None
    together = _joined(combined, truth, seed)
    is_open = bool(objective) and not tied and decision != "yes"
    proposal = propose(figures, judged, together, n=n, objective=objective) if is_open else None
    return Audit(
        dataset=dataset,
        space=space,
        candidates=tuple(names),
        truth=known_or_none(known),
        test=None if truth.known_test is None else known_or_none(truth.known_test),
        full_macs=truth.macs,
        full_seconds=truth.seconds,
        measure=proxy.measure,
        proxy=figures,
        rivals=judged,
        combined=together,
        regions=regions([proxy, *rivals, *(estimator for estimator, _ in combined)], truth),
        ceiling=ceiling,
        ceiling_top=truth.ceiling(TOP),
        variants={
            name: spearman(each, mean, seed=seed) for name, each in proxy.ranked_variants.items()
        },
        seeds=seeds,
        plan=_plan(figures.spearman, n, width, [proxy, *rivals], None if is_truth_known else truth),
        decision=decision,
        sentences=(
            sentence,
            *verdict.say_how_it_ranks(figures, judged, n),
            *failed,
            *verdict.say_what_noise_costs(seeds, ceiling),
            *([] if tied or objective in JOINT else _suggest_measure(proxy, mean, seed)),
            *([worth.sentence] if worth else []),
            *([proposal.sentence] if proposal else []),
        ),
        worth=worth,
        proposal=proposal,
        caution=tied,
    )


def figures_of(estimator: Estimator, truth: Truth, seed: int) -> Figures:
    """Return what is measured of one estimator alone."""
    scores, mean = estimator.ranked, truth.mean
    k = max(1, round(0.1 * len(mean)))
    test = truth.test_mean
    return Figures(
        name=estimator.name,
        kind=estimator.kind,
        scores=known_or_none(estimator.scores),
        spearman=spearman(scores, mean, seed=seed),
        spearman_top=_inside(scores, truth, seed),
        spearman_test=None if test is None else rank_correlation(scores, test),
        kendall=ranking.kendall(scores, mean, seed=seed),
        top_k=k,
        overlap=ranking.top_overlap(scores, mean, k),
        precision=ranking.precision_at(scores, mean, 0.1),
        rank_of_best=ranking.rank_of_best(scores, mean),
        regret_points=ranking.regret(scores, mean),
        setup_macs=estimator.setup_macs,
        macs_per_candidate=estimator.macs_per_candidate,
        cost=estimator.cost,
        setup_seconds=estimator.setup_seconds,
        seconds_per_candidate=estimator.seconds_per_candidate,
        seconds=estimator.seconds,
    )


def regions(estimators: Sequence[Estimator], truth: Truth) -> tuple[Region, ...]:
    """Return the ceiling and each Spearman within the best 10%, 20%, ... of the truth.

    Fractions of fewer than 5 candidates are left out.
    """
    found = []
    for fraction in FRACTIONS:
        tops = truth.tops(fraction)
        n = round(float(np.mean([top.is_in.sum() for top in tops])))
        if n >= MIN_TOP:
            rho = {
                each.name: float(
                    np.mean(
                        [
                            rank_correlation(each.ranked[top.is_in], top.accuracies[top.is_in])
                            for top in tops
                        ]
                    )
                )
                for each in estimators
            }
            ceiling = truth.ceiling(fraction)
            found.append(Region(fraction=fraction, n=n, ceiling=ceiling, spearman=rho))
    return tuple(found)


def _judge(
    proxy: Estimator,
    rivals: Sequence[Estimator],
    comparisons: Sequence[Comparison],
    truth: Truth,
    seed: int,
) -> tuple[Rival, ...]:
    """Return the rivals with the proxy's comparisons, corrected over those that cost no more."""
    fair = [rival.cost <= verdict.TOLERANCE * proxy.cost for rival in rivals]
    trios = list(zip(rivals, comparisons, fair, strict=True))
    corrected = holm({rival.name: each.p_worse for rival, each, is_fair in trios if is_fair})
    return tuple(
        Rival(
            figures=figures_of(rival, truth, seed),
            comparison=each,
            is_fair=is_fair,
            p_worse_corrected=corrected.get(rival.name),
        )
        for rival, each, is_fair in trios
    )


def _inside(scores: Array, truth: Truth, seed: int) -> Estimate:
    """Return Spearman in the best fifth: the mean over the ways to choose it, and of the limits.

    The limits of a mean are no further apart than the mean of the limits.
    """
    found = [
        spearman(scores[top.is_in], top.accuracies[top.is_in], seed=seed) for top in truth.tops(TOP)
    ]
    value, low, high = np.mean([(each.value, each.low, each.high) for each in found], axis=0)
    return Estimate(value=float(value), low=float(low), high=float(high))


def _seeds(proxy: Estimator, mean: Array) -> Seeds | None:
    repeats = proxy.ranked_repeats
    if repeats is None or len(repeats) < 2:
        return None
    one = float(np.mean([rank_correlation(each, mean) for each in repeats]))
    best = repeats[:, ranking.top_fraction(mean, 0.5)]
    return Seeds(
        count=len(repeats),
        between=ranking.reliability(repeats),
        one=one,
        signal_to_noise=signal_to_noise(repeats) if len(mean) > 1 else None,
        signal_to_noise_half=signal_to_noise(best) if best.shape[1] > 1 else None,
    )


def _joined(
    combined: Sequence[tuple[Estimator, Estimator]], truth: Truth, seed: int
) -> tuple[Combined, ...]:
    return tuple(
        Combined(
            figures=figures_of(estimator, truth, seed),
            base=figures_of(base, truth, seed),
            uplift=compare(estimator.ranked, base.ranked, truth.mean, seed=seed),
        )
        for estimator, base in combined
    )


def _plan(
    rho: Estimate, n: int, width: float, estimators: Sequence[Estimator], truth: Truth | None
) -> Plan:
    """Return what narrows the interval, where a candidate costs its scores and, if any, a truth."""
    scored = [each for each in estimators if each.kind != "rank_average"]
    trainings = fmean(map(len, truth.validation)) if truth else 0.0
    macs, seconds = (truth.macs, truth.seconds) if truth else (0.0, 0.0)
    return verdict.plan(
        rho,
        n,
        width,
        macs=sum(each.macs_per_candidate for each in scored) + trainings * macs,
        seconds=sum(each.seconds_per_candidate for each in scored) + trainings * seconds,
    )


def _suggest_measure(proxy: Estimator, mean: Array, seed: int) -> list[str]:
    """Return what is to be said of the measures that rank better than that of the search."""
    variants = proxy.ranked_variants
    others = compare_all(proxy.ranked, list(variants.values()), mean, seed=seed)
    better = dict(zip(variants, map(_swapped, others), strict=True))
    return verdict.suggest_measure(proxy.measure, better)


def _swapped(comparison: Comparison) -> Comparison:
    """Return the comparison of the rival with the scores."""
    found = comparison.difference
    return Comparison(
        difference=Estimate(value=-found.value, low=-found.high, high=-found.low),
        p_better=comparison.p_worse,
        p_worse=comparison.p_better,
        n=comparison.n,
    )


def _check(
    named: Sequence[Estimator], parts: Sequence[Estimator], names: Sequence[str], n: int
) -> None:
    if len(names) != n:
        raise UserError(f"got {len(names)} names of candidates and {n} truths; give one each.")
    for each in (*named, *parts):
        if len(each.scores) != n:
            raise UserError(f"{each.name} scores {len(each.scores)} of {n} candidates; score all.")
    if twice := [name for name, count in Counter(e.name for e in named).items() if count > 1]:
        raise UserError(f"two estimators are called {twice[0]}; give each its own name.")
