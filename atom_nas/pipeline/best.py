"""Which candidates of a search are exported: the best by all that is known of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from atom_nas.audit.against import JOINT
from atom_nas.audit.ranking import MIN_CANDIDATES
from atom_nas.audit.record import Audit
from atom_nas.errors import UserError
from atom_nas.pipeline.run import Run
from atom_nas.scoring.scorer import Sample
from atom_nas.scoring.space import candidate_name
from atom_nas.search.candidate import Candidate, best_first, front_of
from atom_nas.search.objectives import spread
from atom_nas.storage.files import read_json
from atom_nas.storage.progress import note, tell


def found_audit(run: Run) -> Audit | None:
    """Return the audit of the run's proxy in its folder; None where there is none.

    One that cannot be read counts as none, and a line says so.
    """
    path, proxy = run.folder / "audit.json", Path(run.options.proxy).name
    if not path.exists():
        return None
    try:
        audit = Audit.from_json(json.dumps(read_json(path)), str(path))
    except UserError as error:
        tell(f"what an audit says of {proxy} has no part in the exports: {error}")
        return None
    return audit if audit.proxy.name == proxy else None


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best candidates of a search."""

    candidates: Sequence[Candidate]
    fitted_on: int | None = None
    """On how many audited candidates the model was fitted that chose too; None where none did."""
    joint: str = ""
    """The estimator that chose in place of the proxy, a value of `JOINT`; empty where that did."""


def best(run: Run, candidates: Sequence[Candidate], audit: Audit | None) -> Best:
    """Return the `options.top_k` best of a search.

    Where costs count too they are spread over its front. Else they are the best by the proxy and,
    in turn, by the model where there is an `audit` of enough candidates, or by the score of the
    search where there is none or that is a rank among a reference.
    """
    objective, top_k = run.objective, run.options.top_k
    joint = JOINT.get(objective.name, "")
    if run.objectives.costs:
        return Best(candidates=spread(front_of(candidates, run.objectives), top_k), joint=joint)
    ordered = best_first(candidates)
    if audit and not objective.needs_reference and (sample := _audited(run, audit)):
        first = order_by_proxy(run, ordered) if objective.needs_audit else ordered
        both = in_turn(first, order_by_model(run, ordered, audit, sample))
        note(
            f"the nets to export are the best by {audit.proxy.name} and, in turn, by a model of it "
            f"and free scores that is fitted on the {audit.n} audited candidates."
        )
        return Best(candidates=both[:top_k], fitted_on=audit.n)
    return Best(candidates=ordered[:top_k], joint=joint)


def order_by_proxy(run: Run, ordered: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates, whose trainings are there, the best by the proxy alone first."""
    scorer = run.scorer()

    def score(candidate: Candidate) -> float:
        assert candidate.seed is not None
        found = scorer.outcomes(run.options.proxy, candidate.architecture, seed=candidate.seed)
        return scorer.score(found)

    return sorted(ordered, key=score, reverse=True)


def order_by_model(
    run: Run, ordered: Sequence[Candidate], audit: Audit, sample: Sample
) -> list[Candidate]:
    """Return the candidates, the best by the model of `--objective combined` first.

    It is fitted on the `sample` of the `audit` by the accuracies that this found, which costs no
    training; those of it that are among `ordered` count by their own full training, as a share of
    the audited. Why: docs/audit.md.
    """
    tried = [(each.architecture, each.seed) for each in ordered if each.seed is not None]
    accuracies = dict(zip(audit.candidates, audit.accuracies, strict=True))
    truth = np.array([accuracies[candidate_name(architecture)] for architecture, _ in sample])
    shares = run.auditor().predict(tried, fitted_on=sample, truth=truth)
    known = dict(zip(accuracies, rankdata(audit.accuracies) / audit.n, strict=True))
    found = {
        each.name: known.get(each.name, share) for each, share in zip(ordered, shares, strict=True)
    }
    return sorted(ordered, key=lambda each: -found[each.name])


def in_turn(first: Sequence[Candidate], second: Sequence[Candidate]) -> list[Candidate]:
    """Return the same candidates, those first that stand high in either order.

    Of several that are as high in one the first is the one that is higher in the other.
    """
    places = [{each.name: place for place, each in enumerate(order)} for order in (first, second)]

    def key(candidate: Candidate) -> tuple[int, int]:
        found = [place[candidate.name] for place in places]
        return min(found), sum(found)

    return sorted(first, key=key)


def _audited(run: Run, audit: Audit) -> Sample:
    """Return the candidates of `audit`.

    Nothing where they are too few, or where a search made since has others come first.
    """
    if audit.n < MIN_CANDIDATES:
        return []
    names = set(audit.candidates)
    sample = []
    for architecture, seed in run.audited():
        if candidate_name(architecture) not in names:
            return []
        sample.append((architecture, seed))
        if len(sample) == audit.n:
            break
    return sample
