"""A whole tiny run by the command line: its files, and what a later call does with them."""

import re
import shutil

import numpy as np
import pytest
import torch
from tiny_run import error_of, rows_of, run_args, save_data, save_space

from atom_nas.audit.record import Audit
from atom_nas.audit.trained_truth import COLUMNS
from atom_nas.cli import main
from atom_nas.data.sources import open_dataset


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run: (its folder, its arguments)."""
    folder = tmp_path_factory.mktemp("run")
    args = run_args(save_data(folder), save_space(folder), folder / "out")
    main(args)
    return folder / "out", args


def test_a_run_makes_every_file_of_the_interface(finished):
    out, _ = finished
    files = {"candidates.csv", "truth.csv", "audit.json", "report.html", "report.md"}
    assert files <= {path.name for path in out.iterdir()}
    for suffix in ("png", "svg"):
        assert len(list(out.rglob(f"*.{suffix}"))) >= 4
    (export,) = (out / "export").iterdir()
    assert {"architecture.json"} <= {path.name for path in export.iterdir()}
    assert list(export.glob("*.safetensors"))
    assert list(export.glob("*.py"))
    assert list(export.glob("*.onnx"))
    assert not [path for path in out.rglob("*.partial")]


def test_candidates_of_a_run(finished):
    rows = rows_of(finished[0] / "candidates.csv")
    columns = ["candidate", "state", "width", "depth", "objective", "proxy_accuracy"]
    assert list(rows[0])[:9] == [*columns, "num_params", "macs", "seconds"]
    assert len({row["candidate"] for row in rows}) == len(rows) == 6
    for row in rows:
        assert row["candidate"] == f"{row['width']}-{row['depth']}"
        if row["width"] == "13":
            assert (row["state"], row["objective"], row["proxy_accuracy"]) == ("FAIL", "", "")
            assert row["reason"] == "ValueError: 13 is unlucky"
        else:
            assert row["state"] == "COMPLETE"
            assert 0 <= float(row["proxy_accuracy"]) <= 1
            assert int(row["num_params"]) > 0
            assert int(row["macs"]) > 0
            assert float(row["seconds"]) > 0


def test_truth_of_a_run(finished):
    rows = rows_of(finished[0] / "truth.csv")
    assert list(rows[0]) == [*COLUMNS, "checksum"]
    assert {row["candidate"] for row in rows} == {"4-1", "4-2", "8-1", "8-2"}
    assert len(rows) == 4
    for split in ("validation", "test"):
        assert all(0 <= float(row[f"{split}_accuracy"]) <= 1 for row in rows)


def test_audit_of_a_run(finished):
    audit = Audit.from_json((finished[0] / "audit.json").read_text())
    assert (audit.dataset, audit.space, audit.proxy.name) == ("toy", "six", "atom_ipc2")
    assert audit.n == 4
    rivals = {rival.figures.name for rival in audit.rivals}
    assert {"random_ipc2", "num_params", "free_average"} < rivals
    assert {rival.comparison.verdict for rival in audit.rivals} == {"undecided"}
    assert audit.decision == "undecided"
    assert audit.proxy.setup_macs > 0 and audit.proxy.setup_seconds > 0
    assert audit.proxy.macs_per_candidate > 0 and audit.proxy.seconds_per_candidate > 0
    assert audit.full_macs > audit.proxy.macs_per_candidate and audit.full_seconds > 0
    assert any("30 candidates" in sentence for sentence in audit.sentences)


def test_running_again_trains_nothing(finished, monkeypatch):
    out, args = finished
    kept = ["scores.csv", "truth.csv", "candidates.csv", "audit.csv"]
    before = {name: (out / name).read_bytes() for name in kept}
    times = {path: path.stat().st_mtime_ns for path in (out / "weights").iterdir()}
    for where in ("scoring.trainer.fit_in_parts", "distillation.condense.distill"):
        monkeypatch.setattr(f"atom_nas.{where}", lambda *_, **__: pytest.fail("trained again"))
    devices = []
    monkeypatch.setattr("atom_nas.training.memory.keep_freed_memory", devices.append)
    main(["audit", *args[1:]])
    assert devices == [torch.device("cpu")]
    assert {name: (out / name).read_bytes() for name in kept} == before
    assert {path: path.stat().st_mtime_ns for path in (out / "weights").iterdir()} == times


def test_a_run_ends_with_what_was_asked_and_says_each_sentence_once(finished, capsys):
    out, args = finished
    main(args)
    failed, *lines = capsys.readouterr().out.splitlines()
    said = "2 of 6 candidates failed, the first with ValueError: 13 is unlucky; candidates.csv"
    assert failed.startswith(said)
    (export,) = (out / "export").iterdir()
    assert re.match(
        r"Which architectures\? The best is [48]-[12], [\d.]+ % of test images", lines[0]
    )
    asked = ("What do they cost?", "How sure is the ranking?", "Was the proxy worth it?")
    assert all(line.startswith(each) for line, each in zip(lines[1:4], asked, strict=True))
    first, *others = Audit.from_json((out / "audit.json").read_text()).sentences
    assert lines[3].endswith(first)
    ends = [f"exported: {export}", f"report: {out / 'report.html'}"]
    assert lines[4:] == [*others, *ends]


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (["--seed", "1"], "seed 0 (now 1)"),
        (["--proxy", "dm_ipc2"], "proxy atom_ipc2 (now dm_ipc2)"),
        (["--max-macs", "99"], "max_macs not given (now 99)"),
        (["--full-epochs", "2"], "full_steps 2 (now 4)"),
        (["--proxy-epochs", "3"], "proxy_steps 1 (now 3)"),
        (["--sampler", "random"], "sampler tpe (now random)"),
        (["--space", "convnet"], "space six (now convnet)"),
    ],
)
def test_a_run_with_other_settings_is_refused(capsys, finished, change, culprit):
    out, args = finished
    before = {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))}
    line = error_of(capsys, [*args, *change])
    assert culprit in line
    assert f"{out} was made with" in line
    assert {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))} == before


@pytest.mark.parametrize("kind", ["proxy", "full"])
def test_a_length_that_was_given_is_not_one_left_open(finished, capsys, kind):
    out, args = finished
    at = args.index(f"--{kind}-epochs")
    line = error_of(capsys, [*args[:at], *args[at + 2 :]])
    assert f"{kind}_steps" in line and "(now not given)" in line and str(out) in line


def test_options_of_a_config_are_overridden_by_arguments(capsys, finished, tmp_path):
    _, args = finished
    (tmp_path / "c.toml").write_text('sampler = "random"\nseed = 5\n')
    line = error_of(capsys, [*args, "--config", tmp_path / "c.toml", "--seed", "0"])
    assert "sampler tpe (now random)" in line
    assert "seed" not in line.split("was made with")[1].split(";")[0]


def test_the_report_is_written_again_from_the_folder_alone(capsys, finished):
    out, _ = finished
    before = (out / "report.md").read_text()
    (out / "report.md").unlink()
    main(["report", "--out", str(out)])
    assert f"report: {out}" in capsys.readouterr().out
    assert (out / "report.md").read_text() == before


@pytest.mark.parametrize(
    ("change", "grown"),
    [
        (["--objective", "loss"], set()),
        (["--top-k", "2"], set()),
        (["--against", "coresets"], {"scores.csv"}),
        (["--audit-size", "3"], set()),
        (["--proxy-seeds", "2"], {"scores.csv"}),
        (["--truth-seeds", "2"], {"truth.csv"}),
    ],
)
def test_what_changes_no_training_may_change_in_a_folder(finished, change, grown, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(finished[0], folder)
    kept = {name: (folder / name).read_bytes() for name in ("scores.csv", "truth.csv")}
    main([*finished[1], *change, "--out", str(folder)])
    after = {name: (folder / name).read_bytes() for name in kept}
    assert all(after[name].startswith(before) for name, before in kept.items())
    assert {name for name in kept if after[name] != kept[name]} == grown


def test_another_objective_is_told_to_the_trials_at_no_cost(finished, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    shutil.copytree(finished[0], folder)
    monkeypatch.setattr(
        "atom_nas.scoring.trainer.fit_in_parts", lambda *_, **__: pytest.fail("trained")
    )
    main(["search", *finished[1][1:], "--objective", "loss", "--out", str(folder)])
    rows = rows_of(folder / "candidates.csv")
    losses = {
        row["candidate"]: row["loss"]
        for row in rows_of(folder / "scores.csv")
        if row["proxy"] == "atom_ipc2"
    }
    told = {row["candidate"]: row["objective"] for row in rows if row["state"] == "COMPLETE"}
    assert told == {name: f"-{losses[name]}" for name in told} and len(told) == 4


def test_exchanged_labels_of_the_test_split_change_no_choice(tmp_path):
    """Byte for byte; the model that is fitted on an audit has a test in test_auditor."""
    chosen = []
    for folder, shift in ((tmp_path / "as_it_is", 0), (tmp_path / "exchanged", 1)):
        folder.mkdir()
        with np.load(save_data(folder)) as arrays:
            images, labels = arrays["train_images"], arrays["train_labels"]
        apart = {"train": slice(0, None, 2), "test": slice(1, None, 2)}
        made = {f"{split}_images": images[part] for split, part in apart.items()}
        made |= {f"{split}_labels": labels[part] for split, part in apart.items()}
        made["test_labels"] = (made["test_labels"] + shift) % 3
        np.savez(folder / "toy.npz", **made)
        more = ["--top-k", "3", "--proxy-steps", "20"]
        args = run_args(folder / "toy.npz", save_space(folder), folder / "out")
        at = args.index("--proxy-epochs")
        main([*args[:at], *args[at + 2 :], *more])
        out = folder / "out"
        audit = Audit.from_json((out / "audit.json").read_text())
        truth = [row["test_accuracy"] for row in rows_of(out / "truth.csv")]
        varying = ("seconds", "checksum", "test_accuracy")
        rows = [
            {key: value for key, value in row.items() if key not in varying}
            for name in ("candidates.csv", "scores.csv", "truth.csv")
            for row in rows_of(out / name)
        ]
        exports = sorted(path.name for path in (out / "export").iterdir())
        chosen.append((rows, exports, audit.decision, audit.sentences, audit.proxy.spearman, truth))
    assert chosen[0][:-1] == chosen[1][:-1]
    assert chosen[0][-1] != chosen[1][-1]
    assert len(chosen[0][1]) == 3


def test_draws_of_a_proxy_are_none_of_another_seed_s(tmp_path):
    """Draw 1 of seed 0 is not draw 0 of seed 1."""
    data, space = save_data(tmp_path), save_space(tmp_path)
    seeds = []
    for seed, draws in (("0", "3"), ("1", "1")):
        args = run_args(data, space, tmp_path / seed, "--seed", seed, "--proxy-seeds", draws)
        main(["search", *args[1:], "--trials", "3"])
        seeds.append({row["proxy_seed"] for row in rows_of(tmp_path / seed / "scores.csv")})
    assert len(seeds[0]) == 3
    assert not seeds[0] & seeds[1]


def test_other_held_out_images_are_other_settings(finished, tmp_path, capsys):
    """With the same training images: scores depend on them too."""
    folder = tmp_path / "out"
    shutil.copytree(finished[0], folder)
    dataset = open_dataset(finished[1][2], tmp_path, seed=0)
    arrays = {}
    for name, split in (("train", dataset.train), ("val", dataset.test), ("test", dataset.test)):
        arrays[f"{name}_images"] = split.pixels[:, 0].numpy()
        arrays[f"{name}_labels"] = split.labels.numpy()
    np.savez(tmp_path / "toy.npz", **arrays)
    line = error_of(capsys, [*finished[1], "--dataset", tmp_path / "toy.npz", "--out", folder])
    assert "other validation images" in line and "other training images" not in line
