"""The audit of a proxy: a sample scored in every way that is compared, and judged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from atom_nas.audit.combination import Joined, combine, fit_predictor
from atom_nas.audit.figures import WIDTH, audit_scores
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.record import Audit
from atom_nas.audit.rivals import Rivals
from atom_nas.audit.table import write_audit
from atom_nas.audit.trained_truth import TruthSource
from atom_nas.audit.truth import Truth
from atom_nas.scoring.chance import is_at_chance, is_unbalanced
from atom_nas.scoring.estimator import Array, Estimator, mean_of_known
from atom_nas.scoring.scorer import Sample, Scorer
from atom_nas.scoring.space import candidate_name
from atom_nas.storage.files import write_json
from atom_nas.storage.progress import follow


@dataclass(frozen=True, kw_only=True)
class Auditor:
    """Everything that scores an audited candidate, and where the figures go."""

    folder: Path
    dataset: str
    space: str
    scorer: Scorer
    free: FreeScores
    rivals: Rivals
    truth: TruthSource
    trainings: int
    """Full-data trainings of each candidate, where the truth is trained."""
    proxy: str
    """`<method>_ipc<N>`, the method a name or the path of a file."""
    seed: int
    objective: str
    """What the search goes by, a key of `OBJECTIVES`."""
    width: float | None
    """The width that the interval of Spearman is to reach."""
    labels: Tensor
    """Of the images that candidates are measured on, (N,)."""
    sizes: tuple[int, ...] = ()
    """Images a class of the random sets that the worth of the proxy is measured by."""
    chosen_on: Sample = ()
    """Candidates by whose audit the proxy was chosen: of those audited again it is said."""

    def audit(self, sample: Sample) -> Audit:
        """Score the sample in every way, and write audit.csv and audit.json."""
        proxy = self.scorer.estimate(self.proxy, sample)
        rivals = self.rivals.estimate(proxy, sample)
        sets = {size: self.scorer.estimate(f"random_ipc{size}", sample) for size in self.sizes}
        free, truth = self._free(sample), self._truth(sample)
        names = [candidate_name(architecture) for architecture, _ in sample]
        audit = audit_scores(
            proxy,
            [*rivals, *free],
            truth,
            combined=combine(proxy, free, truth.mean, seed=self.seed),
            sets=sets,
            candidates=names,
            dataset=self.dataset,
            space=self.space,
            seed=self.seed,
            width=self.width or WIDTH,
            is_truth_known=self.truth.is_known,
            caution=self._caution(proxy),
            objective=self.objective,
        )
        if remark := self._remark(names):
            first, *others = audit.sentences
            audit = replace(audit, sentences=(first, remark, *others))
        write_audit(self.folder / "audit.csv", audit)
        write_json(self.folder / "audit.json", json.loads(audit.to_json()))
        return audit

    def fit_model(self, sample: Sample) -> Joined:
        """Return what predicts the ranks (shares, 1 for the best) of new candidates.

        From their scores by the proxy and the free ones; fitted on all of the sample, `MIN_FITTED`
        or more.
        """
        return self._fit(sample, self._truth(sample).mean)

    def predict(self, sample: Sample, *, fitted_on: Sample, truth: Array) -> Array:
        """Return the ranks (n,) that a model gives to the sample.

        It is fitted on the audited `fitted_on`, m candidates whose `truth` (m,) is known.
        """
        joined = self._fit(fitted_on, truth)
        return joined(self.scorer.estimate(self.proxy, sample), self._free(sample))

    def _fit(self, sample: Sample, truth: Array) -> Joined:
        return fit_predictor(self.scorer.estimate(self.proxy, sample), self._free(sample), truth)

    def _remark(self, names: Sequence[str]) -> str:
        """Say how many of the candidates of these names the proxy was chosen by, or nothing."""
        known = {candidate_name(architecture) for architecture, _ in self.chosen_on}
        if not (count := len(known.intersection(names))):
            return ""
        return (
            f"{count} of these {len(names)} candidates are among the {len(known)} by which --proxy "
            f"auto chose {self.proxy}, which favours it: the space or the table has too few "
            "others."
        )

    def _caution(self, proxy: Estimator) -> str:
        """Say that most candidates learnt nothing from the proxy, or nothing."""
        accuracies = proxy.variants.get("accuracy", proxy.scores)
        known = accuracies[np.isfinite(accuracies)]
        at_chance = sum(is_at_chance(accuracy, self.labels) for accuracy in known)
        if 2 * at_chance <= len(known) or is_unbalanced(self.labels):
            return ""
        return (
            f"{at_chance} of {len(known)} candidates classify at chance on {proxy.name}, so that "
            "their order means little: train them longer (--proxy-steps) or condense more images."
        )

    def _free(self, sample: Sample) -> list[Estimator]:
        architectures = [architecture for architecture, _ in sample]
        total = len(architectures)
        return self.free.estimators(
            follow(architectures, "free scores", total=total, unit="candidate")
        )

    def _truth(self, sample: Sample) -> Truth:
        measured = self.truth.measure_all(sample, trainings=self.trainings)
        tests = [each.test for each in measured if each.test is not None]
        return Truth(
            validation=tuple(each.validation for each in measured),
            test=tuple(tests) if len(tests) == len(measured) else None,
            seconds=mean_of_known([each.seconds for each in measured]),
            macs=float(np.mean([each.macs for each in measured])),
        )
