"""The truth: trained on the training split, measured on both others, kept with its weights."""

import math
from dataclasses import replace

import pytest
import torch
from made_toy import CPU, TRAINING, architecture, make_dataset, make_space, no_training
from tiny_run import rows_of

from atom_nas.audit import trained_truth
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.scoring import trainer
from atom_nas.scoring.trainer import Trainer
from atom_nas.training.batches import Examples
from atom_nas.training.fit import DivergenceError, evaluate


@pytest.fixture
def dataset():
    return make_dataset()


@pytest.fixture
def space(tmp_path):
    return make_space(tmp_path)


def make_truth(run, space, dataset, training=TRAINING):
    own = Trainer(dataset.normalization, CPU)
    return TrainedTruth(run, space=space, dataset=dataset, training=training, trainer=own)


def test_both_splits_are_measured_and_the_training_split_alone_is_trained_on(
    tmp_path, space, dataset, monkeypatch
):
    seen = []
    plain = trainer.fit_in_parts
    monkeypatch.setattr(
        trainer,
        "fit_in_parts",
        lambda net, train, *a, **k: (seen.append(train), plain(net, train, *a, **k))[1],
    )
    measured = make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5)
    torch.testing.assert_close(seen[0].images, dataset.normalization(dataset.train.pixels))
    assert measured.validation[0] > 0.9 and measured.test[0] < 0.1
    assert measured.seconds > 0
    (row,) = rows_of(tmp_path / "truth.csv")
    assert (row["candidate"], row["steps"], row["seed"], row["failure"]) == (
        "linear",
        "50",
        "5",
        "",
    )
    assert float(row["validation_accuracy"]) == measured.validation[0]
    assert float(row["test_accuracy"]) == measured.test[0]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_loss_on_the_test_split_that_is_not_finite_fails_no_candidate(
    tmp_path, space, dataset, monkeypatch, split
):
    plain, wild = evaluate, dataset.normalization(getattr(dataset, split).pixels)

    def measure(net, examples):
        if torch.equal(examples.images, wild):
            raise DivergenceError("the loss on held-out images is not finite")
        return plain(net, examples)

    monkeypatch.setattr(trainer, "evaluate", measure)
    measured = make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5)
    assert math.isnan(measured.validation[0]) == (split == "validation")
    assert math.isnan(measured.test[0])
    (row,) = rows_of(tmp_path / "truth.csv")
    assert ("not finite" in row["failure"]) == (split == "validation")


def test_the_cost_is_counted_in_passes(tmp_path, space, dataset):
    measured = make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5)
    macs = 16 * 2  # a linear layer from 16 pixels to 2 classes
    assert measured.macs == macs * (3 * 50 * 16 + 40 + 40)


def test_the_truth_is_measured_once_and_found_by_the_next_process(
    tmp_path, space, dataset, monkeypatch
):
    known = make_truth(tmp_path, space, dataset)
    first = known.measure(architecture(space), seed=5)
    monkeypatch.setattr(trainer, "fit_in_parts", no_training)
    again = make_truth(tmp_path, space, dataset)
    assert known.measure(architecture(space), seed=5) == first
    assert again.measure(architecture(space), seed=5) == first


def test_trainings_on_other_images_are_no_truth_of_these(tmp_path, space, dataset):
    kept = make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5)
    fewer = replace(dataset, train=dataset.train.select(torch.arange(0, len(dataset.train), 2)))
    make_truth(tmp_path, space, fewer).measure(architecture(space), seed=5)
    rows = rows_of(tmp_path / "truth.csv")
    assert len(rows) == 2 and rows[0]["train_digest"] != rows[1]["train_digest"]
    assert make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5) == kept
    assert len(rows_of(tmp_path / "truth.csv")) == 2


def test_more_trainings_add_to_those_made(tmp_path, space, dataset):
    known = make_truth(tmp_path, space, dataset)
    (first,) = known.measure(architecture(space), seed=5).validation
    several = make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5, trainings=3)
    assert several.validation[0] == first
    rows = rows_of(tmp_path / "truth.csv")
    assert len(rows) == len(several.validation) == len(several.test) == 3
    assert len({row["seed"] for row in rows}) == 3
    assert known.measure(architecture(space), seed=5).validation == (first,)


def test_the_trained_net_is_the_first_measured_one(tmp_path, space, dataset):
    known = make_truth(tmp_path, space, dataset)
    measured = known.measure(architecture(space), seed=5, trainings=2)
    net = make_truth(tmp_path, space, dataset).trained_net(architecture(space), seed=5)
    outcome = evaluate(net, Examples.of(dataset.validation, dataset.normalization, CPU))
    assert not net.training
    assert outcome.accuracy == measured.validation[0]


@pytest.mark.parametrize("damage", ["gone", "truncated", "flipped"])
def test_damaged_weights_are_trained_again(tmp_path, space, dataset, damage, capsys):
    known = make_truth(tmp_path, space, dataset)
    known.measure(architecture(space), seed=5)
    before = known.trained_net(architecture(space), seed=5).state_dict()
    (path,) = (tmp_path / "weights").iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    after = make_truth(tmp_path, space, dataset).trained_net(architecture(space), seed=5)
    assert all(map(torch.equal, before.values(), after.state_dict().values()))
    assert "linear" in (said := capsys.readouterr().err) and "trained again" in said
    make_truth(tmp_path, space, dataset).trained_net(architecture(space), seed=5)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "reason"), [("wild", "the training loss is not finite"), ("wrong", "do not fit")]
)
def test_a_truth_that_fails_is_nan_with_its_reason(
    tmp_path, space, dataset, monkeypatch, kind, reason
):
    measured = make_truth(tmp_path, space, dataset).measure(architecture(space, kind), seed=0)
    assert math.isnan(measured.validation[0]) and math.isnan(measured.test[0])
    assert measured.seconds > 0
    monkeypatch.setattr(trainer, "fit_in_parts", no_training)
    again = make_truth(tmp_path, space, dataset)
    assert math.isnan(again.measure(architecture(space, kind), seed=0).validation[0])
    assert reason in again.failure(architecture(space, kind), seed=0)


def test_weights_are_kept_before_the_row(tmp_path, space, dataset, monkeypatch):
    """A kill between the two costs a training, never a row without weights."""

    def killed(self, row, attached):
        assert list((tmp_path / "weights").glob("linear-50-*.safetensors"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("atom_nas.storage.row_log.RowLog.append", killed)
        with pytest.raises(KeyboardInterrupt):
            make_truth(tmp_path, space, dataset).measure(architecture(space), seed=0)
    assert not (tmp_path / "truth.csv").exists()


@pytest.mark.parametrize(
    ("losses", "steps"),
    [({50: 1.0, 100: 0.95}, 50), ({50: 1.0, 100: 0.5, 200: 0.3, 400: 0.29}, 200), ({50: 1.0}, 50)],
)
def test_a_training_is_doubled_until_its_validation_loss_stops_falling(
    tmp_path, space, dataset, monkeypatch, losses, steps
):
    monkeypatch.setattr(trained_truth, "MAX_DOUBLED", max(losses))
    monkeypatch.setattr(
        TrainedTruth,
        "_losses",
        lambda self, sample: [losses[self.training.steps] + seed for _, seed in sample],
    )
    truth = make_truth(tmp_path, space, dataset, replace(TRAINING, steps=50))
    truth.lengthen(lambda: [(None, -0.001), (None, 0.001)])
    assert truth.training == replace(TRAINING, steps=steps)


def test_losses_of_real_trainings_settle_the_length(tmp_path, space, dataset, monkeypatch):
    monkeypatch.setattr(trained_truth, "MAX_DOUBLED", 4)
    truth = make_truth(tmp_path, space, dataset, replace(TRAINING, steps=2))
    truth.lengthen(lambda: [(architecture(space), 5), (architecture(space), 6)])
    losses = {2: [], 4: []}
    for row in rows_of(tmp_path / "truth.csv"):
        losses[int(row["steps"])].append(float(row["validation_loss"]))
    assert [len(each) for each in losses.values()] == [2, 2]
    assert 0 < sum(losses[4]) < 0.9 * sum(losses[2])
    assert truth.training == replace(TRAINING, steps=4)
