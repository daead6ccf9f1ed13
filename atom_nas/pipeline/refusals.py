"""Options that do not fit the data, or that change nothing: refused before anything is written."""

from atom_nas.audit.against import AGAINST, FULL
from atom_nas.audit.truth_table import TruthTable
from atom_nas.data.splits import Dataset
from atom_nas.errors import UserError
from atom_nas.options import Options


def refuse_what_needs_all(options: Options, dataset: Dataset) -> None:
    """Raise UserError where an option needs all the images, of which an excerpt has a few."""
    if not dataset.excerpt:
        return
    needs, macs = "", dataset.defaults.max_macs
    if options.truth == "training":
        needs = "--truth training"
    elif set(AGAINST[options.against]) & set(FULL):
        needs = f"--against {options.against}"
    elif options.max_macs and macs and options.max_macs > macs and options.truth == "auto":
        needs = f"--max-macs {options.max_macs} (its table of full trainings ends at {macs})"
    if needs:
        raise UserError(
            f"{needs} needs all the training images, of which {dataset.name} holds a few; "
            f"leave it out, or give --dataset {dataset.excerpt.of}."
        )


def refuse_what_changes_nothing(
    options: Options, dataset: Dataset, table: TruthTable | None
) -> None:
    """Raise UserError where trainings are asked for of a truth that the `table` holds.

    A recipe may stand beside a proxy that is not condensed: a report proposes the same command
    with another proxy.
    """
    if table and options.truth_seeds > 1:
        instead = f"--dataset {dataset.excerpt.of}" if dataset.excerpt else "--truth training"
        raise UserError(
            f"--truth-seeds is {options.truth_seeds}, and the truth is not trained but the table "
            f"{table.name}; leave it out, or give {instead}."
        )
