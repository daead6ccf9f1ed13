"""A condensation and a whole search on a pretended GPU."""

import pytest
import torch
from fake_cuda import fake_cuda
from tiny_run import error_of, rows_of, run_args, save_data, save_space

from atom_nas.cli import main
from atom_nas.data.sources import open_dataset
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.recipes import Recipe

CUDA = torch.device("cuda")


@pytest.fixture
def gpu():
    with fake_cuda() as gpu:
        yield gpu


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")  # every embedding is 1
@pytest.mark.parametrize("method", ["random", "herding", "kmeans", "atom"])
def test_a_condensation(gpu, monkeypatch, tmp_path, method):
    monkeypatch.setattr("atom_nas.distillation.embedding.NUM_IMAGES", 1)
    resets = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", resets.append)
    dataset = open_dataset(str(save_data(tmp_path)), tmp_path, seed=0)
    job = Condensation(
        dataset=dataset,
        method=method,
        images_per_class=2,
        seed=0,
        recipe=Recipe(steps=3, learning_rate=1.0, width=8, whiten=True)
        if method == "atom"
        else None,
        device_type="cuda",
    )
    proxy = condense(job, tmp_path / "proxy", CUDA)
    assert proxy.images.pixels.shape == (6, 1, 8, 8)
    assert proxy.images.pixels.device.type == "cpu"
    assert resets == [CUDA]


def test_a_whole_search(tmp_path, capsys):
    args = run_args(save_data(tmp_path), save_space(tmp_path), tmp_path / "out")
    on_cpu = ["search", *args[1:], "--proxy", "random_ipc2"]
    args = ["search", *("cuda" if arg == "cpu" else arg for arg in args[1:])]
    with fake_cuda() as gpu:
        main(args)
    assert gpu.kernels["aten.convolution.default"] > 0
    rows = rows_of(tmp_path / "out" / "candidates.csv")
    failures = {row["reason"] for row in rows if row["state"] == "FAIL"}
    assert failures == {"ValueError: 13 is unlucky"}
    assert sum(row["state"] == "COMPLETE" for row in rows) == 4
    capsys.readouterr()
    assert "device_type cuda (now not given)" in error_of(capsys, on_cpu)
