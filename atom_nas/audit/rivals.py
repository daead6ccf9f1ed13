"""The rivals of a proxy: other small sets, and full data at equal cost."""

from dataclasses import dataclass, replace
from pathlib import Path

from atom_nas.audit.against import AGAINST, FULL
from atom_nas.data.splits import Dataset
from atom_nas.distillation.proxy import Proxy
from atom_nas.scoring.estimator import Estimator
from atom_nas.scoring.scorer import Sample, Scorer
from atom_nas.storage.files import digest
from atom_nas.storage.once import Once, once
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """What a proxy is compared with beside free scores: all by training on images."""

    scorer: Scorer
    """Of the proxy; the rivals are trained alike."""
    dataset: Dataset
    proxy: str
    """`<method>_ipc<N>`, the method a name or the path of a file."""
    images_per_class: int
    against: str
    """A key of `AGAINST`."""
    full_steps: int
    """Of a whole training on the full data."""
    fixed_in: Path
    """The file in which the images of an equal cost stand from when they are first needed, by what
    the proxy was scored with then."""
    once: Once = once

    def estimate(self, proxy: Estimator, sample: Sample) -> list[Estimator]:
        """Return how each rival scores the sample."""
        methods = AGAINST[self.against]
        names = [f"{method}_ipc{self.images_per_class}" for method in methods if method not in FULL]
        small = [self.scorer.estimate(name, sample) for name in names if name != self.proxy]
        full = [self._on_full_data(name, proxy, sample) for name in methods if name in FULL]
        return [*small, *full]

    def _on_full_data(self, name: str, proxy: Estimator, sample: Sample) -> Estimator:
        """Train on the full data for as many images as the proxy's cost amounts to."""
        training = self.scorer.training
        affordable = round(self._equal_images(proxy, sample) / training.batch_size)
        steps = max(1, min(affordable, self.full_steps))
        training = replace(training, steps=steps)
        if name == "full_stopped":
            training = replace(training, steps=self.full_steps, stop=steps / self.full_steps)
        scorer = Scorer(
            table=self.scorer.table,
            condense=lambda name, number: full_data(name, self.dataset),
            num_seeds=1,
            training=training,
            measure=self.scorer.measure,
        )
        return scorer.estimate(name, sample)

    def _equal_images(self, proxy: Estimator, sample: Sample) -> float:
        """Return how many images a training of the proxy's cost shows, fixed when first asked for.

        The proxy's cost is that of all its trainings and the share of their condensations: more
        condensations or longer trainings have a number of their own.
        """
        digests = [each.images.digest for each in self.scorer.proxies(self.proxy)]
        key = digest([digests, self.scorer.training])[:16]

        def images() -> float:
            macs = self.scorer.table.mean_macs(architecture for architecture, _ in sample)
            passes = proxy.cost / macs if macs else 0.0
            measured = FORWARD * len(self.dataset.validation)
            return (passes - measured) / FORWARD_BACKWARD

        return float(self.once(self.fixed_in, key, images))


def full_data(name: str, dataset: Dataset) -> Proxy:
    """Return all the training images as a proxy that took nothing to make."""
    manifest = {
        "proxy": name,
        "kind": "full_data",
        "digest": dataset.train.digest,
        "seed": 0,
        "macs": 0,
        "seconds": 0.0,
    }
    return Proxy(images=dataset.train, manifest=manifest)
