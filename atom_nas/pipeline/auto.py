"""--proxy auto: the proxy and the objective that a small audit finds the best buy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from atom_nas.audit.ranking import MIN_CANDIDATES
from atom_nas.pipeline.lengths import LOOKED_AT
from atom_nas.pipeline.run import Run
from atom_nas.scoring.objective import DEFAULT_MEASURE
from atom_nas.scoring.space import architecture_json, candidate_name, candidate_seed
from atom_nas.storage.progress import note

START = MIN_CANDIDATES
"""Candidates of the small audit: the fewest of which the rule says anything."""


def choose(run: Run) -> Run:
    """Return `run` with the proxy and objective that its first candidates speak for.

    `run` has the proxy that they are compared with. The choice is made once in a run, and kept in
    auto.json; an objective that was given stays. Audits are of other candidates from now on.
    """
    found = run.place.once(run.folder / "auto.json", "choice", lambda: _choice(run))
    given, seed = run.options.objective, run.options.seed
    taken = found["objective"] or given
    objective = taken if given == DEFAULT_MEASURE else given
    stays = "" if objective == taken else f"; but --objective {given} was given, and stays"
    options = replace(run.options, proxy=found["proxy"], objective=objective)
    note(
        f"--proxy auto takes --proxy {options.proxy} --objective {taken}, by "
        f"{len(found['candidates'])} candidates (audits take others first): {found['reason']}"
        f"{stays}."
    )
    architectures = [run.space.restore(text) for text in found["candidates"]]
    sample = [(each, candidate_seed(seed, candidate_name(each))) for each in architectures]
    return replace(run, options=options, chosen_on=sample)


def _choice(run: Run) -> Mapping[str, Any]:
    """Audit the proxy of `run` on the first candidates, and apply the rule of docs/audit.md."""
    name = run.options.proxy
    sample, _ = run.start_of_audit(START)
    first = sample[:LOOKED_AT]
    labels = run.dataset.validation.labels
    if said := run.lengths.look(name, lambda: run.scorer().accuracies(name, first), labels):
        note(said)
    folder = run.folder / "auto"
    folder.mkdir(exist_ok=True)
    audit = replace(run.auditor(), folder=folder, sizes=()).audit(sample)
    proposal, verdict = audit.proposal, audit.sentences[0].rstrip(".")
    return {
        "proxy": (proposal and proposal.proxy) or name,
        "objective": (proposal and proposal.objective) or None,
        "reason": proposal.reason if proposal else f"no better buy is shown. {verdict}",
        "candidates": [architecture_json(architecture) for architecture, _ in sample],
    }
