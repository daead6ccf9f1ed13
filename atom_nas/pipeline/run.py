"""A run: its options, data and space, what its folder holds, and what they make."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from atom_nas.audit.auditor import Auditor
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.rivals import Rivals
from atom_nas.audit.sampling import audited_sample
from atom_nas.audit.trained_truth import TrainedTruth, TruthSource
from atom_nas.audit.truth_table import TruthTable
from atom_nas.audit.worth import sizes_up_to
from atom_nas.data.splits import Dataset
from atom_nas.defaults import AUDITED, AUDITED_BY_TABLE, condensation
from atom_nas.distillation.condense import condense
from atom_nas.distillation.names import parse_name
from atom_nas.distillation.proxy import Proxy
from atom_nas.distillation.taken_over import take_over
from atom_nas.errors import UserError
from atom_nas.options import AUTO, Options
from atom_nas.pipeline.budget import FLAGS, Budget
from atom_nas.pipeline.lengths import LOOKED_AT, Lengths
from atom_nas.pipeline.place import Place
from atom_nas.scoring.objective import OBJECTIVES, Objective
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.scorer import Sample, Scorer
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.search.objectives import Objectives
from atom_nas.search.study import read_candidates
from atom_nas.training.schedule import Training


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the stages of a run have in common."""

    options: Options
    folder: Path
    place: Place
    device: torch.device
    dataset: Dataset
    space: Space
    budget: Budget
    scores: ProxyScores
    lengths: Lengths
    trained: TrainedTruth
    """Full-data trainings: of what is exported, and of the audit where it takes no table."""
    table: TruthTable | None
    """Where the audit takes its truth from, if not from `trained`."""
    chosen_on: Sample = ()
    """The candidates by which --proxy auto chose the proxy, where it did."""

    @property
    def kept_options(self) -> Options:
        """What a later call takes up from the folder."""
        kept = self.options.kept
        return replace(kept, proxy=AUTO) if self.chosen_on else kept

    @property
    def objective(self) -> Objective:
        """What the score of the search is."""
        return OBJECTIVES[self.options.objective]

    @property
    def objectives(self) -> Objectives:
        """What the search optimises: that score, alone or with costs."""
        return Objectives.parse(self.options.objectives)

    @property
    def audit_size(self) -> int:
        """How many candidates an audit takes, as far as nothing makes it grow."""
        return self.options.audit_size or (AUDITED_BY_TABLE if self.table else AUDITED)

    def condense(self, name: str, number: int = 0) -> Proxy:
        """Return the proxy called `name`, condensed once; `number` proxies come before it."""
        wanted = replace(self.options, proxy=name)
        job = condensation(wanted, self.dataset, self.device, number=number)
        folder = job.folder(self.folder / "proxies")
        return self.place.fill(
            folder, lambda: take_over(job, folder) or condense(job, folder, self.device)
        )

    def scorer(self) -> Scorer:
        """Return what trains candidates on proxies, at the length of now."""
        return Scorer(
            table=self.scores,
            condense=self.condense,
            num_seeds=self.options.proxy_seeds,
            training=self.lengths.proxy,
            measure=self.objective.measure,
        )

    def audited(self) -> Iterator[tuple[Any, int]]:
        """Yield the audited (architecture, seed), until the space is used up.

        The uniform draws of a search come first, unless it needed the audit before it began. Those
        by which the proxy was chosen come last.
        """
        needs_audit = self.objective.needs_audit
        found = [] if needs_audit else read_candidates(self.place.trials, self.space)
        last = {candidate_name(architecture) for architecture, _ in self.chosen_on}
        uniform = [each for each in found if each.is_uniform and each.cost is not None]
        drawn = audited_sample(
            self.space,
            [candidate.architecture for candidate in uniform],
            is_allowed=self.budget.limits.allow,
            cost=self.budget.limited_cost,
            seed=self.options.seed,
        )
        fresh = (each for each in drawn if candidate_name(each[0]) not in last)
        told = chain(fresh, self.chosen_on)
        return (each for each in told if self.can_audit(each[0]))

    def start_of_audit(self, count: int) -> tuple[list[tuple[Any, int]], Iterator[tuple[Any, int]]]:
        """Return the first `count` audited (architecture, seed), and an iterator over the others.

        Raises UserError where none is within the limits, or the table lacks one of them.
        """
        stream = self.audited()
        sample = list(islice(stream, count))
        if not sample:
            raise UserError(
                f"no candidate of {self.space.name} was drawn within the limits; raise {FLAGS}."
            )
        if self.table:
            self.table.require(sample)
        return sample, stream

    def can_audit(self, architecture: Any) -> bool:
        """Say whether there can be a truth of `architecture`: a table of a sample has no others."""
        return self.table is None or self.table.can_tell(architecture)

    def settled(self) -> TrainedTruth:
        """Return the full-data trainings, at a length that suffices."""
        self.lengths.settle(self.trained, lambda: list(islice(self.audited(), LOOKED_AT)))
        return self.trained

    @property
    def full_training(self) -> Training:
        """Of rivals on the full data: the truth's, or as given where a table has that."""
        return self.lengths.full if self.table is None else self.lengths.given_full

    @cached_property
    def free(self) -> FreeScores:
        """Free scores of candidates."""
        return FreeScores(
            self.folder / "free.csv",
            space=self.space,
            dataset=self.dataset,
            seed=self.options.seed,
            device=self.device,
            open_table=self.place.table,
        )

    def auditor(self) -> Auditor:
        """Return what judges the proxy; where the truth is trained for, its length is settled."""
        options, scorer = self.options, self.scorer()
        truth: TruthSource = self.table or self.settled()
        smallest = self.dataset.train.smallest_class
        return Auditor(
            folder=self.folder,
            dataset=self.dataset.name,
            space=self.space.name,
            scorer=scorer,
            free=self.free,
            rivals=Rivals(
                scorer=scorer,
                dataset=self.dataset,
                proxy=options.proxy,
                images_per_class=parse_name(options.proxy)[1],
                against=options.against,
                full_steps=self.full_training.steps,
                fixed_in=self.folder / "equal_cost.json",
                once=self.place.once,
            ),
            truth=truth,
            trainings=options.truth_seeds,
            proxy=options.proxy,
            seed=options.seed,
            objective=options.objective,
            width=options.until_width,
            labels=self.dataset.validation.labels,
            chosen_on=self.chosen_on,
            sizes=sizes_up_to(smallest, options.proxy_seeds) if options.worth else (),
        )
