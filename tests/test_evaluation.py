"""Scores on the proxy and the truth: each candidate trained once, failures kept, splits apart."""

import csv
import math
from dataclasses import replace

import pytest
import torch

from atom_nas.audit import trained_truth as truth
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.data.images import ImageSet, Source, split
from atom_nas.distillation.proxy import Proxy
from atom_nas.scoring import proxy_scores as evaluation
from atom_nas.scoring.proxy_scores import CandidateError, ProxyScores
from atom_nas.scoring.space import load_space
from atom_nas.training.fit import Examples, Training, evaluate

CPU = torch.device("cpu")
TRAINING = Training(epochs=10, flip=False, batch_size=16)
SOURCE = """
from dataclasses import dataclass
from torch import nn
import torch

class Wild(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
    def forward(self, x):
        return torch.zeros(len(x), 2) * self.scale * torch.inf

class Wrong(Wild):
    def forward(self, x):
        raise RuntimeError("shapes\\nof 3 and 4 do not fit")

@dataclass(frozen=True, kw_only=True)
class Architecture:
    kind: str

def sample(trial):
    return Architecture(kind="linear")

def build(architecture, image_shape, num_classes):
    size = image_shape[0] * image_shape[1] * image_shape[2]
    match architecture.kind:
        case "wild":
            return Wild()
        case "wrong":
            return Wrong()
        case "none":
            raise ValueError("no such net")
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(size), nn.Linear(size, num_classes))
"""


def make_images(count, seed, flipped=False):
    """Return dark (0) and bright (1) images, or with the labels exchanged."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 60, (count, 1, 4, 4), generator=generator)
    pixels = (noise + 150 * labels[:, None, None, None]).to(torch.uint8)
    return ImageSet(
        pixels=pixels, labels=1 - labels if flipped else labels, class_names=("dark", "bright")
    )


@pytest.fixture
def dataset():
    """A test split with exchanged labels gives itself away: it scores near 0."""
    source = Source(
        train=make_images(80, 0),
        validation=make_images(40, 1),
        test=make_images(40, 2, flipped=True),
    )
    return split("toy", source, seed=0)


@pytest.fixture
def space(tmp_path):
    file = tmp_path / "toy_space.py"
    file.write_text(SOURCE)
    return load_space(str(file), (1, 4, 4), 2)


@pytest.fixture
def proxy():
    return Proxy(
        images=make_images(16, 3), manifest={"proxy": "toy_ipc8", "seed": 0, "seconds": 1.0}
    )


def make_scores(path, space, dataset):
    return ProxyScores(path, space=space, dataset=dataset, training=TRAINING, device=CPU)


def make_truth(run, space, dataset):
    return TrainedTruth(run, space=space, dataset=dataset, training=TRAINING, device=CPU)


def architecture(space, kind="linear"):
    return space.module.Architecture(kind=kind)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def no_training(*args, **kwargs):
    pytest.fail("trained again")


def test_a_score_is_of_the_validation_split(tmp_path, space, dataset, proxy):
    path = tmp_path / "scores.csv"
    score = make_scores(path, space, dataset).score(proxy, architecture(space), seed=3)
    assert score.accuracy > 0.9
    (row,) = rows_of(path)
    assert (row["proxy"], row["candidate"], row["seed"]) == ("toy_ipc8", "linear", "3")
    assert (float(row["accuracy"]), float(row["loss"])) == (score.accuracy, score.loss)
    assert float(row["seconds"]) > 0


def test_a_candidate_is_scored_once_and_found_by_the_next_process(
    tmp_path, space, dataset, proxy, monkeypatch
):
    path = tmp_path / "scores.csv"
    scores = make_scores(path, space, dataset)
    first = scores.score(proxy, architecture(space), seed=3)
    monkeypatch.setattr(evaluation, "fit_and_score", no_training)
    assert scores.score(proxy, architecture(space), seed=3) == first
    assert make_scores(path, space, dataset).score(proxy, architecture(space), seed=3) == first
    assert len(rows_of(path)) == 1


def test_each_proxy_has_scores_of_its_own(tmp_path, space, dataset, proxy):
    path = tmp_path / "scores.csv"
    scores = make_scores(path, space, dataset)
    other = replace(
        proxy,
        images=make_images(16, 3, flipped=True),
        manifest={"proxy": "x", "seed": 0, "seconds": 0.0},
    )
    assert scores.score(proxy, architecture(space), seed=0).accuracy > 0.9
    assert scores.score(other, architecture(space), seed=0).accuracy < 0.1
    assert len(rows_of(path)) == 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wild", "DivergenceError: the training loss is not finite"),
        ("wrong", "RuntimeError: shapes of 3 and 4 do not fit"),
        ("none", "ValueError: no such net"),
    ],
)
def test_a_failure_is_kept_with_its_reason(
    tmp_path, space, dataset, proxy, monkeypatch, kind, reason
):
    path = tmp_path / "scores.csv"
    with pytest.raises(CandidateError, match=reason):
        make_scores(path, space, dataset).score(proxy, architecture(space, kind), seed=0)
    monkeypatch.setattr(evaluation, "fit_and_score", no_training)
    with pytest.raises(CandidateError, match=reason):
        make_scores(path, space, dataset).score(proxy, architecture(space, kind), seed=0)
    (row,) = rows_of(path)
    assert row["failure"] == reason
    assert row["accuracy"] == ""


def test_an_interrupt_is_no_failure(tmp_path, space, dataset, proxy, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    path = tmp_path / "scores.csv"
    monkeypatch.setattr(evaluation, "fit_and_score", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_scores(path, space, dataset).score(proxy, architecture(space), seed=0)
    assert not path.exists()


def test_each_draw_of_a_proxy_has_scores_of_its_own(tmp_path, space, dataset, proxy):
    scores = make_scores(tmp_path / "scores.csv", space, dataset)
    manifest = proxy.manifest | {"seed": 1}
    again = replace(proxy, images=make_images(16, 4), manifest=manifest)
    first = scores.score(proxy, architecture(space), seed=0)
    assert scores.score(again, architecture(space), seed=0).loss != first.loss
    assert [row["proxy_seed"] for row in rows_of(tmp_path / "scores.csv")] == ["0", "1"]


def test_another_training_shares_the_table(tmp_path, space, dataset, proxy):
    path = tmp_path / "scores.csv"
    scores = make_scores(path, space, dataset)
    longer = scores.with_training(replace(TRAINING, epochs=12))
    named = replace(proxy, manifest=proxy.manifest | {"proxy": "long"})
    assert len(scores.score(proxy, architecture(space), seed=0).curve) == 10
    assert len(longer.score(named, architecture(space), seed=0).curve) == 12
    assert [row["proxy"] for row in rows_of(path)] == ["toy_ipc8", "long"]


def test_the_curve_is_kept(tmp_path, space, dataset, proxy):
    path = tmp_path / "scores.csv"
    first = make_scores(path, space, dataset).score(proxy, architecture(space), seed=0)
    assert len(first.curve) == 10 and first.curve[-1] < first.curve[0]
    assert make_scores(path, space, dataset).score(proxy, architecture(space), seed=0) == first


def test_the_truth_is_of_the_test_split(tmp_path, space, dataset):
    measured = make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5)
    assert measured.accuracies[0] < 0.1
    assert measured.seconds > 0
    (row,) = rows_of(tmp_path / "truth.csv")
    assert list(row) == ["candidate", "seed", "test_accuracy", "seconds", "failure", "checksum"]
    assert (row["candidate"], row["seed"], row["failure"]) == ("linear", "5", "")
    assert float(row["test_accuracy"]) == measured.accuracies[0]


def test_the_truth_trains_on_train_and_validation(tmp_path, space, dataset, monkeypatch):
    seen = []
    monkeypatch.setattr(truth, "fit", lambda net, examples, *_, **__: seen.append(examples))
    make_truth(tmp_path, space, dataset).measure(architecture(space), seed=0)
    whole = torch.cat([dataset.train.pixels, dataset.validation.pixels])
    torch.testing.assert_close(seen[0].images, dataset.normalization(whole))


def test_the_truth_is_measured_once_and_found_by_the_next_process(
    tmp_path, space, dataset, monkeypatch
):
    known = make_truth(tmp_path, space, dataset)
    first = known.measure(architecture(space), seed=5)
    monkeypatch.setattr(truth, "fit", no_training)
    again = make_truth(tmp_path, space, dataset)
    assert known.measure(architecture(space), seed=5) == first
    assert again.measure(architecture(space), seed=9) == first


def test_more_trainings_add_to_those_made(tmp_path, space, dataset):
    known = make_truth(tmp_path, space, dataset)
    (first,) = known.measure(architecture(space), seed=5).accuracies
    several = make_truth(tmp_path, space, dataset).measure(architecture(space), seed=5, trainings=3)
    assert several.accuracies[0] == first
    rows = rows_of(tmp_path / "truth.csv")
    assert len(rows) == len(several.accuracies) == 3
    assert len({row["seed"] for row in rows}) == 3
    assert known.measure(architecture(space), seed=5).accuracies == (first,)


def test_the_trained_net_is_the_first_measured_one(tmp_path, space, dataset):
    known = make_truth(tmp_path, space, dataset)
    measured = known.measure(architecture(space), seed=5, trainings=2)
    net = make_truth(tmp_path, space, dataset).trained_net(architecture(space))
    score = evaluate(
        net, Examples(images=dataset.normalization(dataset.test.pixels), labels=dataset.test.labels)
    )
    assert not net.training
    assert score.accuracy == measured.accuracies[0]


@pytest.mark.parametrize(
    ("kind", "reason"), [("wild", "the training loss is not finite"), ("wrong", "do not fit")]
)
def test_a_truth_that_fails_is_nan_with_its_reason(
    tmp_path, space, dataset, monkeypatch, kind, reason
):
    measured = make_truth(tmp_path, space, dataset).measure(architecture(space, kind), seed=0)
    assert math.isnan(measured.accuracies[0])
    assert measured.seconds > 0
    monkeypatch.setattr(truth, "fit", no_training)
    again = make_truth(tmp_path, space, dataset)
    assert math.isnan(again.measure(architecture(space, kind), seed=0).accuracies[0])
    assert reason in again.failure(architecture(space, kind))


def test_weights_are_kept_before_the_row(tmp_path, space, dataset, monkeypatch):
    """A kill between the two costs a training, never a row without weights."""

    def killed(self, row):
        assert (tmp_path / "weights" / "linear.safetensors").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("atom_nas.row_log.RowLog.append", killed)
        with pytest.raises(KeyboardInterrupt):
            make_truth(tmp_path, space, dataset).measure(architecture(space), seed=0)
    assert not (tmp_path / "truth.csv").exists()
