"""A proxy that comes with its data set: condensed elsewhere, copied to where a run wants it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Dataset
from atom_nas.distillation.proxy import Proxy, load_proxy, save_proxy
from atom_nas.errors import DamagedError
from atom_nas.storage.files import digest, tell_made_again


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The set called `name` of the excerpt that `dataset` is; no setting changes it."""

    dataset: Dataset
    name: str
    """`<method>_ipc<N>`."""
    seed: int
    """Of the run; the set was condensed with its own."""

    @cached_property
    def identity(self) -> dict[str, object]:
        """Which set it is, and of which data."""
        return {
            "proxy": self.name,
            "proxy_digest": self._proxy.digest,
            "dataset": self.dataset.name,
            "train_digest": self.dataset.train.digest,
            "seed": self.seed,
        }

    @cached_property
    def _proxy(self) -> Proxy:
        assert self.dataset.excerpt is not None
        path = self.dataset.excerpt.sets[self.name]
        try:
            found = load_proxy(path)
        except DamagedError as damage:
            raise damage.of_package from None
        assert found is not None, path
        return found

    @property
    def images(self) -> ImageSet:
        """The condensed images."""
        return self._proxy.images

    def folder(self, store: Path) -> Path:
        """Return where in `store` the proxy lies: its name and the start of its digest."""
        return store / f"{self.name}-{digest(self.identity)[:10]}"

    def copy_to(self, folder: Path) -> Proxy:
        """Return the proxy, which then lies in `folder` too."""
        try:
            found = load_proxy(folder)
        except DamagedError as damage:
            tell_made_again(damage)
            found = None
        if found is None:
            save_proxy(self._proxy, folder)
        return self._proxy
