"""Candidates trained on a proxy and measured on the validation split, each once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from atom_nas.data.splits import Dataset
from atom_nas.distillation.proxy import Proxy
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.scoring.trainer import Job, Trained, Trainer
from atom_nas.storage.files import digest
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.table import Key, OpenTable, Row, fill
from atom_nas.training.fit import Outcome
from atom_nas.training.schedule import Training

KEY = ("proxy_digest", "training_digest", "candidate")
COLUMNS = (
    *("proxy", "proxy_seed", *KEY),
    *("seed", "accuracy", "loss", "curve", "seconds", "failure"),
)

Wanted = tuple[Proxy, Any, int]
"""A training as (proxy, architecture, seed)."""


class CandidateError(RuntimeError):
    """A candidate could not be built, trained or scored; the message says why."""


class ProxyScores:
    """The table of outcomes at a path, which trains what it does not hold.

    A row is found again by what its outcome depends on: the digest of the proxy's images, that of
    the training (its settings, the space and the validation images), and the candidate, whose seed
    follows from the run's.
    """

    def __init__(
        self,
        path: Path,
        *,
        space: Space,
        dataset: Dataset,
        trainer: Trainer,
        open_table: OpenTable = RowLog,
        known: Iterable[Mapping[str, str]] = (),
    ) -> None:
        """Open the table; rows that are `known` from elsewhere are taken in place of trainings."""
        self._known = {tuple(row[each] for each in KEY): row for row in known}
        self._table = open_table(path, COLUMNS, key=KEY)
        self._space, self._dataset, self._trainer = space, dataset, trainer

    def score(self, proxy: Proxy, architecture: Any, training: Training, *, seed: int) -> Outcome:
        """Train `architecture` on `proxy`, or take its outcome where there is one.

        Raises CandidateError, at once and ever after, where that cannot be done.
        """
        for _ in self.fill([(proxy, architecture, seed)], training):
            pass
        row = self._table.find(self._key(proxy, architecture, training))
        assert row is not None
        if row["failure"]:
            raise CandidateError(row["failure"])
        return Outcome(
            accuracy=float(row["accuracy"]),
            loss=float(row["loss"]),
            seconds=float(row["seconds"]),
            curve=tuple(map(float, row["curve"].split())),
        )

    def has(self, wanted: Wanted, training: Training) -> bool:
        """Say whether the outcome of what is wanted, or its failure, is there or known."""
        proxy, architecture, _ = wanted
        key = self._key(proxy, architecture, training)
        return self._table.find(key) is not None or self._known_row(key, wanted) is not None

    def mean_seconds(self, proxy: Proxy, training: Training) -> float | None:
        """Return what the trainings on `proxy` so far took here, the mean; None without any."""
        own = (proxy.images.digest[:16], self._digest(training))
        made = [
            float(row["seconds"])
            for row in self._table.rows
            if (key := tuple(row[each] for each in KEY))[:2] == own
            and self._known.get(key, {}).get("seconds") != row["seconds"]
        ]
        return fmean(made) if made else None

    def fill(
        self,
        wanted: Iterable[Wanted],
        training: Training,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Iterator[None]:
        """Train what lacks of `wanted`, and yield once for each of it, as it is there.

        Where `may_begin` says no, those under way are finished and the others left.
        """
        missing: dict[Key, Wanted] = {}
        for proxy, architecture, seed in wanted:
            key = self._key(proxy, architecture, training)
            if key in missing or self._table.find(key):
                yield
            else:
                missing[key] = proxy, architecture, seed

        def train(keys: list[Key], may: Callable[[Key], bool]) -> Iterator[tuple[Row, bytes]]:
            for key, row in self._known_of(missing, keys):
                if may(key):
                    yield {column: row[column] for column in COLUMNS}, b""
            keys = self._table.free(keys)
            jobs = [self._job(*missing[key], training) for key in keys]
            for position, trained in self._trainer.run(jobs, lambda each: may(keys[each])):
                key = keys[position]
                proxy, _, seed = missing[key]
                about = {"proxy": proxy.name, "proxy_seed": proxy.seed, "seed": seed}
                yield {**about, **dict(zip(KEY, key, strict=True)), **_measured(trained)}, b""

        for _ in fill(self._table, missing, train, may_begin):
            yield

    def _known_of(
        self, wanted: Mapping[Key, Wanted], keys: Iterable[Key]
    ) -> Iterator[tuple[Key, Mapping[str, str]]]:
        """Yield those of `keys` whose row is known, of a training with the seed that is wanted."""
        for key in keys:
            if row := self._known_row(key, wanted[key]):
                yield key, row

    def _known_row(self, key: Key, wanted: Wanted) -> Mapping[str, str] | None:
        row = self._known.get(key)
        return row if row and row["seed"] == str(wanted[2]) else None

    @property
    def num_workers(self) -> int:
        """How many trainings may be done at once."""
        return self._trainer.num_workers

    @property
    def num_validation(self) -> int:
        """The images that every candidate is measured on."""
        return len(self._dataset.validation)

    def mean_macs(self, architectures: Iterable[Any]) -> float:
        """Return the multiply-adds of a forward pass, the mean over those that can be counted."""
        known = []
        for architecture in architectures:
            with suppress(Exception):  # whatever a user's net leads to: its training says so
                known.append(self._space.cost(architecture).macs)
        return fmean(known) if known else 0.0

    def _digest(self, training: Training) -> str:
        """Return 16 hexadecimal digits of what an outcome depends on beside proxy and candidate."""
        data, space = self._dataset, self._space
        built = [space.digest, space.settings, space.image_shape]
        return digest([training, *built, data.validation.digest, data.normalization])[:16]

    def _key(self, proxy: Proxy, architecture: Any, training: Training) -> tuple[str, ...]:
        return proxy.images.digest[:16], self._digest(training), candidate_name(architecture)

    def _job(self, proxy: Proxy, architecture: Any, seed: int, training: Training) -> Job:
        return Job(
            space=self._space,
            architecture=architecture,
            seed=seed,
            training=training,
            train=proxy.images,
            held_out=(self._dataset.validation,),
        )


def _measured(trained: Trained) -> dict[str, object]:
    if trained.failure:
        empty = dict.fromkeys(("accuracy", "loss", "curve"), "")
        return {**empty, "seconds": trained.seconds, "failure": trained.failure}
    (outcome,) = trained.outcomes
    return {
        "accuracy": outcome.accuracy,
        "loss": outcome.loss,
        "curve": " ".join(f"{loss:.5g}" for loss in outcome.curve),
        "seconds": outcome.seconds,
        "failure": "",
    }
