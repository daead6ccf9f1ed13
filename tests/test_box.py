"""CIFAR-10 in the box: what it holds, what a run does with it, what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from made_data import arrays, one_line
from tiny_run import rows_of

from atom_nas.audit.truth_table import TruthTable
from atom_nas.audit.truths import cifar10_box as table_module
from atom_nas.data.sources import cifar10_box, open_dataset
from atom_nas.data.sources.cifar10 import CLASS_NAMES
from atom_nas.defaults import condensation
from atom_nas.distillation.condense import condense
from atom_nas.errors import UserError
from atom_nas.options import Options
from atom_nas.pipeline.opening import open_pipeline
from atom_nas.scoring.space import candidate_name, load_space
from atom_nas.scoring.trainer import Trainer

CPU = torch.device("cpu")
CACHE = Path("~/.cache/atom_nas").expanduser()


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    return open_dataset("cifar10_box", tmp_path_factory.mktemp("none"), seed=0)


@pytest.fixture
def broken_box(tmp_path, monkeypatch):
    """Return a copy of the files, which are read from there now."""
    copy = tmp_path / "box"
    shutil.copytree(cifar10_box.BOX, copy)
    monkeypatch.setattr(cifar10_box, "BOX", copy)
    monkeypatch.setattr(table_module, "BOX", copy)
    return copy


def pictures(images):
    return {pixels.numpy().tobytes() for pixels in images.pixels}


def test_no_image_is_in_two_splits_and_all_classes_are_as_large(box):
    splits = (box.train, box.validation, box.test)
    assert [len(each) for each in splits] == [1_000, 2_000, 1_000]
    assert len(set.union(*map(pictures, splits))) == 4_000
    for each in splits:
        assert each.labels.bincount().unique().numel() == 1


@pytest.mark.skipif(not (CACHE / "cifar10.npz").is_file(), reason="needs CIFAR-10")
def test_the_images_are_of_the_splits_that_sets_and_truth_were_made_with(box):
    whole = open_dataset("cifar10", CACHE, seed=0)
    for split in ("train", "validation", "test"):
        of_whole = getattr(whole, split)
        for k in range(box.num_classes):
            own, theirs = (
                each.select(each.labels == k) for each in (getattr(box, split), of_whole)
            )
            assert pictures(own) <= pictures(theirs), (split, k)


def test_the_set_of_the_main_job_is_in_it(box):
    assert Options().proxy in box.excerpt.sets


@pytest.mark.parametrize("name", ["train.png", "truth.csv", "scores.csv", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_damaged_file_is_one_line(broken_box, tmp_path, name, damage):
    path = broken_box / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.unlink() if damage == "missing" else path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        open_dataset("cifar10_box", tmp_path, seed=0)
    one_line(caught, path, "install atom_nas again")


def test_a_set_is_taken_as_it_is_and_mended_where_a_run_keeps_it(box, tmp_path, capsys):
    job = condensation(Options(dataset="cifar10_box"), box, CPU)
    proxy = condense(job, tmp_path / "own", CPU)
    assert len(proxy.images) == 500 and proxy.kind == "distilled" and proxy.seconds > 0
    assert proxy.images.class_names == CLASS_NAMES
    assert condense(job, tmp_path / "own", CPU).images.digest == proxy.images.digest
    assert not capsys.readouterr().err
    (tmp_path / "own" / "images.safetensors").write_bytes(b"torn")
    assert condense(job, tmp_path / "own", CPU).images.digest == proxy.images.digest
    assert "it is made again" in capsys.readouterr().err


def test_real_images_are_drawn_from_the_box_anew_for_each_seed(box, tmp_path):
    jobs = [condensation(Options(proxy="random_ipc50", seed=seed), box, CPU) for seed in (0, 1)]
    first, second = (condense(job, tmp_path / str(job.seed), CPU).images for job in jobs)
    assert pictures(first) < pictures(box.train)
    assert first.digest != second.digest


@pytest.mark.parametrize(
    ("change", "culprits"),
    [
        ({"proxy": "atom_ipc7"}, ["atom_ipc7", "it holds", "atom_ipc50", "--dataset cifar10"]),
        ({"proxy": "random_ipc101"}, ["101", "take at most 100", "--dataset cifar10"]),
        ({"steps": 5}, ["--steps", "--dataset cifar10"]),
        ({"adjust": "width=64"}, ["--adjust", "--dataset cifar10"]),
        ({"recipe": "released"}, ["--recipe", "--dataset cifar10"]),
        ({"truth": "training"}, ["--truth training", "--dataset cifar10"]),
        ({"against": "equal_cost"}, ["--against equal_cost", "--dataset cifar10"]),
        ({"against": "all"}, ["--against all", "--dataset cifar10"]),
        ({"max_macs": 5_000_001}, ["--max-macs 5000001", "5000000", "--dataset cifar10"]),
        ({"space": "mobile"}, ["convnet", "mobile", "--dataset digits"]),
    ],
)
def test_what_needs_all_the_images_is_refused_in_one_line(tmp_path, change, culprits):
    options = Options(
        dataset="cifar10_box", out=tmp_path / "run", data_dir=tmp_path, device="cpu", **change
    )
    with pytest.raises(UserError) as caught, open_pipeline(options):
        pass
    one_line(caught, *culprits)
    assert not (tmp_path / "run").exists()


def test_a_second_condensation_is_refused(box):
    with pytest.raises(UserError) as caught:
        condensation(Options(dataset="cifar10_box"), box, CPU, number=1)
    one_line(caught, "--proxy-seeds 1")


def test_a_search_starts_and_an_audit_is_in_the_table_and_trains_none(tmp_path, monkeypatch):
    def run(_, jobs, may_begin):
        assert not jobs
        return iter(())

    monkeypatch.setattr(Trainer, "run", run)
    own = {"dataset": "cifar10_box", "trials": 3}  # all of them drawn uniformly
    options = Options(**own, out=tmp_path / "run", data_dir=tmp_path, device="cpu")
    with open_pipeline(options) as pipeline:
        start = [each.name for each in pipeline.search()]
        sample = list(pipeline.run.audited())
        measured = pipeline.run.table.measure_all(sample)
        scorer = pipeline.run.scorer()
        found = [scorer.estimate(proxy, sample) for proxy in ("atom_ipc50", "random_ipc50")]
    rows = rows_of(cifar10_box.BOX / "truth.csv")
    names = [candidate_name(architecture) for architecture, _ in sample]
    assert names[:3] == start
    assert sorted(names) == sorted({row["candidate"] for row in rows})
    assert all(0 < each.validation[0] < 1 and each.test and each.macs for each in measured)
    for each in found:
        assert len(each.scores) == len(sample) >= 96 and np.isfinite(each.scores).all()


def test_the_table_tells_of_no_other_candidate():
    space = load_space("convnet", (3, 32, 32), 10)
    table = TruthTable.open("cifar10_box", space, "cifar10_box")
    big = space.module.Architecture(
        width=256, depth=4, activation="relu", norm="batch", pooling="none"
    )
    assert not table.can_tell(big)


@pytest.mark.parametrize("proxy", ["atom_ipc50", "random_ipc50"])
def test_exported_nets_see_what_the_box_holds_where_there_is_no_more(box, tmp_path, capsys, proxy):
    options = Options(
        dataset="cifar10_box", out=tmp_path / "run", data_dir=tmp_path, device="cpu", proxy=proxy
    )
    with open_pipeline(options) as pipeline:
        data = pipeline.run.trained.dataset
    is_condensed = proxy.startswith("atom")
    assert len(data.train) == (1_500 if is_condensed else 1_000)
    assert data.name == ("cifar10_box and atom_ipc50" if is_condensed else "cifar10_box")
    assert data.validation.digest == box.validation.digest
    assert f"the {len(data.train):,} images of {data.name}" in capsys.readouterr().out


def test_exported_nets_see_all_images_that_are_at_hand(tmp_path, capsys):
    np.savez(tmp_path / "cifar10.npz", **arrays(10, shape=(32, 32, 3)))
    options = Options(dataset="cifar10_box", out=tmp_path / "run", data_dir=tmp_path, device="cpu")
    with open_pipeline(options) as pipeline:
        assert pipeline.run.trained.dataset.name == "cifar10"
        assert len(pipeline.run.trained.dataset.train) == 50  # of 60, a fifth held out
        assert pipeline.run.dataset.name == "cifar10_box"
    assert "nets are exported" not in capsys.readouterr().out
