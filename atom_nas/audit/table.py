"""audit.csv: the audited candidates with their truth and every estimator's score."""

from collections.abc import Sequence
from pathlib import Path

from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.storage import write_csv


def write_audit(
    path: Path, names: Sequence[str], truth: Array, estimators: Sequence[Estimator]
) -> None:
    """Write one row an audited candidate: its test accuracy, and its score by each estimator.

    The accuracy is the mean over trainings, NaN where all of them failed.
    """
    header = ["candidate", "test_accuracy", *(estimator.name for estimator in estimators)]
    columns = [estimator.scores for estimator in estimators]
    write_csv(path, header, zip(names, truth, *columns, strict=True))
