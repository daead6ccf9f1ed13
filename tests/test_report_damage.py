"""The report of runs that are damaged, old, or end early."""

import re

import matplotlib.image
import pytest
from made_run import (
    FIGURES,
    Page,
    correlations,
    cost,
    edit_csv,
    edit_json,
    make_run,
    old_file,
    tables,
    write_proxy,
)

from atom_nas.report import write_report

pytestmark = pytest.mark.filterwarnings("error")


def three_candidates(run):
    for name in ("candidates", "audit", "truth"):
        edit_csv(run / f"{name}.csv", lambda rows: rows[:3])
    edit_json(run / "audit.json", n=3)


def constant_scores(run):
    for name, column in (("candidates", "proxy_accuracy"), ("audit", "atom_ipc50")):
        edit_csv(run / f"{name}.csv", lambda rows, c=column: [{**row, c: 0.5} for row in rows])


def constant_truth(run):
    edit_csv(run / "audit.csv", lambda rows: [{**row, "test_accuracy": 0.5} for row in rows])


def diverged_truth(run):
    for name in ("audit", "truth"):
        edit_csv(
            run / f"{name}.csv",
            lambda rows: [*({**row, "test_accuracy": "nan"} for row in rows[:3]), *rows[3:]],
        )


def no_audited_candidate(run):
    for name in ("audit", "truth"):
        edit_csv(
            run / f"{name}.csv", lambda rows: [{**row, "test_accuracy": "nan"} for row in rows]
        )
    edit_json(run / "audit.json", n=0, **dict.fromkeys(("spearman", "kendall", "top", "seconds")))


def nulls(run):
    nothing = {"value": None, "low": None, "high": None}
    empty = {
        "spearman": nothing,
        "kendall": nothing,
        "top": {"k": None, "overlap": None},
        "regret_points": None,
        "seconds": {"distill": None, "proxy_per_candidate": None, "full_per_candidate": None},
        "difference": nothing,
    }
    baselines = {
        "a": empty,
        "b": None,
        "c": {**empty, "spearman": {"value": 0.3, "low": None, "high": None}},
    }
    edit_json(run / "audit.json", **empty, baselines=baselines, verdict={"a": None}, sentences=[])
    edit_json(
        run / "audit.json",
        top_fraction={"fraction": 0.2, "n": 0, "spearman": nothing, "kendall": None},
        precision_at_10=None,
        rank_of_best=None,
        reliability={"seeds": 2, "between_seeds": None, "one_seed": None},
        ceiling={"all": None, "top": None},
        variants={"loss": nothing},
        decision=None,
        combined={"combined_ranks": {"over": "free_average", "uplift": nothing}},
        by_fraction=[
            {"fraction": share, "n": 5, "ceiling": None, "spearman": {"atom_ipc50": None}}
            for share in (0.5, 1.0)
        ],
        plan={"width": 0.2, "more_candidates": None, "seconds": None},
    )


def long_names(run):
    proxy, name = "a_very_long_proxy_name_" * 5, "|nor_conv_3x3~0|+" * 12
    edit_csv(
        run / "audit.csv",
        lambda rows: [
            {**row, "candidate": f"{name}{row['candidate']}", proxy: row["atom_ipc50"]}
            for row in rows
        ],
    )
    for table in ("candidates", "truth"):
        edit_csv(
            run / f"{table}.csv",
            lambda rows: [{**row, "candidate": f"{name}{row['candidate']}"} for row in rows],
        )
    rivals = {f"{'rival' * 9}_{index}": correlations(0.5, cost(1, 1)) for index in range(12)}
    edit_json(run / "audit.json", proxy=proxy, baselines=rivals)
    write_proxy(run, proxy, class_names=["a class " * 9, "b"])


def nothing_extra(run):
    """No failed trial, no export, no picture."""
    edit_csv(run / "candidates.csv", lambda rows: [row for row in rows if row["state"] != "FAIL"])
    (run / "export").rename(run / "elsewhere")
    for preview in (run / "proxies").rglob("preview.png"):
        preview.unlink()


def all_failed(run):
    failed = {"state": "FAIL", "proxy_accuracy": "", "num_params": "", "macs": "", "seconds": ""}
    edit_csv(run / "candidates.csv", lambda rows: [{**row, **failed} for row in rows])


def no_trial(run):
    text = (run / "candidates.csv").read_text(encoding="utf-8")
    (run / "candidates.csv").write_text(text.splitlines()[0] + "\n", encoding="utf-8")


def strange_letters(run):
    name = "$a$_\N{CJK UNIFIED IDEOGRAPH-56FE}\N{GRINNING FACE}"
    edit_csv(run / "audit.csv", lambda rows: [{**row, name: row["atom_ipc50"]} for row in rows])
    edit_json(run / "audit.json", proxy=name)
    write_proxy(run, name, class_names=[name, "$"])


@pytest.mark.parametrize(
    "damage",
    [
        three_candidates,
        constant_scores,
        constant_truth,
        diverged_truth,
        no_audited_candidate,
        nulls,
        long_names,
        nothing_extra,
        all_failed,
        no_trial,
        strange_letters,
        old_file,
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
        nulls: {"correlation_vs_fraction"},
        old_file: {"correlation_vs_fraction"},
        no_trial: {"search_history"},
    }
    assert drawn == set(FIGURES) - missing.get(damage, set())
    for name in drawn:
        picture = matplotlib.image.imread(run / "figures" / f"{name}.png")
        assert max(picture.shape) < 2000, name
