"""--proxy auto: what it takes by a planted answer, that it is kept, and what it is not for."""

import json

import pytest
from made_run import edit_json, make_run, only_searched
from test_audit_command import args as args  # a table in which wider is better
from test_audit_command import audit_of
from tiny_run import error_of, rows_of

from atom_nas.cli import main
from atom_nas.pipeline import run
from atom_nas.report.results import read_results
from atom_nas.scoring.objective import DEFAULT_MEASURE
from atom_nas.scoring.trainer import Trained, Trainer
from atom_nas.storage.files import read_json, write_json
from atom_nas.training.fit import Outcome

pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.fixture
def planted(monkeypatch):
    """Let random images rank as the truth does, and condensed ones as their noise."""

    def train(self, job):
        width, is_random = job.architecture.width, "random" in found[job.train.digest]
        accuracy = 0.3 + 0.01 * (width if is_random else 37 * width % 61)
        return Trained(outcomes=(Outcome(accuracy=accuracy, loss=1.0, seconds=1.0, curve=(1.0,)),))

    found = {}

    def condense(job, folder, device):
        proxy = original(job, folder, device)
        found[proxy.images.digest] = proxy.name
        return proxy

    original = run.condense
    monkeypatch.setattr(run, "condense", condense)
    monkeypatch.setattr(Trainer, "_train_here", train)
    monkeypatch.setattr("atom_nas.pipeline.stages.Pipeline.report", lambda self: None)


@pytest.fixture
def auto(args):
    """Return what makes the command line of a run that chooses its proxy."""

    def make(command, **more):
        options = {"proxy": "auto", "trials": 8, "n": 20, "workers": 1, "steps": 1, **more}
        return args(command, **options)

    return make


def test_the_best_buy_is_taken_said_and_kept(tmp_path, auto, planted, capsys, monkeypatch):
    main(auto("search"))
    said = capsys.readouterr()
    line = "--proxy auto takes --proxy random_ipc50 --objective "
    assert line in said.out + said.err
    assert "random_ipc50 ranks better than atom_ipc50" in said.out + said.err
    folder = tmp_path / "run"
    choice = read_json(folder / "auto.json")["choice"]
    assert choice["proxy"] == "random_ipc50" and len(choice["candidates"]) == 30
    assert read_json(folder / "options.json")["proxy"] == "auto"
    start = json.loads((folder / "auto" / "audit.json").read_text())
    assert start["proxy"]["name"] == "atom_ipc50" and len(start["candidates"]) == 30
    rows = rows_of(folder / "candidates.csv")
    monkeypatch.setattr(Trainer, "_train_here", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("atom_nas.audit.figures.propose", lambda *_, **__: pytest.fail("again"))
    main(auto("search"))
    main(["search", "--out", str(folder), *auto("search")[1:]])
    assert rows_of(folder / "candidates.csv") == rows
    capsys.readouterr()
    line = error_of(capsys, auto("search", proxy="random_ipc50"))
    assert "proxy auto (now random_ipc50)" in line


def test_the_audit_is_of_others_and_says_where_there_are_too_few(tmp_path, auto, planted):
    main(auto("audit"))
    folder = tmp_path / "run"
    start = set(json.loads((folder / "auto" / "audit.json").read_text())["candidates"])
    audit = audit_of(folder)
    assert audit.proxy.name == "random_ipc50" and audit.n == 20
    assert not start & set(audit.candidates) and "auto" not in audit.sentences[1]
    main(auto("audit", n=40))  # the space has 60
    audit = audit_of(folder)
    assert len(start & set(audit.candidates)) == 10
    said = "10 of these 40 candidates are among the 30 by which --proxy auto chose random_ipc50"
    assert audit.sentences[1].startswith(said)


def test_an_objective_that_is_given_stays_and_a_model_is_fitted_on_the_start(
    tmp_path, auto, planted, capsys
):
    main(auto("search", objective="accuracy"))
    assert "but --objective accuracy was given, and stays" in capsys.readouterr().out
    assert read_json(tmp_path / "run" / "options.json")["objective"] == "accuracy"
    main(auto("search", objective="combined"))
    truths = rows_of(tmp_path / "run" / "scores.csv")
    assert len({row["candidate"] for row in truths if row["proxy"] == "random_ipc50"}) <= 30 + 8


def test_an_objective_that_was_given_once_is_no_choice_of_the_audit(
    tmp_path, auto, monkeypatch, capsys
):
    monkeypatch.setattr("atom_nas.audit.figures.propose", lambda *_, **__: None)
    monkeypatch.setattr("atom_nas.pipeline.stages.Pipeline.report", lambda self: None)
    main(auto("search", objective="accuracy"))
    assert "takes --proxy atom_ipc50 --objective accuracy, by 30" in capsys.readouterr().out
    main(auto("search"))
    assert f"takes --proxy atom_ipc50 --objective {DEFAULT_MEASURE}" in capsys.readouterr().out


def test_a_distillation_has_nothing_to_choose_by(capsys):
    assert "proxy 'auto' is not <method>_ipc" in error_of(capsys, ["distill", "--proxy", "auto"])


def test_a_report_names_what_was_taken_before_there_is_an_audit(tmp_path):
    made = make_run(tmp_path / "made")
    only_searched(made)
    edit_json(made / "settings.json", proxy="auto")
    assert read_results(made).proxy == "auto"
    write_json(made / "auto.json", {"choice": {"proxy": "random_ipc50"}})
    assert read_results(made).proxy == "random_ipc50"
