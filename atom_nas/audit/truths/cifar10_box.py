"""CIFAR-10 in the box: plain ConvNets, drawn uniformly below a limit, trained on all 45,000 images.

The data set `cifar10_box` says below which limit; benchmarks/make_assets.py makes the table.
"""

from typing import Any

from atom_nas.audit.truth_table import read_table
from atom_nas.data.sources.cifar10_box import BOX
from atom_nas.errors import DamagedError, unknown
from atom_nas.storage.files import check_files, read_json

SPACE = "convnet"
IS_SAMPLE = True
KNOWN = ("cifar10_box", "cifar10")
"""The data sets whose validation images no training of the table was shown (with --seed 0)."""


def images_shown(dataset: str) -> int:
    """Return how many images a training of the table was shown."""
    return int(read_json(BOX / "manifest.json")["truth"]["images_shown"])


def load(dataset: str) -> dict[str, dict[str, Any]]:
    """Return the accuracies and seconds of all candidates in the table."""
    if dataset not in KNOWN:
        raise unknown("data set of cifar10_box", dataset, KNOWN)
    try:
        files = read_json(BOX / "manifest.json")["files"]
        check_files(BOX, {"truth.csv": files["truth.csv"]})
    except DamagedError as damage:
        raise damage.of_package from None
    return read_table(BOX / "truth.csv")
