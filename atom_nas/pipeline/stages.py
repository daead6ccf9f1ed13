"""The stages of a run in order: each takes what the run folder holds, and makes the rest."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from atom_nas.audit.combination import MIN_FITTED, Joined
from atom_nas.audit.record import Audit
from atom_nas.errors import UserError
from atom_nas.pipeline.best import best, found_audit
from atom_nas.pipeline.deadline import Deadline
from atom_nas.pipeline.ending import ending
from atom_nas.pipeline.evaluation import AmongReference, Evaluation, Prediction
from atom_nas.pipeline.exports import export_best
from atom_nas.pipeline.lengths import LOOKED_AT
from atom_nas.pipeline.run import Run
from atom_nas.pipeline.watch import Watch
from atom_nas.report import write_report
from atom_nas.report.answers import answers
from atom_nas.report.results import read_results
from atom_nas.report.wording import bounds, costs
from atom_nas.scoring.scorer import Sample
from atom_nas.scoring.space import architecture_json
from atom_nas.search.candidate import Candidate, best_first, front_of
from atom_nas.search.importances import write_importances
from atom_nas.search.study import OutOfTime, Search, read_candidates
from atom_nas.search.table import write_candidates
from atom_nas.storage.files import digest, write_json
from atom_nas.storage.progress import Progress, note


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The stages of a run."""

    run: Run
    deadline: Deadline

    def search(self) -> list[Candidate]:
        """Return the candidates of the study, `options.trials` of them.

        They are fewer where the space has no more, or the hours are over: a line says which.
        Writes candidates.csv and, of what the scores depend on, importances.json.
        The first few show whether anything is learnt from the proxy. An objective that needs the
        audit has its sample audited first. From now on the folder has the options of this search.
        """
        run = self.run
        if run.objective.needs_audit:
            self._fitted_on()
        write_json(run.folder / "options.json", run.kept_options)
        self._look(self._first_accuracies)
        study, is_cut = self._study(), False
        self._say(self._forecast())
        self._prepare(study, run.options.trials)
        path = run.folder / "candidates.csv"
        with Progress("search", total=run.options.trials, unit="trial") as progress:
            try:
                study.run(run.options.trials, Watch(progress, path, run.space, run.objectives))
            except OutOfTime:
                is_cut = True
        candidates = read_candidates(run.place.trials, run.space)
        write_candidates(path, candidates, run.space, run.objectives)
        write_importances(run.folder / "importances.json", run.place.trials)
        hours = self.deadline.hours if is_cut else None
        self._say(ending(candidates, run.options.trials, run.space.name, hours))
        return candidates

    def audit(self) -> Audit:
        """Judge the proxy on a uniform sample of candidates; write audit.csv and audit.json.

        With `options.until_width` the sample grows by 10 until the interval of Spearman is
        narrower, or the space is used up.
        """
        run = self.run
        sample, others = run.start_of_audit(run.audit_size)
        if len(sample) < run.audit_size:
            note(f"{len(sample)} candidates are audited, not {run.audit_size}: there are no more.")
        self._look(lambda: run.scorer().accuracies(run.options.proxy, sample[:LOOKED_AT]))
        auditor, width = run.auditor(), run.options.until_width
        while True:
            audit = auditor.audit(sample)
            found = audit.proxy.spearman.high - audit.proxy.spearman.low
            if width is None or found < width or not (more := list(islice(others, 10))):
                return audit
            note(f"n = {len(sample)}: the interval is {found:.2f} wide; {len(more)} more.")
            sample += more

    def export(self, candidates: list[Candidate]) -> list[Path]:
        """Train the best `options.top_k` on the full data; export them by validation accuracy.

        The best are those by what an audit says, where there is one.
        """
        run = self.run
        audit = found_audit(run)
        return export_best(
            best(run, candidates, audit),
            run.settled(),
            folder=run.folder / "export",
            space=run.space,
            dataset=run.dataset,
            proxy=run.options.proxy,
            audit=audit,
            latencies=run.budget.latencies,
        )

    def found(self, candidates: list[Candidate]) -> list[str]:
        """Return a line each on the best of a search; where costs count too, on its front."""
        by, options = self.run.objectives, self.run.options
        if not by.costs:
            return [
                f"the best of {len(candidates)} by {options.objective}, and how many validation "
                f"images each has right after training on {options.proxy}:",
                *(
                    f"{each.accuracy:.1%}: {each.name}"
                    for each in best_first(candidates)[: options.top_k]
                ),
            ]
        members = front_of(candidates, by)
        head = f"front of {len(members)} of {len(candidates)} candidates: no other scores as high"
        return [
            f"{head} at no more {bounds(by)}",
            *(
                f"{each.accuracy:.1%} of validation images right after training on "
                f"{options.proxy}, {costs(each.cost, by)}: {each.name}"
                for each in members
                if each.cost
            ),
        ]

    def answers(self) -> list[str]:
        """Return the answers to the four questions that the report begins with, a line each."""
        found = answers(read_results(self.run.folder))
        return [f"{each.question} {each.answer}" for each in found]

    def report(self) -> Path:
        """Write the report of what the run holds."""
        self.run.place.copy()
        return write_report(self.run.folder)

    def _study(self) -> Search:
        """Return the search by the objective and the training of now."""
        run, options = self.run, self.run.options
        scorer, name = run.scorer(), options.proxy
        joined: Joined | None = None
        goes_by = {
            "objective": run.objective,
            "proxies": [proxy.images.digest for proxy in scorer.proxies(name)],
            "training": run.lengths.proxy,
        }
        if minimised := run.objectives.costs:
            goes_by |= {"costs": minimised, "latency_batch": options.latency_batch}
        if run.objective.needs_audit:
            joined = run.auditor().fit_model(self._fitted_on())
            goes_by |= {
                "audit_size": run.audit_size,
                "truth": run.table.digest if run.table else options.truth_seeds,
                "full_training": run.full_training,
            }
        evaluation = Evaluation(proxy=name, scorer=scorer, deadline=self.deadline)
        study = Search(
            trials=run.place.trials,
            space=run.space,
            evaluate=evaluation.evaluate,
            prepare=evaluation.prepare,
            goes_by=digest(goes_by),
            limits=run.budget.limits,
            cost=run.budget.cost,
            sampler=options.sampler,
            num_uniform=options.num_uniform,
            may_start=run.can_audit,
            seed=options.seed,
            objectives=run.objectives,
        )
        if run.objective.needs_reference:
            reference = study.reference()
            goes_by["reference"] = [architecture_json(each) for each, _ in reference]
            joined = AmongReference(
                proxy=name,
                scorer=scorer,
                free=run.free,
                reference=reference,
                deadline=self.deadline,
            )
        if joined is None:
            return study
        predict = Prediction(proxy=name, scorer=scorer, free=run.free, joined=joined)
        evaluate = replace(evaluation, predict=predict).evaluate
        return replace(study, evaluate=evaluate, goes_by=digest(goes_by))

    def _fitted_on(self) -> Sample:
        """Return the audited candidates that a model is fitted on; UserError for too few."""
        run = self.run
        sample = run.chosen_on or run.start_of_audit(run.audit_size)[0]
        if len(sample) < MIN_FITTED:
            raise UserError(
                f"{len(sample)} audited candidates are too few to fit a model of; give "
                f"--audit-size {MIN_FITTED} or more, or another --objective."
            )
        return sample

    def _prepare(self, study: Search, num_trials: int) -> None:
        """Train what the study draws before any value counts, if several can be trained at once."""
        run = self.run
        if run.scores.num_workers > 1:
            sample = study.uniform_start(num_trials)
            run.scorer().prepare(run.options.proxy, sample, self.deadline.is_ahead)

    def _forecast(self) -> str:
        """Return how many trials fit into the hours that are given; nothing where none are."""
        run = self.run
        done = len(read_candidates(run.place.trials, run.space)) if self.deadline.hours else 0
        return self.deadline.forecast(
            done=done,
            wanted=run.options.trials,
            seconds=run.scorer().seconds(run.options.proxy),
            uniform=max(0, run.options.num_uniform - done),
            workers=run.scores.num_workers,
        )

    def _look(self, accuracies: Callable[[], list[float]]) -> None:
        """Lengthen the training on the proxy until the first candidates learn something from it."""
        run = self.run
        labels = run.dataset.validation.labels
        self._say(run.lengths.look(run.options.proxy, accuracies, labels))

    def _first_accuracies(self) -> list[float]:
        """Return the accuracies of the first candidates that count; none where time is short."""
        run = self.run
        if run.objective.needs_audit:
            sample = list(islice(run.audited(), LOOKED_AT))
            return run.scorer().accuracies(run.options.proxy, sample)
        if run.objective.needs_reference:
            sample = self._study().reference()[:LOOKED_AT]
            return run.scorer().accuracies(run.options.proxy, sample)
        study, count = self._study(), min(LOOKED_AT, run.options.trials)
        num_busy = count + -count % run.scores.num_workers  # none of the workers is idle
        self._prepare(study, min(num_busy, run.options.trials))
        try:
            found = study.run(count, lambda candidates: None)[:count]
        except OutOfTime:
            return []
        return [each.accuracy for each in found if each.accuracy is not None]

    def _say(self, line: str) -> None:
        if line:
            note(line)
