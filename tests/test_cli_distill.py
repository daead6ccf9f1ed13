"""The command distill: its artifact is made once, and by no other settings."""

import re
from dataclasses import replace

import pytest
import torch
from tiny_run import error_of, save_data

from atom_nas.cli import main
from atom_nas.data.sources import open_dataset
from atom_nas.defaults import condensation
from atom_nas.distillation.proxy import load_proxy
from atom_nas.distillation.taken_over import STORE, take_over
from atom_nas.options import Options


@pytest.fixture
def data(tmp_path):
    return save_data(tmp_path)


def distill_args(data, out, *more):
    args = ["distill", "--dataset", data, "--proxy", "atom_ipc2", "--steps", "2", "--out", out]
    return [str(arg) for arg in [*args, *more]]


def test_distill_makes_the_artifact_once(capsys, tmp_path, data, monkeypatch):
    out, devices = tmp_path / "proxy", []
    monkeypatch.setattr("atom_nas.training.memory.keep_freed_memory", devices.append)
    main(distill_args(data, out, "--device", "cpu"))
    assert devices == [torch.device("cpu")]
    said = rf"^atom_ipc2: 6 images, \d+ s, in {re.escape(str(out))}$"
    assert re.search(said, capsys.readouterr().out, re.MULTILINE)
    assert {"images.safetensors", "manifest.json", "preview.png"} <= {
        path.name for path in out.iterdir()
    }
    before = (out / "images.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(
        "atom_nas.distillation.condense.distill", lambda *_, **__: pytest.fail("again")
    )
    main(distill_args(data, out))
    assert (out / "images.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (["--seed", "1"], "seed"),
        (["--steps", "3"], "made with steps 2 (now 3)"),
        (["--adjust", "loss_scale=10"], "loss_scale 100.0 (now 10.0)"),
        (["--proxy", "dm_ipc2"], "method"),
        (["--proxy", "atom_ipc3"], "images_per_class"),
    ],
)
def test_distill_with_other_settings_leaves_the_artifact(capsys, tmp_path, data, change, culprit):
    out = tmp_path / "proxy"
    main(distill_args(data, out))
    capsys.readouterr()
    before = (out / "images.safetensors").read_bytes()
    line = error_of(capsys, distill_args(data, out, *change))
    assert str(out) in line
    assert culprit in line
    assert (out / "images.safetensors").read_bytes() == before


@pytest.mark.parametrize("option", [("--steps", "2"), ("--adjust", "width=8")])
def test_settings_of_a_distillation_are_refused_where_images_are_selected(
    capsys, tmp_path, data, option
):
    selected = ["distill", "--dataset", data, "--proxy", "random_ipc2", "--out", tmp_path / "out"]
    line = error_of(capsys, [*selected, *option])
    assert line == (
        f"error: {option[0]} changes nothing of random_ipc2, which selects real images; leave it "
        "out, or distil, as --proxy atom_ipc2 does."
    )
    assert not (tmp_path / "out").exists()


def test_a_run_takes_what_distill_left_beside_it(capsys, tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    about = ["--dataset", str(data), "--proxy", "atom_ipc2", "--steps", "2", "--device", "cpu"]
    main(["distill", *about])
    (left,) = (tmp_path / "proxies").iterdir()
    job = condensation(
        Options(dataset=str(data), proxy="atom_ipc2", steps=2),
        open_dataset(str(data), tmp_path, seed=0),
        torch.device("cpu"),
    )
    assert job.folder(STORE) == left.relative_to(tmp_path)
    taken = take_over(job, tmp_path / "run" / left.name)
    assert taken is not None and taken.manifest == load_proxy(left).manifest
    assert torch.equal(taken.images.pixels, load_proxy(tmp_path / "run" / left.name).images.pixels)
    assert f"it is taken from {STORE / left.name}" in capsys.readouterr().out
    assert take_over(job, tmp_path / "run" / left.name) is None  # the run has its own by now
    other = replace(job, seed=1)
    assert take_over(other, tmp_path / "run" / "other") is None
    (left / "images.safetensors").write_bytes(b"torn")
    assert take_over(job, tmp_path / "again") is None and not (tmp_path / "again").exists()


def test_distill_does_not_go_on_from_a_checkpoint_of_other_settings(
    capsys, tmp_path, data, monkeypatch
):
    def interrupted(*args, **kwargs):
        (tmp_path / "proxy" / "checkpoint.safetensors").write_text("of seed 0")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("atom_nas.distillation.condense.distill", interrupted)
        with pytest.raises(SystemExit) as caught:
            main(distill_args(data, tmp_path / "proxy"))
    assert caught.value.code == 130
    assert "run the same command again" in capsys.readouterr().err
    line = error_of(capsys, distill_args(data, tmp_path / "proxy", "--seed", "1"))
    assert "seed 0 (now 1)" in line
