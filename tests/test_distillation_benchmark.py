"""The benchmark of distillation: its tables from its rows, only missing rows measured."""

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from made_toy import make_dataset

from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.matching import Matching
from atom_nas.distillation.proxy import load_proxy
from atom_nas.distillation.recipes import Recipe
from atom_nas.errors import UserError
from atom_nas.storage.row_log import RowLog
from atom_nas.training.convnet import FeatureNet

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("distillation_table")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("distillation")


def row(**changes: object) -> dict[str, str]:
    values: dict[str, object] = {
        "dataset": "cifar10",
        "method": "atom",
        "images_per_class": 10,
        "recipe": "paper",
        "settings": json.dumps({"steps": 300, "loss_scale": 100.0, "norm": "batch"}),
        "full_steps": 8000,
        "whiten": True,
        "proxy": "aa",
        "seed": 0,
        "net": "convnet3",
        "net_seed": 0,
        "epochs": 300,
        "batch_size": 256,
        "accuracy": 0.5,
        "evaluation_seconds": 2.0,
        "distillation_seconds": 150.0,
        "peak_memory_bytes": 2_000_000_000,
        "hardware": "cpu: made up",
        "torch": "2.14",
        "commit": "abc",
    }
    return {key: str(value) for key, value in (values | changes).items()}


FULL = {
    "settings": json.dumps({"steps": 8000, "loss_scale": 100.0, "norm": "batch"}),
    "epochs": 1000,
}
SELECTED = {"method": "random", "recipe": "", "settings": "", "full_steps": 0}


def test_a_summary_has_mean_spread_and_student_interval(table: ModuleType) -> None:
    rows = [
        row(accuracy=0.40),
        row(accuracy=0.50, net_seed=1),
        row(accuracy=0.60, proxy="bb", seed=1, distillation_seconds=50.0),
    ]
    (summary,) = table.summarize(rows)
    assert summary["accuracy"] == pytest.approx(0.5)
    assert summary["sd"] == pytest.approx(0.1)
    # Student's t with 2 degrees of freedom is 4.303 at 97.5%.
    half = 4.303 * 0.1 / math.sqrt(3)
    assert summary["interval"] == pytest.approx([0.5 - half, 0.5 + half], abs=1e-4)
    assert (summary["n"], summary["distillation_seeds"]) == (3, 2)
    assert summary["distillation_seconds"] == pytest.approx(100.0)
    assert summary["steps_per_second"] == pytest.approx(3.0)
    assert (summary["paper_percent"], summary["paper_mark"]) == (57.9, "recalled")


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 301},
        {"batch_size": 64},
        {"hardware": "other"},
        {"net": "vit"},
        {"images_per_class": 1},
        FULL,
    ],
)
def test_what_was_measured_otherwise_is_never_averaged(
    table: ModuleType, change: dict[str, object]
) -> None:
    assert [s["n"] for s in table.summarize([row(), row(**change)])] == [1, 1]


def test_one_measurement_has_no_interval(table: ModuleType) -> None:
    text = table.render(table.summarize([row(accuracy=0.31)]))
    assert "| atom | 31.0 | - | 1 (1 x 1) |" in text


def test_short_runs_and_full_ones_stand_apart(table: ModuleType) -> None:
    selected = row(**SELECTED, epochs=1000, accuracy=0.2, proxy="cc")
    text = table.render(table.summarize([row(), row(**FULL, proxy="bb"), selected]))
    full, short = text.split("## Short runs")
    assert "8,000 of 8,000" in full and "300 of 8,000" not in full
    assert "300 of 8,000" in short and "8,000 of 8,000" not in short
    assert "| random |" in full and "| random |" not in short
    assert "57.9 (recalled)" in full and "26.0 (table)" in full


def test_a_selection_stands_beside_the_short_distillations_judged_as_long(
    table: ModuleType,
) -> None:
    rows = [row(epochs=1000), row(**SELECTED, epochs=1000, proxy="cc")]
    text = table.render(table.summarize(rows))
    assert "## Papers' length" not in text
    assert "| random |" in text


@pytest.mark.parametrize(
    ("cell", "figure"),
    [
        (("cifar10", "atom", "convnet3", 1), (34.8, "recalled")),
        (("cifar100", "dm", "convnet3", 50), (43.6, "table")),
        (("cifar10", "datadam", "vgg11", 50), (64.8, "recalled")),
        (("cifar10", "datadam", "vgg11", 10), (None, "")),
        (("cifar10", "atom", "convnet3", 5), (None, "")),
        (("digits", "atom", "convnet3", 1), (None, "")),
    ],
)
def test_papers_figures_are_found_with_their_mark(
    table: ModuleType, cell: tuple[Any, ...], figure: tuple[float | None, str]
) -> None:
    assert table.paper_figure(*cell) == figure


def test_tables_come_from_the_rows_alone(table: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no results"):
        table.write_tables(tmp_path)
    RowLog(tmp_path / "results.csv", table.COLUMNS).append(row())
    table.write_tables(tmp_path)
    (written,) = json.loads((tmp_path / "results.json").read_text())
    assert written["accuracy"] == 0.5 and written["sd"] is None
    assert "50.0" in (tmp_path / "results.md").read_text()


def test_only_missing_measurements_are_made(benchmark: ModuleType, tmp_path: Path) -> None:
    asked: list[int] = []

    def accuracy(images: object, build: object, *, epochs: int, seed: int) -> float:
        asked.append(seed)
        return 0.5

    about = row()
    for column in ("net", "net_seed", "epochs", "batch_size", "accuracy", "evaluation_seconds"):
        del about[column]
    accuracy_of, proxy = SimpleNamespace(measure=accuracy), SimpleNamespace(images=None)
    for networks, batch_size in ((1, 256), (3, 256), (3, 256), (1, 64)):
        measured = RowLog(tmp_path / "results.csv", benchmark.COLUMNS)
        settings = benchmark.Settings(networks=networks, epochs=5, batch_size=batch_size)
        benchmark.measure_nets(settings, measured, accuracy_of, proxy, about)
    assert asked == [0, 1, 2, 0]


def test_held_out_measures_on_the_validation_split(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(benchmark, "measure", lambda _settings, _folder, data: seen.append(data))
    for held_out in (False, True):
        out = tmp_path / str(held_out)
        benchmark.main(benchmark.Settings(dataset="digits", held_out=held_out, out=out))
    condensed, chosen = seen
    assert len(condensed.train) == len(chosen.train) + len(chosen.validation)
    assert chosen.test.digest == chosen.validation.digest != condensed.test.digest
    for folder, split in (("False", "Test"), ("True", "Validation")):
        RowLog(tmp_path / folder / "results.csv", benchmark.COLUMNS).append(row())
        benchmark.write_tables(tmp_path / folder)
        text = (tmp_path / folder / "results.md").read_text()
        assert f"{split} accuracy of fresh networks" in text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nets": ("vgg12",)}, "Did you mean 'vgg11'"),
        ({"recipe": "papr"}, "Did you mean 'paper'"),
        ({"methods": ("atomm",)}, "atom"),
        ({"seeds": 0}, "--seeds is 0"),
        ({"ipc": (10, 0)}, "--ipc is 0"),
    ],
)
def test_wrong_settings_are_user_errors(
    benchmark: ModuleType, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        benchmark.Settings(**wrong)


def test_a_stage_is_the_set_that_a_distillation_of_so_many_steps_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    stages = importlib.import_module("distillation_stages")
    monkeypatch.setattr("atom_nas.distillation.matching.CHECKPOINT_SECONDS", -1.0)
    dataset, device = make_dataset(), torch.device("cpu")

    def job(steps: int) -> Condensation:
        recipe = Recipe(steps=steps, learning_rate=1.0, width=8, depth=2, real_batch=4)
        return Condensation(
            dataset=dataset, method="atom", images_per_class=2, seed=3, recipe=recipe
        )

    def stop(matching: Matching, images: torch.Tensor, net: FeatureNet, step: int) -> Any:
        if step == 2:
            raise KeyboardInterrupt
        return gradient(matching, images, net, step)

    gradient, folder = Matching.gradient, tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Matching, "gradient", stop)
        with pytest.raises(KeyboardInterrupt):
            condense(job(5), folder, device)
    (folder / "settings.json").write_text(json.dumps(job(5).identity))
    stages.keep_stage(folder, dataset, device)
    (kept,) = stages.stages(folder)
    whole = condense(job(2), tmp_path / "whole", device)
    assert stages.steps_of(kept) == 2 and kept.digest == whole.digest
    assert torch.equal(kept.images.pixels, whole.images.pixels)
    stages.keep_stage(folder, dataset, device)  # it is there
    assert len(list(stages.stages(folder))) == 1


def test_sets_distilled_together_are_those_distilled_alone(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr("atom_nas.distillation.matching.CHECKPOINT_SECONDS", 0.0)
    together = importlib.import_module("distil_together")
    dataset = make_dataset()
    monkeypatch.setattr(together, "open_dataset", lambda *_, **__: dataset)
    names = ("atom_ipc1", "atom_ipc3", "datadam_ipc2", "dm_ipc1")
    settings = together.Settings(
        proxies=names, steps=5, adjust="width=8,real_batch=6", out=tmp_path / "together"
    )
    alone = [
        condense(job, tmp_path / "alone" / job.name, torch.device("cpu"))
        for job in together.condensations(settings, dataset)
    ]
    reset, resets, passes = FeatureNet.reset, [], []

    def counted_reset(net, generator):
        if len(resets) == 9:
            raise OSError("ended")  # after three steps of the first set and two of the others
        resets.append(net)
        reset(net, generator)

    plain_forward = FeatureNet.forward

    def counted_forward(net, images):
        if not torch.is_grad_enabled() and images.device.type == "cpu":
            passes.append(images)
        return plain_forward(net, images)

    monkeypatch.setattr(FeatureNet, "reset", counted_reset)
    monkeypatch.setattr(FeatureNet, "forward", counted_forward)
    with pytest.raises(OSError, match="ended"):
        together.main(settings)
    monkeypatch.setattr(FeatureNet, "reset", reset)
    together.main(settings)
    for proxy in alone:
        found = load_proxy(settings.out / proxy.name)
        assert torch.equal(found.images.pixels, proxy.images.pixels), proxy.name
    assert len(passes) == 3 + 3

    with pytest.raises(UserError, match="norm=batch"):
        together.main(replace(settings, recipe="paper"))
    with pytest.raises(UserError, match="random_ipc1 is chosen, not distilled"):
        replace(settings, proxies=("random_ipc1",))
