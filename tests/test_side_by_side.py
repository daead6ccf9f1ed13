"""Runs side by side."""

import json
import shutil
from dataclasses import replace

import pytest
from made_data import one_line
from made_run import AUDIT, make_run
from markupsafe import escape

from atom_nas.audit.record import Audit
from atom_nas.cli import main
from atom_nas.errors import UserError
from atom_nas.report import write_comparison
from atom_nas.report.side_by_side import NOT_PAIRED, columns
from atom_nas.storage.files import write_json

GAP = "Spearman minus that of the first run"


@pytest.fixture
def runs(tmp_path):
    """Two runs on one truth, the second with the scores of the first turned round."""
    first = make_run(tmp_path / "first")
    second = shutil.copytree(first, tmp_path / "deeper" / "second")
    turned = replace(AUDIT.proxy, scores=AUDIT.proxy.scores[::-1])
    write_json(second / "audit.json", json.loads(replace(AUDIT, proxy=turned).to_json()))
    return [first, second]


def test_a_column_a_run_with_its_answers_and_figures(runs, tmp_path):
    first, second = columns(runs, tmp_path)
    assert (first.name, second.name) == ("first", "deeper/second")
    assert (first.page, second.page) == ("first/report.html", "deeper/second/report.html")
    assert first.figures["Candidates audited"] == str(AUDIT.n)
    assert [len(each.answers) for each in (first, second)] == [4, 4]
    page = write_comparison(runs, tmp_path).read_text()
    for column in (first, second):
        for answer in column.answers:
            assert escape(answer.question) in page and escape(answer.answer) in page
    assert 'href="deeper/second/report.html"' in page


def test_proxies_with_one_truth_are_compared_in_pairs(runs, tmp_path):
    first, second = columns(runs, tmp_path)
    assert first.figures[GAP] == "the first run"
    there = second.figures[GAP]
    back = columns(runs[::-1], tmp_path)[1].figures[GAP]
    assert there.endswith("undecided") and back.endswith("undecided")  # n is below 30
    ahead, behind = (
        float(text.split()[0].replace("\N{MINUS SIGN}", "-")) for text in (back, there)
    )
    assert ahead == -behind != 0


def test_another_truth_is_not_compared_in_pairs(runs, tmp_path):
    others = tuple(f"other-{name}" for name in AUDIT.candidates)
    write_json(runs[1] / "audit.json", json.loads(replace(AUDIT, candidates=others).to_json()))
    assert columns(runs, tmp_path)[1].figures[GAP] == NOT_PAIRED


@pytest.mark.parametrize("failed", ["proxy", "truth"])
def test_a_candidate_that_failed_counts_as_the_worst(runs, tmp_path, failed):
    for run in runs:
        audit = Audit.from_json((run / "audit.json").read_text())
        scores = replace(audit.proxy, scores=(None, *audit.proxy.scores[1:]))
        change = {"proxy": scores} if failed == "proxy" else {"truth": (None, *audit.truth[1:])}
        write_json(run / "audit.json", json.loads(replace(audit, **change).to_json()))
    assert columns(runs, tmp_path)[1].figures[GAP].endswith("undecided")


def test_a_run_without_an_audit_says_so(runs, tmp_path):
    (runs[0] / "audit.json").unlink()
    page = write_comparison(runs, tmp_path).read_text()
    assert "not audited" in page and NOT_PAIRED not in page


def test_the_command_writes_it_where_the_runs_lie_or_to_out(runs, tmp_path, capsys):
    main(["report", "--compare", *map(str, runs)])
    assert capsys.readouterr().out == f"comparison: {tmp_path / 'comparison.html'}\n"
    main(["report", "--compare", *map(str, runs), "--out", str(tmp_path / "there")])
    assert (tmp_path / "there" / "comparison.html").exists()


@pytest.mark.parametrize("kept", [0, 1])
def test_one_run_or_a_folder_of_none_is_one_line(runs, tmp_path, kept):
    given = [runs[0], tmp_path / "none"][: kept + 1]
    with pytest.raises(UserError) as caught:
        columns(given, tmp_path)
    one_line(caught, "--compare", *given[kept:] if kept else ["two or more"])
