"""The rivals of a proxy: other small sets, full data at equal cost, and sets of them by name."""

from collections.abc import Sequence
from typing import Any

from atom_nas.data.images import Dataset
from atom_nas.distillation.proxy import Proxy

Sample = Sequence[tuple[Any, int]]
"""The audited candidates, as (architecture, seed)."""

AGAINST: dict[str, tuple[str, ...]] = {
    "free": ("random",),
    "equal_cost": ("random", "full_annealed", "full_stopped"),
    "coresets": ("random", "herding", "kmeans"),
    "all": (
        *("random", "herding", "kmeans", "dm", "datadam", "atom"),
        *("full_annealed", "full_stopped"),
    ),
}
"""What is measured beside the free scores, which always are."""

FULL = ("full_annealed", "full_stopped")


def full_data(name: str, dataset: Dataset, seed: int) -> Proxy:
    """Return all the training images as a proxy that took no time to make."""
    return Proxy(images=dataset.train, manifest={"proxy": name, "seed": seed, "seconds": 0.0})
