"""The audit from the command line: truth from a table, sizes that grow, the combined objective."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_run import error_of, rows_of

from atom_nas.audit.figures import audit_scores
from atom_nas.audit.record import Audit
from atom_nas.cli import main
from atom_nas.scoring.trainer import Trainer

SPACE = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int

def sample(trial):
    return Architecture(width=trial.suggest_int("width", 1, 60))

def build(architecture, image_shape, num_classes, *, twice=1):
    return nn.Sequential(
        nn.Conv2d(1, twice * architecture.width, 4, stride=4), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * twice * architecture.width, num_classes),
    )
"""


@pytest.fixture
def args(tmp_path):
    """Return what makes the command line of a table in which wider is better."""
    (tmp_path / "widths.py").write_text(SPACE)
    rows = [f"{width},{width / 100}\n" for width in range(1, 61)]
    (tmp_path / "wider.csv").write_text("candidate,validation_accuracy\n" + "".join(rows))
    common = {
        "dataset": "digits",
        "space": tmp_path / "widths.py",
        "truth": tmp_path / "wider.csv",
        "proxy": "random_ipc5",
        "proxy-epochs": 2,
        "out": tmp_path / "run",
        "device": "cpu",
    }

    def make(command, **more):
        options = {**common, **{key.replace("_", "-"): value for key, value in more.items()}}
        pairs = [[f"--{key}", str(value)] for key, value in options.items()]
        return [command, *(part for pair in pairs for part in pair)]

    return make


def audit_of(run):
    return Audit.from_json((run / "audit.json").read_text())


def test_a_table_needs_no_search_and_no_full_data_training(tmp_path, args, capsys):
    main(args("audit", n=12))
    audit = audit_of(tmp_path / "run")
    assert audit.n == 12
    sizes = next(each for each in audit.estimators if each.name == "num_params")
    assert sizes.spearman.value == 1
    assert not (tmp_path / "run" / "truth.csv").exists()
    assert not (tmp_path / "run" / "study.journal").exists()
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert "cost_vs_correlation" in figures and "search_history" not in figures
    assert "12 candidates classify at chance on random_ipc5" in capsys.readouterr().out


def test_more_candidates_and_seeds_of_a_table_keep_those_there(tmp_path, args):
    main(args("audit", n=4))
    first = rows_of(tmp_path / "run" / "scores.csv")
    main(args("audit", n=6))
    rows = rows_of(tmp_path / "run" / "scores.csv")
    assert rows[: len(first)] == first
    assert len(rows) == 6


def test_the_sample_grows_until_the_interval_is_narrow(tmp_path, args, monkeypatch):
    seen = []

    def judge(self, sample):
        seen.append(len(sample))
        half = 1 / len(sample)
        rho = SimpleNamespace(value=0.0, low=-half, high=half)
        return SimpleNamespace(proxy=SimpleNamespace(spearman=rho), sentences=[])

    monkeypatch.setattr("atom_nas.audit.auditor.Auditor.audit", judge)
    monkeypatch.setattr("atom_nas.pipeline.stages.Pipeline.report", lambda self: None)
    main(args("audit", n=10, until_width=0.07))
    assert seen == [10, 20, 30]
    seen.clear()
    main(args("audit", n=45, until_width=0.01))
    assert seen == [45, 55, 60]  # the space has 60


def test_the_combined_objective_is_fitted_on_the_audit_and_finds_the_widest(tmp_path, args):
    main(args("search", n=20, trials=12, objective="combined"))
    candidates = rows_of(tmp_path / "run" / "candidates.csv")
    picked = [int(row["width"]) for row in candidates if row["uniform"] == "0"]
    assert max(picked) > 45
    assert all(0 <= float(row["proxy_accuracy"]) <= 1 for row in candidates)
    main(args("audit", n=20, trials=12, objective="combined"))
    audit = audit_of(tmp_path / "run")
    assert audit.combined[1].figures.spearman.value > 0.9
    audited = {row["candidate"] for row in rows_of(tmp_path / "run" / "audit.csv")}
    assert not {row["candidate"] for row in candidates} <= audited


@pytest.mark.parametrize("more", [{"objective": "combined"}, {"proxy": "auto"}])
def test_rows_that_a_table_lacks_are_named_before_anything_is_trained(
    tmp_path, args, capsys, monkeypatch, more
):
    lines = (tmp_path / "wider.csv").read_text().splitlines(keepends=True)
    (tmp_path / "wider.csv").write_text("".join(lines[:40]))
    monkeypatch.setattr(Trainer, "_train_here", lambda *_: pytest.fail("trained"))
    with pytest.raises(SystemExit):
        main(args("search", n=20, trials=12, **more))
    line = capsys.readouterr().err.splitlines()[-1]
    assert "wider.csv has no row of" in line and "of the audit" in line


def test_search_and_audit_go_by_the_same_measure(tmp_path, args):
    for command in ("search", "audit"):
        main(args(command, n=8, trials=10, objective="final_training_loss"))
    audit = audit_of(tmp_path / "run")
    assert audit.measure == "final_training_loss"
    assert audit.variants.keys() == {
        *("accuracy", "accuracy_times_likelihood", "loss", "training_loss")
    }
    last = {
        row["candidate"]: -float(row["curve"].split()[-1])
        for row in rows_of(tmp_path / "run" / "scores.csv")
        if row["proxy"] == "random_ipc5"
    }
    for row in rows_of(tmp_path / "run" / "audit.csv"):
        assert float(row["random_ipc5"]) == pytest.approx(last[row["candidate"]])
    candidates = rows_of(tmp_path / "run" / "candidates.csv")
    assert len({row["candidate"] for row in candidates} & last.keys()) == 10


def test_what_is_run_next_is_proposed_by_what_the_search_goes_by(args, monkeypatch):
    seen = []

    def judge(*scores, objective, **more):
        seen.append(objective)
        return audit_scores(*scores, objective=objective, **more)

    monkeypatch.setattr("atom_nas.audit.auditor.audit_scores", judge)
    monkeypatch.setattr("atom_nas.pipeline.stages.Pipeline.report", lambda self: None)
    main(args("audit", n=3, objective="combined"))
    assert seen == ["combined"]


def test_shrunk_nets_are_for_the_proxy_alone(tmp_path, args):
    """They are twice as wide here: all of it but the biases, which are not counted."""
    main(args("audit", n=3, shrink="twice=2"))
    shrunk, cost = rows_of(tmp_path / "run" / "free.csv"), audit_of(tmp_path / "run").proxy
    main(args("audit", n=3, out=tmp_path / "other"))
    values = [
        [row["value"] for row in rows if row["score"] == "num_params"]
        for rows in (shrunk, rows_of(tmp_path / "other" / "free.csv"))
    ]
    assert values[0] == values[1]
    whole = audit_of(tmp_path / "other").proxy
    assert cost.macs_per_candidate == 2 * whole.macs_per_candidate > 0


def with_worth(args, **more):
    return [*args("audit", n=6, proxy_seeds=2, **more), "--worth"]


@pytest.mark.usefixtures("few_resamples")
def test_the_worth_is_measured_on_request_and_changes_no_decision(
    tmp_path, args, capsys, monkeypatch
):
    monkeypatch.setattr("atom_nas.pipeline.stages.Pipeline.report", lambda self: None)
    main(args("audit", n=6, proxy_seeds=2))
    run = tmp_path / "run"
    plain, first = audit_of(run), rows_of(run / "scores.csv")
    assert plain.worth is None
    main(with_worth(args))
    audit, rows = audit_of(run), rows_of(run / "scores.csv")
    assert [each.images for each in audit.worth.curve] == [2, 5, 10, 20, 50, 100]
    assert {each.draws for each in audit.worth.curve} == {audit.worth.draws} == {2}
    assert [each.candidates for each in audit.worth.costs] == [40, 720, 15625]
    assert audit.worth.curve[1].spearman == audit.worth.spearman  # the proxy is random_ipc5
    assert rows[: len(first)] == first and len(rows) == 6 * 2 * 6  # none trained twice
    assert audit.rivals == plain.rivals and audit.decision == plain.decision
    assert audit.sentences == (*plain.sentences, audit.worth.sentence)
    assert audit.worth.sentence in capsys.readouterr().out


def test_the_worth_needs_five_images_of_every_class(tmp_path, args, capsys):
    labels = np.repeat([0, 1], 6)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "few.npz", train_images=pixels, train_labels=labels)
    error = error_of(capsys, with_worth(args, dataset=tmp_path / "few.npz", proxy="random_ipc2"))
    assert "--worth draws 2, 5 and more training images of every class" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shrink": "thrice=2"}, "unknown setting of the space widths 'thrice'"),
        ({"shrink": "twice=x"}, "give a whole number"),
        ({"against": "fre"}, "Did you mean 'free'"),
        ({"truth": "none.csv"}, "cannot be read"),
        ({"truth": "nas_bench_201"}, "give --space nas_bench_201"),
        ({"objective": "los"}, "Did you mean 'loss'"),
        ({"until_width": 3}, "from 0.01 to 2"),
        ({"proxy_seeds": 0}, "--proxy-seeds is 0"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path, args, capsys, wrong, message):
    with pytest.raises(SystemExit) as caught:
        main(args("audit", **wrong))
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_search_alone_can_be_reported(tmp_path, args, capsys):
    main(args("search", trials=3))
    said = capsys.readouterr().out
    assert "the best of 3 by accuracy_times_likelihood, and how many validation images each" in said
    assert re.search(r"^\d+\.\d%: ", said, re.MULTILINE)
    main(["report", "--out", str(tmp_path / "run")])
    for name in ("report.html", "report.md"):
        page = (tmp_path / "run" / name).read_text(encoding="utf-8")
        assert "no audit was made" in page
        assert "audit.json" not in page
