"""The stages of a run in order: each takes what the run folder holds, and makes the rest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from atom_nas.audit.auditor import Auditor
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.record import Audit
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
from atom_nas.errors import UserError
from atom_nas.options import Options
from atom_nas.pipeline.budget import FLAGS, Budget
from atom_nas.pipeline.deadline import Deadline
from atom_nas.pipeline.ending import ending
from atom_nas.pipeline.evaluation import Evaluation
from atom_nas.pipeline.exports import export_best
from atom_nas.pipeline.lengths import LOOKED_AT, Lengths
from atom_nas.pipeline.place import Place
from atom_nas.pipeline.watch import Watch
from atom_nas.report import write_report
from atom_nas.scoring.objective import OBJECTIVES, Objective
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.scorer import Scorer
from atom_nas.scoring.space import Space
from atom_nas.search.candidate import Candidate, best_first
from atom_nas.search.importances import write_importances
from atom_nas.search.study import OutOfTime, Search, read_candidates
from atom_nas.search.table import write_candidates
from atom_nas.storage.files import digest, write_json
from atom_nas.storage.progress import Progress, note
from atom_nas.training.schedule import Training


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One run: its options, data and space, and the folder that holds what was made."""

    options: Options
    folder: Path
    place: Place
    device: torch.device
    dataset: Dataset
    space: Space
    budget: Budget
    deadline: Deadline
    scores: ProxyScores
    lengths: Lengths
    trained: TrainedTruth
    """Full-data trainings: of what is exported, and of the audit where it takes no table."""
    table: TruthTable | None
    """Where the audit takes its truth from, if not from `trained`."""

    def condense(self, name: str, number: int = 0) -> Proxy:
        """Return the proxy called `name`, condensed once; `number` proxies come before it."""
        wanted = replace(self.options, proxy=name)
        job = condensation(wanted, self.dataset, self.device, number=number)
        folder = job.folder(self.folder / "proxies")
        return self.place.fill(folder, lambda: condense(job, folder, self.device))

    def search(self) -> list[Candidate]:
        """Return the candidates of the study, `options.trials` of them.

        They are fewer where the space has no more, or the hours are over: a line says which.
        Writes candidates.csv and, of what the scores depend on, importances.json.
        The first few show whether anything is learnt from the proxy. An objective that needs the
        audit has its sample audited first. From now on the folder has the options of this search.
        """
        write_json(self.folder / "options.json", self.options.kept)
        self._look(self._first_accuracies)
        study, is_cut = self._study(), False
        self._say(self._forecast())
        self._prepare(study, self.options.trials)
        path = self.folder / "candidates.csv"
        with Progress("search", total=self.options.trials, unit="trial") as progress:
            try:
                study.run(self.options.trials, Watch(progress, path, self.space))
            except OutOfTime:
                is_cut = True
        candidates = read_candidates(self.place.trials, self.space)
        write_candidates(path, candidates, self.space)
        write_importances(self.folder / "importances.json", self.place.trials)
        hours = self.deadline.hours if is_cut else None
        self._say(ending(candidates, self.options.trials, self.space.name, hours))
        return candidates

    def audit(self) -> Audit:
        """Judge the proxy on a uniform sample of candidates; write audit.csv and audit.json.

        With `options.until_width` the sample grows by 10 until the interval of Spearman is
        narrower, or the space is used up.
        """
        stream = self._audited()
        sample = list(islice(stream, self._audit_size))
        if not sample:
            raise UserError(
                f"no candidate of {self.space.name} was drawn within the limits; raise {FLAGS}."
            )
        self._look(lambda: self._scorer().accuracies(self.options.proxy, sample[:LOOKED_AT]))
        auditor, width = self._auditor(), self.options.until_width
        while True:
            audit = auditor.audit(sample)
            found = audit.proxy.spearman.high - audit.proxy.spearman.low
            if width is None or found < width or not (more := list(islice(stream, 10))):
                return audit
            note(f"n = {len(sample)}: the interval is {found:.2f} wide; {len(more)} more.")
            sample += more

    def export(self, candidates: list[Candidate]) -> list[Path]:
        """Train the best `options.top_k` on the full data; export them by validation accuracy."""
        return export_best(
            self.best(candidates),
            self._trained(),
            folder=self.folder / "export",
            space=self.space,
            dataset=self.dataset,
            proxy=self.options.proxy,
            latencies=self.budget.latencies,
        )

    def best(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the `options.top_k` best by the objective; of equals the smaller."""
        return best_first(candidates)[: self.options.top_k]

    def report(self) -> Path:
        """Write the report of what the run holds."""
        self.place.copy()
        return write_report(self.folder)

    @property
    def _objective(self) -> Objective:
        return OBJECTIVES[self.options.objective]

    @property
    def _audit_size(self) -> int:
        return self.options.audit_size or (AUDITED_BY_TABLE if self.table else AUDITED)

    def _study(self) -> Search:
        """Return the search by the objective and the training of now."""
        options, scorer, name = self.options, self._scorer(), self.options.proxy
        predict = None
        goes_by = {
            "objective": self._objective,
            "proxies": [proxy.images.digest for proxy in scorer.proxies(name)],
            "training": self.lengths.proxy,
        }
        if self._objective.needs_audit:
            sample = list(islice(self._audited(), self._audit_size))
            predict = self._auditor().fit_model(sample)
            goes_by |= {
                "audit_size": self._audit_size,
                "truth": self.table.digest if self.table else options.truth_seeds,
                "full_training": self._full_training,
            }

        evaluation = Evaluation(proxy=name, scorer=scorer, deadline=self.deadline, predict=predict)
        return Search(
            trials=self.place.trials,
            space=self.space,
            evaluate=evaluation.evaluate,
            prepare=evaluation.prepare,
            goes_by=digest(goes_by),
            limits=self.budget.limits,
            cost=self.budget.cost,
            sampler=options.sampler,
            num_uniform=options.num_uniform,
            seed=options.seed,
        )

    def _prepare(self, study: Search, num_trials: int) -> None:
        """Train what the study draws before any value counts, if several can be trained at once."""
        if self.scores.num_workers > 1:
            sample = study.uniform_start(num_trials)
            self._scorer().prepare(self.options.proxy, sample, self.deadline.is_ahead)

    def _forecast(self) -> str:
        """Return how many trials fit into the hours that are given; nothing where none are."""
        done = len(read_candidates(self.place.trials, self.space)) if self.deadline.hours else 0
        return self.deadline.forecast(
            done=done,
            wanted=self.options.trials,
            seconds=self._scorer().seconds(self.options.proxy),
            uniform=max(0, self.options.num_uniform - done),
            workers=self.scores.num_workers,
        )

    def _scorer(self) -> Scorer:
        return Scorer(
            table=self.scores,
            condense=self.condense,
            num_seeds=self.options.proxy_seeds,
            training=self.lengths.proxy,
            measure=self._objective.measure,
        )

    def _trained(self) -> TrainedTruth:
        """Return the full-data trainings, at a length that suffices."""
        self.lengths.settle(self.trained, lambda: list(islice(self._audited(), LOOKED_AT)))
        return self.trained

    @property
    def _full_training(self) -> Training:
        """Of rivals on the full data: the truth's, or as given where a table has that."""
        return self.lengths.full if self.table is None else self.lengths.given_full

    def _auditor(self) -> Auditor:
        options, scorer = self.options, self._scorer()
        truth: TruthSource = self.table or self._trained()
        return Auditor(
            folder=self.folder,
            dataset=self.dataset.name,
            space=self.space.name,
            scorer=scorer,
            free=FreeScores(
                self.folder / "free.csv",
                space=self.space,
                dataset=self.dataset,
                seed=options.seed,
                device=self.device,
                open_table=self.place.table,
            ),
            rivals=Rivals(
                scorer=scorer,
                dataset=self.dataset,
                proxy=options.proxy,
                images_per_class=parse_name(options.proxy)[1],
                against=options.against,
                full_steps=self._full_training.steps,
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
            sizes=sizes_up_to(self.dataset.train.smallest_class) if options.worth else (),
        )

    def _audited(self) -> Iterator[tuple[Any, int]]:
        """Yield the audited (architecture, seed), until the space is used up.

        The uniform draws of a search come first, unless it needed the audit before it began.
        """
        needs_audit = self._objective.needs_audit
        found = [] if needs_audit else read_candidates(self.place.trials, self.space)
        uniform = [each for each in found if each.is_uniform and each.cost is not None]
        drawn = audited_sample(
            self.space,
            [candidate.architecture for candidate in uniform],
            is_allowed=self.budget.limits.allow,
            cost=self.budget.cost,
            seed=self.options.seed,
        )
        return (each for each in drawn if self.table is None or self.table.can_tell(each[0]))

    def _look(self, accuracies: Callable[[], list[float]]) -> None:
        """Lengthen the training on the proxy until the first candidates learn something from it."""
        labels = self.dataset.validation.labels
        self._say(self.lengths.look(self.options.proxy, accuracies, labels))

    def _first_accuracies(self) -> list[float]:
        """Return the accuracies of the first candidates that count; none where time is short."""
        if self._objective.needs_audit:
            sample = list(islice(self._audited(), LOOKED_AT))
            return self._scorer().accuracies(self.options.proxy, sample)
        study, count = self._study(), min(LOOKED_AT, self.options.trials)
        self._prepare(study, count)
        try:
            found = study.run(count, lambda candidates: None)[:count]
        except OutOfTime:
            return []
        return [each.accuracy for each in found if each.accuracy is not None]

    def _say(self, line: str) -> None:
        if line:
            note(line)
