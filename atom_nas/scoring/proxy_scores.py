"""Candidates trained on a proxy and measured on the validation split, each once."""

import time
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from atom_nas.data.splits import Dataset
from atom_nas.distillation.proxy import Proxy
from atom_nas.errors import explain
from atom_nas.scoring.space import Space, candidate_name, no_exit
from atom_nas.storage.files import digest
from atom_nas.storage.row_log import RowLog
from atom_nas.training.devices import is_device_failure
from atom_nas.training.fit import Examples, Outcome, Training, fit_and_score

KEY = ("proxy_digest", "training_digest", "candidate")
COLUMNS = (
    *("proxy", "proxy_seed", *KEY),
    *("seed", "accuracy", "loss", "curve", "seconds", "failure"),
)


class CandidateError(RuntimeError):
    """A candidate could not be built, trained or scored; the message says why."""


class ProxyScores:
    """The table of outcomes at a path, which trains what it does not hold.

    A row is found again by what its outcome depends on: the digest of the proxy's images, that of
    the training (its settings, the space and the validation images), and the candidate.
    """

    def __init__(self, path: Path, *, space: Space, dataset: Dataset, device: torch.device) -> None:
        """Open the table, and put the validation split on `device`."""
        self._table = RowLog(path, COLUMNS, key=KEY)
        self._rows = {tuple(row[column] for column in KEY): row for row in self._table.rows}
        self._space, self._dataset, self._device = space, dataset, device
        self._macs: dict[str, int | None] = {}
        self._last: tuple[str, Examples | None] = "", None
        self._validation = Examples.of(dataset.validation, dataset.normalization, device)

    def score(self, proxy: Proxy, architecture: Any, training: Training, *, seed: int) -> Outcome:
        """Train `architecture` on `proxy`, or take its outcome where there is one.

        Raises CandidateError, at once and ever after, where that cannot be done.
        """
        key = (proxy.images.digest[:16], self._digest(training), candidate_name(architecture))
        if key not in self._rows:
            about = {"proxy": proxy.name, "proxy_seed": proxy.seed, "seed": seed}
            measured = self._measure(proxy, architecture, training, seed)
            self._table.append({**about, **dict(zip(KEY, key, strict=True)), **measured})
            self._rows[key] = self._table.rows[-1]
        row = self._rows[key]
        if row["failure"]:
            raise CandidateError(row["failure"])
        return Outcome(
            accuracy=float(row["accuracy"]),
            loss=float(row["loss"]),
            seconds=float(row["seconds"]),
            curve=tuple(map(float, row["curve"].split())),
        )

    @property
    def num_validation(self) -> int:
        """The images that every candidate is measured on."""
        return len(self._dataset.validation)

    def mean_macs(self, architectures: Iterable[Any]) -> float:
        """Return the multiply-adds of a forward pass, the mean over those that can be counted."""
        counted = [self._count(architecture) for architecture in architectures]
        known = [macs for macs in counted if macs is not None]
        return fmean(known) if known else 0.0

    def _count(self, architecture: Any) -> int | None:
        name = candidate_name(architecture)
        if name not in self._macs:
            try:
                self._macs[name] = self._space.cost(architecture).macs
            except Exception:  # whatever a user's net leads to: its training says so
                self._macs[name] = None
        return self._macs[name]

    def _digest(self, training: Training) -> str:
        """Return 16 hexadecimal digits of what an outcome depends on beside proxy and candidate."""
        data, space = self._dataset, self._space
        parts = [training, space.digest, space.settings, data.validation.digest, data.normalization]
        return digest(parts)[:16]

    def _examples(self, proxy: Proxy) -> Examples:
        """Return the images of `proxy` as nets take them; those of the last call are kept."""
        digest, examples = self._last
        if digest != proxy.images.digest or examples is None:
            digest = proxy.images.digest
            examples = Examples.of(proxy.images, self._dataset.normalization, self._device)
            self._last = digest, examples
        return examples

    def _measure(
        self, proxy: Proxy, architecture: Any, training: Training, seed: int
    ) -> dict[str, object]:
        train = self._examples(proxy)
        start = time.perf_counter()
        try:
            net = self._space.build(architecture, seed=seed)
            with no_exit():
                outcome = fit_and_score(net, train, self._validation, training, seed=seed)
        except Exception as error:
            if is_device_failure(error):
                raise
            seconds = time.perf_counter() - start
            reason = explain(error)
            return {"accuracy": "", "loss": "", "curve": "", "seconds": seconds, "failure": reason}
        return {
            "accuracy": outcome.accuracy,
            "loss": outcome.loss,
            "curve": " ".join(f"{loss:.5g}" for loss in outcome.curve),
            "seconds": outcome.seconds,
            "failure": "",
        }
