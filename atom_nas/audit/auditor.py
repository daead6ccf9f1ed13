"""The confirmation of a proxy: a sample scored in every way that the audit compares."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from atom_nas.audit.combination import make_model, predict_unseen
from atom_nas.audit.figures import WIDTH, audit_scores
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.ranking import rank_average
from atom_nas.audit.record import Audit
from atom_nas.audit.rivals import AGAINST, FULL, Sample, full_data
from atom_nas.audit.table import write_audit
from atom_nas.audit.trained_truth import Measured
from atom_nas.audit.truth import Truth
from atom_nas.data.images import Dataset
from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.scoring.scorer import Scorer
from atom_nas.scoring.space import candidate_name
from atom_nas.storage import write_atomically, write_json
from atom_nas.training.fit import Score, Training

MIN_FITTED = 10
"""Under so many audited candidates no model is fitted."""


class TruthSource(Protocol):
    """Where full-data accuracies come from: training, or a table."""

    is_known: bool
    """Whether a new candidate costs no training."""

    def measure(self, architecture: Any, *, seed: int, trainings: int = 1) -> Measured:
        """Return the accuracies of `architecture`."""


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What a proxy is compared with, and where the figures go."""

    folder: Path
    dataset: Dataset
    space: str
    scorer: Scorer
    free: FreeScores
    truth: TruthSource
    trainings: int
    """Full-data trainings of each candidate, where the truth is trained."""
    proxy: str
    """`<method>_ipc<N>`, the method a name or the path of a file."""
    images_per_class: int
    against: str
    """A key of `AGAINST`."""
    training: Training
    """On a proxy."""
    full_epochs: float
    seed: int
    width: float | None
    """The width that the interval of Spearman is to reach."""

    def judge(self, sample: Sample) -> Audit:
        """Score the sample in every way, and write audit.csv and audit.json; return the latter."""
        proxy = self.scorer.estimate(self.proxy, sample)
        images = [self.scorer.estimate(name, sample) for name in self._other_images()]
        full = [self._on_full_data(name, proxy, sample) for name in self._full()]
        free, truth = self._free_scores(sample), self._truth(sample)
        rivals, combined = [*images, *full, *free], self._combine(proxy, free, truth)
        names = [candidate_name(architecture) for architecture, _ in sample]
        found = audit_scores(
            proxy,
            rivals,
            truth,
            combined=combined,
            candidates=names,
            dataset=self.dataset.name,
            space=self.space,
            seed=self.seed,
            width=self.width or WIDTH,
            is_truth_known=self.truth.is_known,
        )
        estimators = [proxy, *rivals, *(estimator for estimator, _ in combined)]
        accuracies = np.where(truth.has_failed, np.nan, truth.mean)
        write_audit(self.folder / "audit.csv", names, accuracies, estimators)
        write_atomically(self.folder / "audit.json", found.to_json())
        return found

    def fit_model(self, sample: Sample) -> Callable[[Any, Sequence[Score]], float]:
        """Return what predicts the rank (a share, 1 for the best) of a new candidate.

        From it and its scores on each draw of the proxy; `combined_model` fitted on all of the
        sample.
        """
        proxy, free = self.scorer.estimate(self.proxy, sample), self._free_scores(sample)
        model = make_model(len(sample)).fit(
            _matrix(_features(free, proxy)), self._truth(sample).mean
        )

        def predict(architecture: Any, scores: Sequence[Score]) -> float:
            own = self.scorer.summarize(self.proxy, [scores])
            features = _features(self.free.estimators([architecture]), own)
            return float(model.predict(_matrix(features))[0])

        return predict

    def _free_scores(self, sample: Sample) -> list[Estimator]:
        architectures = [architecture for architecture, _ in sample]
        return self.free.estimators(tqdm(architectures, desc="free scores", unit="candidate"))

    def _truth(self, sample: Sample) -> Truth:
        measured = [
            self.truth.measure(architecture, seed=seed, trainings=self.trainings)
            for architecture, seed in tqdm(sample, desc="truth", unit="candidate")
        ]
        return Truth(
            validation=tuple(each.accuracies for each in measured),
            seconds=float(np.mean([each.seconds for each in measured])),
        )

    def _other_images(self) -> list[str]:
        methods = [method for method in AGAINST[self.against] if method not in FULL]
        names = [f"{method}_ipc{self.images_per_class}" for method in methods]
        return [name for name in names if name != self.proxy]

    def _full(self) -> list[str]:
        return [name for name in AGAINST[self.against] if name in FULL]

    def _on_full_data(self, name: str, proxy: Estimator, sample: Sample) -> Estimator:
        """Train on the full data for as many images as the proxy's cost amounts to."""
        epochs = self._equal_images(proxy, len(sample)) / len(self.dataset.train)
        training = replace(self.training, epochs=min(epochs, self.full_epochs))
        if name == "full_stopped":
            stop = min(1.0, epochs / self.full_epochs)
            training = replace(self.training, epochs=self.full_epochs, stop=stop)
        scorer = Scorer(
            table=self.scorer.table.with_training(training),
            condense=lambda name, number: full_data(name, self.dataset, self.seed + number),
            num_seeds=1,
            measure=self.scorer.measure,
        )
        return scorer.estimate(name, sample)

    def _equal_images(self, proxy: Estimator, sample_size: int) -> float:
        """Return how many images a full-data rival sees, fixed when it is first asked for.

        As many as the proxy shows to a candidate over all its seeds, and for the candidate's share
        of the distillation as many more as take that long.
        """
        path = self.folder / "equal_cost.json"
        if not path.exists():
            assert proxy.repeats is not None
            shown = self.images_per_class * self.dataset.num_classes * self.training.epochs
            each = proxy.seconds_per_candidate * sample_size
            share = proxy.setup_seconds / each if each else 0.0
            write_json(path, {"images": shown * len(proxy.repeats) * (1 + share)})
        return float(json.loads(path.read_text(encoding="utf-8"))["images"])

    def _combine(
        self, proxy: Estimator, free: Sequence[Estimator], truth: Truth
    ) -> list[tuple[Estimator, Estimator]]:
        """Return the combined estimators, each with what it is made of but for the proxy."""
        average = next(each for each in free if each.name == "free_average")
        seconds = proxy.seconds_per_candidate + average.seconds_per_candidate
        both = replace(proxy, seconds_per_candidate=seconds, repeats=None, variants={})
        ranks = rank_average(proxy.ranked, average.ranked)
        ranked = replace(both, name="combined_ranks", kind="rank_average", scores=ranks)
        pairs = [(ranked, average)]
        if len(truth.validation) >= MIN_FITTED:
            with_proxy, without = (
                predict_unseen(_matrix(features), truth.mean, seed=self.seed)
                for features in (_features(free, proxy), _features(free))
            )
            model = replace(both, name="combined_model", kind="model", scores=with_proxy)
            base = replace(average, name="free_model", kind="model", scores=without)
            pairs.append((model, base))
        return pairs


def _features(free: Sequence[Estimator], proxy: Estimator | None = None) -> dict[str, Array]:
    """Return the scores (n,) that a model combines, by name; ranks among others are none."""
    features = {each.name: each.ranked for each in free if each.name != "free_average"}
    return (
        features if proxy is None else {**features, "proxy": proxy.ranked, **proxy.ranked_variants}
    )


def _matrix(features: Mapping[str, Array]) -> Array:
    return np.stack(list(features.values()), axis=1)
