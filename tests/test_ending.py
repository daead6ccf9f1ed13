"""What is said of a search that ended."""

import pytest
from made_search import Recorder, ignore, make_search, make_space

from atom_nas.errors import UserError
from atom_nas.pipeline.ending import ending


def test_failed_candidates_are_counted_and_the_first_is_explained(tmp_path):
    space, error = make_space(tmp_path), RuntimeError("boom")
    whole = make_search(tmp_path / "whole", space).run(3, ignore)
    assert ending(whole, 3, "toy", None) == ""
    failing = Recorder(stop=1, error=error)
    found = make_search(tmp_path / "failing", space, failing).run(3, ignore)
    said = "1 of 3 candidates failed, the first with RuntimeError: boom; candidates.csv says why."
    assert ending(found, 3, "toy", None) == said
    assert ending(found, 4, "toy", 0.5).startswith(f"{said} 3 of 4 trials are done, and 0.5 hours")
    with pytest.raises(UserError, match=r"none of 1 candidates of toy .* with another --out\."):
        ending(found[1:2], 1, "toy", None)
