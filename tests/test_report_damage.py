"""The report of runs that are damaged, old, or end early."""

import re
from dataclasses import replace

import matplotlib.image
import pytest
from made_run import (
    AUDIT,
    FIGURES,
    NAMES,
    OF_A_SEARCH,
    Page,
    compared,
    edit_audit,
    edit_csv,
    figures,
    make_run,
    only_searched,
    rival,
    tables,
    write_proxy,
)

from atom_nas.errors import UserError
from atom_nas.report import write_report
from atom_nas.report.results import read_results


def three_candidates(run):
    for name in ("candidates", "truth"):
        edit_csv(run / f"{name}.csv", lambda rows: rows[:3])
    proxy = replace(AUDIT.proxy, scores=AUDIT.proxy.scores[:3])
    edit_audit(run, candidates=AUDIT.candidates[:3], truth=AUDIT.truth[:3], proxy=proxy)


def constant_columns(rows):
    return [{**row, "objective": 0.5, "proxy_accuracy": 0.5} for row in rows]


def constant_scores(run):
    edit_csv(run / "candidates.csv", constant_columns)
    edit_audit(run, proxy=replace(AUDIT.proxy, scores=(0.5,) * AUDIT.n))


def constant_truth(run):
    edit_audit(run, truth=(0.5,) * AUDIT.n)


def diverged(run):
    """Every full training, and every training on the proxy."""
    nothing = {"validation_accuracy": "nan", "test_accuracy": "nan"}
    edit_csv(run / "truth.csv", lambda rows: [{**row, **nothing} for row in rows])
    none = (None,) * AUDIT.n
    edit_audit(run, truth=none, proxy=replace(AUDIT.proxy, scores=none))


def nothing_known(run):
    """No ceiling, no test split, no cost, no second seed, no region."""
    nothing = replace(AUDIT.ceiling, value=None, agreement=None, reason="it needs more")
    free = {"cost": 0.0, "seconds": 0.0, "spearman_test": None}
    edit_audit(
        run,
        test=None,
        full_macs=0.0,
        full_seconds=0.0,
        proxy=replace(AUDIT.proxy, **free),
        rivals=(),
        combined=(),
        regions=(),
        ceiling=nothing,
        ceiling_top=nothing,
        variants={},
        seeds=None,
        sentences=(),
    )


def long_names(run):
    proxy, name = "a_very_long_proxy_name_" * 5, "|nor_conv_3x3~0|+" * 12
    for table in ("candidates", "truth"):
        edit_csv(
            run / f"{table}.csv",
            lambda rows: [{**row, "candidate": f"{name}{row['candidate']}"} for row in rows],
        )
    rivals = (
        rival(figures(f"{'rival' * 9}_{index}", "zero_cost", 0.5, each=1), compared(0, -1, 1))
        for index in range(12)
    )
    edit_audit(
        run,
        candidates=tuple(f"{name}{each}" for each in AUDIT.candidates),
        proxy=replace(AUDIT.proxy, name=proxy),
        rivals=tuple(rivals),
        regions=tuple(
            replace(row, spearman=dict.fromkeys([proxy, "combined_ranks"], 0.5))
            for row in AUDIT.regions
        ),
    )
    write_proxy(run, proxy, class_names=["a class " * 9, "b"])


def nothing_extra(run):
    """No failed trial, no export, no picture."""
    edit_csv(run / "candidates.csv", lambda rows: [row for row in rows if row["state"] != "FAIL"])
    (run / "export").rename(run / "elsewhere")
    for preview in (run / "proxies").rglob("preview.png"):
        preview.unlink()


def all_failed(run):
    failed = {
        "state": "FAIL",
        "objective": "",
        "proxy_accuracy": "",
        "num_params": "",
        "macs": "",
        "seconds": "",
    }
    edit_csv(run / "candidates.csv", lambda rows: [{**row, **failed} for row in rows])


def no_trial(run):
    text = (run / "candidates.csv").read_text(encoding="utf-8")
    (run / "candidates.csv").write_text(text.splitlines()[0] + "\n", encoding="utf-8")


def strange_letters(run):
    name = "$a$_\N{CJK UNIFIED IDEOGRAPH-56FE}\N{GRINNING FACE}"
    regions = (replace(row, spearman={**row.spearman, name: 0.5}) for row in AUDIT.regions)
    edit_audit(run, proxy=replace(AUDIT.proxy, name=name), regions=tuple(regions))
    write_proxy(run, name, class_names=[name, "$"])


@pytest.mark.parametrize(
    "damage",
    [
        three_candidates,
        constant_scores,
        constant_truth,
        diverged,
        nothing_known,
        long_names,
        nothing_extra,
        all_failed,
        no_trial,
        strange_letters,
        only_searched,
    ],
)
def test_nothing_breaks_with(tmp_path, damage):
    run = make_run(tmp_path)
    damage(run)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert tables((run / "report.md").read_text(encoding="utf-8"))
    assert not any(re.search(r"\b(nan|None)\b", text) for text in page.text)
    drawn = {path.stem for path in (run / "figures").glob("*.png")}
    missing = {
        nothing_extra: {"proxy_images"},
        nothing_known: {"correlation_vs_fraction"},
        only_searched: set(FIGURES) - set(OF_A_SEARCH),
        no_trial: {"search_history", "pareto_front"},
        all_failed: {"pareto_front"},
    }
    assert drawn == set(FIGURES) - missing.get(damage, set())
    for name in drawn:
        picture = matplotlib.image.imread(run / "figures" / f"{name}.png")
        assert max(picture.shape) < 2000, name


@pytest.mark.parametrize("name", ["settings.json", "options.json", "audit.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_a_file_that_is_no_object_is_one_line_that_names_it(tmp_path, name, content):
    run = make_run(tmp_path)
    (run / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as error:
        write_report(run)
    assert "\n" not in str(error.value)


def test_trainings_of_an_excerpt_are_no_points_beside_a_table(tmp_path):
    run = make_run(tmp_path)
    exported = {NAMES[12], NAMES[13]}
    assert {*read_results(run).others.names} == exported
    edit_csv(run / "truth.csv", lambda rows: [r for r in rows if r["candidate"] in exported])
    results = read_results(run)
    assert not results.others.names and not results.is_truth_made_here
    text = Page((write_report(run)).read_text(encoding="utf-8")).text
    assert any("after training on the 1,500 images of some" in each for each in text)
