"""importances.json, from the study to the figure."""

import pytest
from made_run import edit_json, make_run
from made_search import ignore, make_search, make_space, score

from atom_nas.report import write_report
from atom_nas.report.importance import param_importances
from atom_nas.report.results import read_results
from atom_nas.search.importances import write_importances
from atom_nas.search.journal import Journal
from atom_nas.storage.files import read_json

pytestmark = pytest.mark.usefixtures("quiet")


def importances(folder, trials, evaluate=score, **changes):
    """What is written of a search of so many candidates."""
    search = make_search(folder / "search", make_space(folder, depth=8), evaluate, **changes)
    search.run(trials, ignore)
    write_importances(folder / "importances.json", search.trials)
    return read_json(folder / "importances.json")


def by_depth(architecture, seed):
    return float(architecture.depth), 0.5, 0.1


def test_the_parameter_that_decides_the_score_comes_first(tmp_path):
    found = importances(tmp_path, 24, by_depth, num_uniform=24)
    assert found["trials"] == 24 and not found["reason"]
    assert set(found["shares"]) == {"width", "depth", "act"}
    assert next(iter(found["shares"])) == "depth"
    assert found["shares"]["depth"] > 0.8
    assert 0.8 < sum(found["shares"].values()) <= 1.001


def test_the_same_study_gives_the_same_shares(tmp_path):
    found = importances(tmp_path, 12)
    write_importances(tmp_path / "again.json", Journal(tmp_path / "search" / "study.journal"))
    assert read_json(tmp_path / "again.json") == found


@pytest.mark.parametrize(
    ("trials", "evaluate", "reason"),
    [
        (9, score, "9 candidates were scored, at least 10 are needed"),
        (12, lambda architecture, seed: (1.0, 0.5, 0.1), "all 12 candidates have one score"),
    ],
)
def test_without_enough_to_go_by_there_is_a_reason(tmp_path, trials, evaluate, reason):
    found = importances(tmp_path, trials, evaluate)
    assert (found["shares"], found["reason"]) == ({}, reason)


def test_the_figure_shows_the_shares_and_without_them_the_page_says_why(tmp_path):
    run = make_run(tmp_path)
    axes = param_importances(read_results(run)).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([61, 17])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["width", "pool_ing"]
    edit_json(run / "importances.json", shares={}, reason="9 candidates were scored")
    page = write_report(run).read_text(encoding="utf-8")
    said = "What the score depends on is not known: 9 candidates were scored."
    assert said in page and said in (run / "report.md").read_text(encoding="utf-8")
    assert not (run / "figures" / "param_importances.png").exists()
    (run / "importances.json").unlink()
    assert "depends on is not known" not in write_report(run).read_text(encoding="utf-8")
