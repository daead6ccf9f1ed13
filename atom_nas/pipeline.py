"""The stages of a run in order: each takes what the run folder holds, and makes the rest."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from atom_nas import tables
from atom_nas.artifact import Proxy
from atom_nas.audit import Estimator, audit
from atom_nas.condense import Condensation, condense, is_distilled, parse_name
from atom_nas.datasets import open_dataset
from atom_nas.devices import resolve_device
from atom_nas.errors import UserError
from atom_nas.evaluation import CandidateError, ProxyScores
from atom_nas.export import Trained, export_model
from atom_nas.images import Dataset
from atom_nas.options import DistillOptions, Options
from atom_nas.recipes import RECIPES
from atom_nas.report import write_report
from atom_nas.runs import derive_seed, open_run, write_json
from atom_nas.search import Candidate, Limits, Search
from atom_nas.space import Space, candidate_name, draw_uniformly, load_space
from atom_nas.train import Training
from atom_nas.truth import Truth

Item = TypeVar("Item")

SMALL_STEPS = 300
"""Default steps of a distillation where there is no GPU; the recipe's own where there is one."""

EPOCHS = {"cuda": (30, 30)}
SMALL_EPOCHS = (6, 5)
"""Default epochs of a candidate on (proxy, full data), where there is no GPU."""


def condensation(options: DistillOptions, dataset: Dataset, device: torch.device) -> Condensation:
    """Return the job that makes the proxy of `options`."""
    method, images_per_class = parse_name(options.proxy)
    recipe = None
    if is_distilled(method):
        recipe = RECIPES[options.recipe](dataset, images_per_class)
        if options.steps or device.type != "cuda":
            recipe = replace(recipe, steps=options.steps or SMALL_STEPS)
    return Condensation(
        dataset=dataset,
        method=method,
        images_per_class=images_per_class,
        seed=options.seed,
        recipe=recipe,
    )


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One run: its options, data and space, and the folder that holds what was made."""

    options: Options
    folder: Path
    device: torch.device
    dataset: Dataset
    space: Space
    scores: ProxyScores
    truth: Truth

    def condense(self, name: str) -> Proxy:
        """Return the proxy called `name`, condensed once."""
        job = condensation(replace(self.options, proxy=name), self.dataset, self.device)
        return condense(job, job.folder(self.folder / "proxies"), self.device)

    def search(self, proxy: Proxy) -> list[Candidate]:
        """Return the candidates of the study, `options.trials` of them; write candidates.csv."""

        def evaluate(architecture: Any, seed: int) -> tuple[float, float]:
            score = self.scores.score(proxy, architecture, seed=seed)
            return score.accuracy, score.seconds

        search = Search(
            journal=self.folder / "study.journal",
            space=self.space,
            evaluate=evaluate,
            limits=self._limits(),
            sampler=self.options.sampler,
            num_uniform=self.options.num_uniform,
            seed=self.options.seed,
        )
        with tqdm(total=self.options.trials, desc="search", unit="trial") as bar:
            best = 0.0

            def watch(candidates: list[Candidate]) -> None:
                nonlocal best
                best = max([best, *(c.accuracy or 0.0 for c in candidates)])
                bar.set_postfix(best=f"{best:.1%}", refresh=False)
                bar.update(len(candidates) - bar.n)
                tables.write_candidates(self.folder / "candidates.csv", candidates, self.space)

            candidates = search.run(self.options.trials, watch)
        if all(candidate.accuracy is None for candidate in candidates):
            reason = candidates[0].reason if candidates else "nothing within the limits was drawn"
            raise UserError(
                f"none of {len(candidates)} candidates of {self.space.name} could be scored "
                f"({reason}); mend the space or raise --max-params and --max-macs."
            )
        return candidates

    def audit(self, proxy: Proxy, candidates: list[Candidate]) -> dict[str, Any]:
        """Judge `proxy` on a uniform sample of candidates; write audit.csv and audit.json."""
        sample = self._sample(candidates)
        baselines = [self._score_all(rival, sample) for rival in self._rivals(proxy)]
        estimator = self._score_all(proxy, sample)
        truths = [
            self.truth.accuracy(architecture, seed=seed)
            for architecture, seed in _progress(sample, "truth")
        ]
        accuracies = np.array([accuracy for accuracy, _ in truths])
        sizes = [float(self.space.cost(architecture).num_params) for architecture, _ in sample]
        baselines.append(
            Estimator(
                name="num_params",
                scores=np.array(sizes),
                setup_seconds=0.0,
                seconds_per_candidate=0.0,
            )
        )
        figures = {
            "dataset": self.dataset.name,
            "space": self.space.name,
            **audit(
                estimator,
                baselines,
                np.nan_to_num(accuracies, nan=0.0),
                full_seconds=float(np.mean([seconds for _, seconds in truths])),
                seed=self.options.seed,
            ),
        }
        names = [candidate_name(architecture) for architecture, _ in sample]
        tables.write_audit(self.folder / "audit.csv", names, accuracies, [estimator, *baselines])
        write_json(self.folder / "audit.json", figures)
        return figures

    def export(self, candidates: list[Candidate]) -> list[Path]:
        """Train the best `options.top_k` on the full data and export them; return the folders."""
        folders = []
        for rank, best in enumerate(_progress(self.best(candidates), "export"), start=1):
            accuracy, seconds = self.truth.accuracy(best.architecture, seed=best.seed)
            if math.isnan(accuracy):
                tqdm.write(f"{best.name} is not exported: its full-data training diverged.")
                continue
            trained = Trained(
                space_source=self.space.source,
                architecture=best.architecture,
                net=self.truth.trained_net(best.architecture),
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
                "full_seconds": seconds,
                "seed": best.seed,
            }
            folder = self.folder / "export" / f"{rank}-{best.name}"
            folders.append(export_model(trained, folder, metrics=metrics))
        return folders

    def best(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the `options.top_k` best by proxy accuracy; of equals the smaller."""

        def order(candidate: Candidate) -> tuple[float, int]:
            assert candidate.accuracy is not None and candidate.cost is not None
            return -candidate.accuracy, candidate.cost.num_params

        scored = [candidate for candidate in candidates if candidate.accuracy is not None]
        return sorted(scored, key=order)[: self.options.top_k]

    def report(self) -> Path:
        """Write the report of what the folder holds."""
        return write_report(self.folder)

    def _limits(self) -> Limits:
        return Limits(num_params=self.options.max_params, macs=self.options.max_macs)

    def _sample(self, candidates: list[Candidate]) -> list[tuple[Any, int]]:
        """Return the audited (architecture, seed): the search's uniform draws, then new ones."""
        sample = {
            candidate.name: (candidate.architecture, candidate.seed)
            for candidate in candidates
            if candidate.is_uniform and candidate.cost is not None
        }
        seed = derive_seed(self.options.seed, "audit")
        fresh = draw_uniformly(self.space, seed=seed, is_allowed=self._limits().allow)
        while len(sample) < self.options.audit_size:
            architecture = next(fresh, None)
            if architecture is None:
                break
            seed = derive_seed(self.options.seed, "audited", len(sample))
            sample.setdefault(candidate_name(architecture), (architecture, seed))
        return list(sample.values())[: self.options.audit_size]

    def _rivals(self, proxy: Proxy) -> Iterator[Proxy]:
        """Yield random real images of the same number, the default rival."""
        name = f"random_ipc{parse_name(self.options.proxy)[1]}"
        if name != proxy.name:
            yield self.condense(name)

    def _score_all(self, proxy: Proxy, sample: list[tuple[Any, int]]) -> Estimator:
        """Score the sample by training on `proxy`; a candidate that fails scores 0."""
        accuracies, seconds = [], []
        for architecture, seed in _progress(sample, proxy.name):
            try:
                score = self.scores.score(proxy, architecture, seed=seed)
            except CandidateError:
                accuracies.append(0.0)
                continue
            accuracies.append(score.accuracy)
            seconds.append(score.seconds)
        return Estimator(
            name=proxy.name,
            scores=np.array(accuracies),
            setup_seconds=proxy.seconds,
            seconds_per_candidate=float(np.mean(seconds)) if seconds else 0.0,
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
    defaults = EPOCHS.get(device.type, SMALL_EPOCHS)
    proxy_epochs = options.proxy_epochs or defaults[0]
    full_epochs = options.full_epochs or defaults[1]
    settings = {
        **job.identity,
        "space": space.name,
        "space_digest": space.digest,
        "sampler": options.sampler,
        "max_params": options.max_params,
        "max_macs": options.max_macs,
        "proxy_epochs": proxy_epochs,
        "full_epochs": full_epochs,
    }
    with open_run(options.folder, settings) as folder:
        write_json(folder / "options.json", options)
        scores = ProxyScores(
            folder / "scores.csv",
            space=space,
            dataset=dataset,
            training=Training(epochs=proxy_epochs, flip=dataset.flip),
            device=device,
        )
        truth = Truth(
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
            truth=truth,
        )


def _progress(items: Sequence[Item], what: str) -> Iterator[Item]:
    yield from tqdm(items, desc=what, unit="candidate")
