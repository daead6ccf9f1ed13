"""audit.csv: the audited candidates with their truth and every estimator's score."""

from pathlib import Path

from atom_nas.audit.record import Audit
from atom_nas.storage.files import write_csv


def write_audit(path: Path, audit: Audit) -> None:
    """Write one row an audited candidate: its accuracies, and its score by each estimator.

    The accuracies are means over trainings; what failed or is not known is left empty.
    """
    estimators = audit.estimators
    header = ["candidate", "validation_accuracy", "test_accuracy", *(e.name for e in estimators)]
    columns = [
        *(audit.candidates, audit.truth, audit.test or [None] * audit.n),
        *(estimator.scores for estimator in estimators),
    ]
    write_csv(path, header, zip(*columns, strict=True))
