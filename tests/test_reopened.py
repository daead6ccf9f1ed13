"""What a later command finds in a run folder: the options of its search, and the exports of now."""

import json

import pytest
from made_toy import architecture, make_space
from tiny_run import rows_of, run_args, save_data, save_space

from atom_nas.audit.truth_table import TruthTable
from atom_nas.cli import main
from atom_nas.scoring.trainer import Trainer
from atom_nas.storage.files import read_json


@pytest.fixture
def args(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("atom_nas.export.folder.FORMATS", {})
    return run_args(save_data(tmp_path), save_space(tmp_path), tmp_path / "out")


def exported(folder):
    return sorted(path.name for path in (folder / "export").iterdir())


def test_exports_that_are_no_longer_among_the_best_have_no_rank(args, tmp_path):
    main([*args, "--top-k", "4"])
    before = exported(tmp_path / "out")
    assert [name[:2] for name in before] == ["1-", "2-", "3-", "4-"]
    main([*args, "--top-k", "1"])
    now = exported(tmp_path / "out")
    assert len(now) == 2 and now[1] == "earlier"
    names = {name.partition("-")[2] for name in before}
    kept = {path.name for path in (tmp_path / "out" / "export" / "earlier").iterdir()}
    assert kept | {now[0].partition("-")[2]} == names and len(kept) == 3
    main([*args, "--top-k", "4"])
    assert exported(tmp_path / "out")[:4] == before


def card_line(folder):
    (export,) = (folder / "export").glob("1-*")
    (line,) = (line for line in (export / "README.md").read_text().splitlines() if "Chosen" in line)
    return export, line


def test_a_model_card_says_how_well_the_proxy_ranks_once_that_is_known(args, tmp_path, capsys):
    folder = tmp_path / "out"
    main(["search", *args[1:]])
    main(["export", "--out", str(folder)])
    export, line = card_line(folder)
    assert "how well it ranks nets is not known" in line
    main(args)
    found = read_json(folder / "audit.json")
    spearman, n = found["proxy"]["spearman"], len(found["candidates"])
    metrics = json.loads((export / "metrics.json").read_bytes())
    assert metrics["proxy_spearman"] == {**spearman, "n": n}
    assert metrics["images"] == {"train": 108, "validation": 27, "test": 45}
    assert f"atom_ipc2, a small stand-in for toy, which ranks {n} nets" in card_line(folder)[1]
    (folder / "audit.json").write_bytes(b"torn")
    capsys.readouterr()
    main(["export", "--out", str(folder)])
    assert "what an audit says of atom_ipc2 has no part in the exports" in capsys.readouterr().err
    assert "how well it ranks nets is not known" in card_line(folder)[1]


def test_a_net_retrained_beside_the_exports_is_none_of_the_best(args, tmp_path):
    main(args)
    (name,) = exported(tmp_path / "out")
    source, epochs = tmp_path / "out" / "export" / name, ["--epochs", "1", "--device", "cpu"]
    beside = ["--out", f"{source}-toy"]
    main(["retrain", str(source), *after(args, "--dataset"), *epochs, *beside])
    page = (tmp_path / "out" / "report.md").read_text()
    main(args)
    assert exported(tmp_path / "out") == [name, f"{name}-toy"]
    assert (tmp_path / "out" / "report.md").read_text() == page


def test_a_later_command_has_the_options_of_the_search_wherever_the_folder_is_named(args, tmp_path):
    at = args.index("--out")
    unnamed = [*args[:at], *args[at + 2 :]]
    main(["search", *unnamed[1:], "--objective", "loss", "--trials", "5"])
    (folder,) = (tmp_path / "runs").iterdir()
    rows = rows_of(folder / "candidates.csv")
    same = [part for flag in ("--dataset", "--space", "--proxy") for part in after(args, flag)]
    main(["export", *same, "--device", "cpu"])
    assert read_json(folder / "options.json")["objective"] == "loss"
    assert rows_of(folder / "candidates.csv") == rows
    main(["audit", *unnamed[1:], "--objective", "accuracy"])
    assert read_json(folder / "options.json")["objective"] == "loss"


def after(args, flag):
    at = args.index(flag)
    return args[at : at + 2]


def test_a_model_of_too_few_candidates_is_refused_before_any_is_trained(args, capsys, monkeypatch):
    monkeypatch.setattr(Trainer, "_train_here", lambda *_: pytest.fail("trained"))
    with pytest.raises(SystemExit):
        main([*args, "--objective", "combined"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "4 audited candidates are too few to fit a model of; give --audit-size 10" in line


def test_nothing_within_the_limits_is_one_line(args, capsys, monkeypatch):
    monkeypatch.setattr("atom_nas.scoring.space.MAX_IDLE_DRAWS", 20)
    with pytest.raises(SystemExit):
        main(["audit", *args[1:], "--max-macs", "1"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "no candidate of six was drawn within the limits" in line


def test_a_training_that_was_made_again_counts_once_in_a_table(tmp_path):
    space = make_space(tmp_path)
    rows = "linear,0,0.5\nlinear,1,0.6\nlinear,0,0.7\n"
    (tmp_path / "mine.csv").write_text(f"candidate,seed,validation_accuracy\n{rows}")
    table = TruthTable.open(str(tmp_path / "mine.csv"), space, "any")
    assert table.measure(architecture(space)).validation == (0.6, 0.7)
