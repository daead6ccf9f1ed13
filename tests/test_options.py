"""Options: defaults of the interface, what is refused, and files of them."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from atom_nas.errors import UserError
from atom_nas.options import Options
from atom_nas.storage.files import write_json


def test_defaults_are_the_main_job():
    options = Options()
    assert (options.proxy, options.dataset, options.space) == (
        "atom_ipc50",
        "cifar10_box",
        "convnet",
    )
    assert (options.trials, options.sampler, options.audit_size) == (40, "tpe", None)
    assert options.max_params is options.max_macs is options.out is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "tpee"}, r"unknown sampler 'tpee'.*'tpe'"),
        ({"recipe": "papr"}, r"unknown recipe 'papr'.*'paper'"),
        ({"proxy": "atm_ipc5"}, r"'atm'.*'atom'"),
        ({"seed": -1}, r"--seed is -1; it must be from 0 to 18446744073709551615\."),
        ({"seed": 2**64}, r"--seed is 18446744073709551616; it must be from 0"),
        ({"trials": 0}, r"--trials is 0; it must be at least 1"),
        ({"top_k": 0}, r"--top-k is 0"),
        ({"audit_size": -3}, r"--audit-size is -3"),
        ({"max_macs": 0}, r"--max-macs is 0"),
        ({"steps": 0}, r"--steps is 0"),
        ({"full_epochs": 0}, r"--full-epochs is 0"),
    ],
)
def test_impossible_options_are_named(change, message):
    with pytest.raises(UserError, match=message):
        Options(**change)


def test_paths_may_be_given_as_text():
    found = Options(out="runs/mine", data_dir="~/data")
    assert (found.out, found.data_dir) == (Path("runs/mine"), Path("~/data"))


def test_seed_zero_is_allowed():
    assert Options(seed=0).seed == 0


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        (Options(), "runs/cifar10_box-convnet-atom_ipc50-seed0"),
        (
            Options(dataset="/x/cells.npz", space="./mine.py", seed=2),
            "runs/cells-mine-atom_ipc50-seed2",
        ),
        (Options(proxy="dm_ipc3"), "runs/cifar10_box-convnet-dm_ipc3-seed0"),
        (Options(out=Path("here")), "here"),
    ],
)
def test_the_run_folder(options, folder):
    assert options.folder == Path(folder)


@pytest.mark.parametrize(
    ("trials", "uniform"), [(1, 1), (2, 2), (4, 3), (10, 8), (40, 30), (200, 30)]
)
def test_the_uniform_start_is_three_quarters_at_most_30(trials, uniform):
    assert Options(trials=trials).num_uniform == uniform


def test_saved_options_are_restored(tmp_path):
    options = Options(trials=7, max_macs=5, data_dir=Path("somewhere"), out=Path("old"))
    write_json(tmp_path / "options.json", options)
    again = Options.saved_in(tmp_path)
    assert asdict(again) == {**asdict(options), "out": tmp_path}


def test_a_folder_without_options_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is not a run folder") as caught:
        Options.saved_in(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"trials": 3}', "[" * 10_000])
def test_damaged_options_are_named(tmp_path, content):
    (tmp_path / "options.json").write_text(content)
    with pytest.raises(UserError, match=r"options\.json is damaged; remove it and run again"):
        Options.saved_in(tmp_path)


def test_options_are_json(tmp_path):
    write_json(tmp_path / "o.json", Options(out=tmp_path))
    assert json.loads((tmp_path / "o.json").read_text())["out"] == str(tmp_path)


@pytest.mark.parametrize("workers", ["0", "-1", "two", "", "1.5"])
def test_workers_are_a_number_or_auto(workers):
    with pytest.raises(UserError, match=r"--workers is .*; give auto or a number"):
        Options(workers=workers)
