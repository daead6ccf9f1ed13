"""The stages of a run in order: each takes what the run folder holds, and makes the rest."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from tqdm import tqdm

from atom_nas.audit.auditor import Confirmation, TruthSource
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.sampling import draw_sample
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.audit.truth_table import TruthTable
from atom_nas.data.images import Dataset
from atom_nas.data.sources import open_dataset
from atom_nas.defaults import condensation, epochs
from atom_nas.distillation.condense import condense, parse_name
from atom_nas.distillation.proxy import Proxy
from atom_nas.errors import UserError
from atom_nas.export.folder import Trained, export_model
from atom_nas.options import Options
from atom_nas.parsing import parse_settings
from atom_nas.report import write_report
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.scorer import DEFAULT_MEASURE, Scorer
from atom_nas.scoring.space import Space, load_space
from atom_nas.search.study import Candidate, Limits, Search
from atom_nas.search.table import write_candidates
from atom_nas.storage import open_run, write_json
from atom_nas.training.devices import resolve_device
from atom_nas.training.fit import Training


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One run: its options, data and space, and the folder that holds what was made."""

    options: Options
    folder: Path
    device: torch.device
    dataset: Dataset
    space: Space
    scores: ProxyScores
    training: Training
    """Of a candidate on a proxy."""
    full_epochs: int
    trained: TrainedTruth
    """Full-data trainings: of what is exported, and of the audit where it takes no table."""
    truth: TruthSource
    """What the audit takes: `trained`, or a table."""

    def condense(self, name: str, number: int = 0) -> Proxy:
        """Return the proxy called `name` with the run's seed plus `number`, condensed once."""
        options = replace(self.options, proxy=name, seed=self.options.seed + number)
        job = condensation(options, self.dataset, self.device)
        return condense(job, job.folder(self.folder / "proxies"), self.device)

    def search(self) -> list[Candidate]:
        """Return the candidates of the study, `options.trials` of them; write candidates.csv.

        Where the objective is the combined estimator, that is fitted on an audited sample first.
        """
        scorer, name = self._scorer(), self.options.proxy
        predict = None
        if self.options.objective == "combined":
            sample = list(islice(self._audited(), self.options.audit_size))
            predict = self._confirmation().fit_model(sample)

        def evaluate(architecture: Any, seed: int) -> tuple[float, float, float]:
            scores = scorer.score(name, architecture, seed=seed)
            own = float(scorer.summarize(name, [scores]).scores[0])
            objective = predict(architecture, scores) if predict else own
            accuracy = fmean(score.accuracy for score in scores)
            return objective, accuracy, sum(score.seconds for score in scores)

        scorer.proxies(name)
        search = self._study(evaluate)
        with tqdm(total=self.options.trials, desc="search", unit="trial") as bar:

            def watch(candidates: list[Candidate]) -> None:
                if best := self.best(candidates):
                    bar.set_postfix(best=f"{best[0].accuracy:.1%}", refresh=False)
                bar.update(len(candidates) - bar.n)
                write_candidates(self.folder / "candidates.csv", candidates, self.space)

            candidates = search.run(self.options.trials, watch)
        if all(candidate.accuracy is None for candidate in candidates):
            reason = candidates[0].reason if candidates else "nothing within the limits was drawn"
            raise UserError(
                f"none of {len(candidates)} candidates of {self.space.name} could be scored "
                f"({reason}); mend the space or raise --max-params and --max-macs."
            )
        return candidates

    def found(self) -> list[Candidate]:
        """Return the candidates of the search so far, none where there was no search."""
        if not self._journal.exists():
            return []
        return self._study(lambda *_: (0.0, 0.0, 0.0)).run(0, lambda candidates: None)

    def audit(self) -> dict[str, Any]:
        """Judge the proxy on a uniform sample of candidates; write audit.csv and audit.json.

        With `options.until_width` the sample grows by 10 until the interval of Spearman is
        narrower, or the space is used up.
        """
        confirmation, width = self._confirmation(), self.options.until_width
        stream = self._audited()
        sample = list(islice(stream, self.options.audit_size))
        while True:
            figures = confirmation.judge(sample)
            rho = figures["spearman"]
            found = rho["high"] - rho["low"]
            if width is None or found < width or not (more := list(islice(stream, 10))):
                return figures
            tqdm.write(f"n = {len(sample)}: the interval is {found:.2f} wide; {len(more)} more.")
            sample += more

    def export(self, candidates: list[Candidate]) -> list[Path]:
        """Train the best `options.top_k` on the full data and export them; return the folders."""
        folders = []
        for rank, best in enumerate(
            tqdm(self.best(candidates), "export", unit="candidate"), start=1
        ):
            measured = self.trained.measure(best.architecture, seed=best.seed)
            (accuracy,) = measured.accuracies
            if math.isnan(accuracy):
                reason = self.trained.failure(best.architecture)
                tqdm.write(f"{best.name} is not exported, its full-data training failed: {reason}")
                continue
            trained = Trained(
                space_source=self.space.source,
                architecture=best.architecture,
                net=self.trained.trained_net(best.architecture),
                image_shape=self.dataset.image_shape,
                class_names=self.dataset.train.class_names,
                normalization=self.dataset.normalization,
            )
            assert best.cost is not None
            metrics = {
                "candidate": best.name,
                "dataset": self.dataset.name,
                "proxy": self.options.proxy,
                "proxy_accuracy": best.accuracy,
                "test_accuracy": accuracy,
                "num_params": best.cost.num_params,
                "macs": best.cost.macs,
                "full_seconds": measured.seconds,
                "seed": best.seed,
            }
            folder = self.folder / "export" / f"{rank}-{best.name}"
            folders.append(export_model(trained, folder, metrics=metrics))
        return folders

    def best(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the `options.top_k` best by the objective; of equals the smaller."""

        def order(candidate: Candidate) -> tuple[float, int]:
            assert candidate.objective is not None and candidate.cost is not None
            return -candidate.objective, candidate.cost.num_params

        scored = [candidate for candidate in candidates if candidate.objective is not None]
        return sorted(scored, key=order)[: self.options.top_k]

    def report(self) -> Path:
        """Write the report of what the folder holds."""
        return write_report(self.folder)

    @property
    def _journal(self) -> Path:
        return self.folder / "study.journal"

    def _study(self, evaluate: Callable[[Any, int], tuple[float, float, float]]) -> Search:
        return Search(
            journal=self._journal,
            space=self.space,
            evaluate=evaluate,
            limits=self._limits(),
            sampler=self.options.sampler,
            num_uniform=self.options.num_uniform,
            seed=self.options.seed,
        )

    def _limits(self) -> Limits:
        return Limits(num_params=self.options.max_params, macs=self.options.max_macs)

    def _scorer(self) -> Scorer:
        objective = self.options.objective
        return Scorer(
            table=self.scores,
            condense=self.condense,
            num_seeds=self.options.proxy_seeds,
            measure=DEFAULT_MEASURE if objective == "combined" else objective,
        )

    def _confirmation(self) -> Confirmation:
        options = self.options
        return Confirmation(
            folder=self.folder,
            dataset=self.dataset,
            space=self.space.name,
            scorer=self._scorer(),
            free=FreeScores(
                self.folder / "free.csv",
                space=self.space,
                dataset=self.dataset,
                seed=options.seed,
                device=self.device,
            ),
            truth=self.truth,
            trainings=options.truth_seeds,
            proxy=options.proxy,
            images_per_class=parse_name(options.proxy)[1],
            against=options.against,
            training=self.training,
            full_epochs=self.full_epochs,
            seed=options.seed,
            width=options.until_width,
        )

    def _audited(self) -> Iterator[tuple[Any, int]]:
        """Yield the audited (architecture, seed), until the space is used up.

        The uniform draws of a search come first, unless it needed the audit before it began.
        """
        found = self.found() if self.options.objective != "combined" else []
        uniform = [each for each in found if each.is_uniform and each.cost is not None]
        return draw_sample(
            self.space,
            [(candidate.architecture, candidate.seed) for candidate in uniform],
            is_allowed=self._limits().allow,
            seed=self.options.seed,
        )


@contextmanager
def open_pipeline(options: Options) -> Iterator[Pipeline]:
    """Load what `options` name and open the run folder, alone in it.

    Raises UserError before anything is written where an option does not fit the data.
    """
    device = resolve_device(options.device)
    dataset = open_dataset(options.dataset, options.data_dir, seed=options.seed)
    space = load_space(options.space, dataset.image_shape, dataset.num_classes)
    job = condensation(options, dataset, device)
    shrunk = space.shrunk(parse_settings("--shrink", options.shrink))
    table = None
    if options.truth != "training":
        table = TruthTable.open(options.truth, space, dataset.name)
    proxy_epochs, full_epochs = epochs(options, device)
    settings = {
        **job.identity,
        "space": space.name,
        "space_digest": space.digest,
        "sampler": options.sampler,
        "max_params": options.max_params,
        "max_macs": options.max_macs,
        "proxy_epochs": proxy_epochs,
        "full_epochs": full_epochs,
        "shrink": shrunk.settings,
        "proxy_seeds": options.proxy_seeds,
        "objective": options.objective,
    }
    training = Training(epochs=proxy_epochs, flip=dataset.flip)
    with open_run(options.folder, settings) as folder:
        write_json(folder / "options.json", options)
        scores = ProxyScores(
            folder / "scores.csv", space=shrunk, dataset=dataset, training=training, device=device
        )
        trained = TrainedTruth(
            folder,
            space=space,
            dataset=dataset,
            training=Training(epochs=full_epochs, flip=dataset.flip),
            device=device,
        )
        yield Pipeline(
            options=options,
            folder=folder,
            device=device,
            dataset=dataset,
            space=space,
            scores=scores,
            training=training,
            full_epochs=full_epochs,
            trained=trained,
            truth=table or trained,
        )
