"""candidates.csv, written by a search and read by the report."""

from dataclasses import dataclass
from types import SimpleNamespace

from atom_nas.report.trials import read_trials
from atom_nas.search.candidate import Candidate
from atom_nas.search.objectives import Objectives
from atom_nas.search.table import write_candidates
from atom_nas.training.cost import Cost


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Two of its fields are called as columns of the table."""

    state: str
    macs: int
    width: int


def test_fields_that_are_called_as_columns_are_told_from_them(tmp_path):
    candidate = Candidate(
        trial=0,
        name="solid-3-8",
        architecture=Architecture(state="solid", macs=3, width=8),
        seed=1,
        objective=0.5,
        accuracy=0.6,
        cost=Cost(num_params=10, macs=200),
        seconds=1.0,
        is_uniform=True,
        reason="",
    )
    space = SimpleNamespace(module=SimpleNamespace(Architecture=Architecture))
    write_candidates(tmp_path / "c.csv", [candidate], space, Objectives())
    (trial,) = read_trials(tmp_path / "c.csv")
    assert trial.is_complete and trial.macs == 200
    assert trial.fields == {"field_state": "solid", "field_macs": "3", "width": "8"}
