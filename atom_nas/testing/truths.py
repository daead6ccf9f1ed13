"""The contract of a table of truth."""

from itertools import islice
from math import isnan

import pytest

from atom_nas import plugins
from atom_nas.audit.truth_table import NEEDS, TruthTable
from atom_nas.errors import UserError
from atom_nas.scoring.space import Space, load_space, uniform_architectures


class TruthContract:
    """What every table of truth keeps.

    A subclass overrides the fixture `given`: the table's name or the path of its file, and the
    name of a data set that it knows.
    """

    @pytest.fixture
    def given(self) -> tuple[str, str]:
        raise NotImplementedError("override the fixture `given`")

    @pytest.fixture
    def space(self, given: tuple[str, str]) -> Space:
        module = plugins.load("atom_nas.audit.truths", given[0], kind="truth", needs=NEEDS)
        return load_space(module.SPACE, (3, 32, 32), 10)

    def test_candidates_of_its_space_have_accuracies(
        self, given: tuple[str, str], space: Space
    ) -> None:
        name, dataset = given
        table = TruthTable.open(name, space, dataset)
        drawn = uniform_architectures(space, seed=0, is_allowed=lambda cost: True)
        candidates = list(islice(filter(table.can_tell, drawn), 5))
        assert len(candidates) == 5
        for architecture in candidates:
            measured = table.measure(architecture)
            assert measured.validation
            assert all(isnan(value) or 0 <= value <= 1 for value in measured.validation)
            assert isnan(measured.seconds) or measured.seconds >= 0

    def test_a_data_set_that_it_does_not_know_is_one_line(
        self, given: tuple[str, str], space: Space
    ) -> None:
        with pytest.raises(UserError) as caught:
            TruthTable.open(given[0], space, "no such data set")
        assert "\n" not in str(caught.value)
