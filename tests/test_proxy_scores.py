"""Scores on the proxy: each candidate trained once, found again by all that a score depends on."""

from contextlib import closing
from dataclasses import replace

import pytest
import torch
from made_toy import (
    CPU,
    TRAINING,
    architecture,
    make_dataset,
    make_proxy,
    make_space,
    no_training,
)
from safetensors.torch import load
from tiny_run import rows_of

from atom_nas.errors import UserError
from atom_nas.scoring import trainer
from atom_nas.scoring.proxy_scores import CandidateError, ProxyScores
from atom_nas.scoring.scorer import Scorer
from atom_nas.scoring.trainer import Job, Trained, Trainer
from atom_nas.training.fit import Outcome


@pytest.fixture
def dataset():
    return make_dataset()


@pytest.fixture
def space(tmp_path):
    return make_space(tmp_path)


@pytest.fixture
def proxy():
    return make_proxy()


def make_scores(path, space, dataset, known=()):
    return ProxyScores(
        path, space=space, dataset=dataset, trainer=Trainer(dataset.normalization, CPU), known=known
    )


def test_a_score_is_of_the_validation_split(tmp_path, space, dataset, proxy):
    path = tmp_path / "scores.csv"
    score = make_scores(path, space, dataset).score(proxy, architecture(space), TRAINING, seed=3)
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
    first = scores.score(proxy, architecture(space), TRAINING, seed=3)
    monkeypatch.setattr(trainer, "fit_in_parts", no_training)
    assert scores.score(proxy, architecture(space), TRAINING, seed=3) == first
    assert (
        make_scores(path, space, dataset).score(proxy, architecture(space), TRAINING, seed=3)
        == first
    )
    assert len(rows_of(path)) == 1


def test_a_row_that_is_known_is_taken_where_a_training_would_be_the_same(
    tmp_path, space, dataset, proxy, monkeypatch
):
    first = make_scores(tmp_path / "first.csv", space, dataset)
    expected = first.score(proxy, architecture(space), TRAINING, seed=3)
    known = rows_of(tmp_path / "first.csv")
    monkeypatch.setattr(trainer, "fit_in_parts", no_training)
    scores = make_scores(tmp_path / "scores.csv", space, dataset, known)
    assert scores.score(proxy, architecture(space), TRAINING, seed=3) == expected
    assert rows_of(tmp_path / "scores.csv") == known
    assert scores.mean_seconds(proxy, TRAINING) is None  # it took them elsewhere
    there = make_scores(tmp_path / "there.csv", space, dataset, known)
    assert there.has((proxy, architecture(space), 3), TRAINING)
    assert not there.has((proxy, architecture(space), 4), TRAINING)
    other = replace(TRAINING, steps=TRAINING.steps + 1)
    for training, seed in ((TRAINING, 4), (other, 3)):
        scores = make_scores(tmp_path / f"{training.steps}-{seed}.csv", space, dataset, known)
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            scores.score(proxy, architecture(space), training, seed=seed)


@pytest.mark.parametrize(
    "change",
    ["images of the proxy", "training", "validation split", "settings of the space", "image size"],
)
def test_what_a_score_depends_on_has_scores_of_its_own(
    tmp_path, space, dataset, proxy, monkeypatch, change
):
    """Name and seed of the proxy stay the same: they say nothing."""
    path, training = tmp_path / "scores.csv", TRAINING
    make_scores(path, space, dataset).score(proxy, architecture(space), training, seed=0)
    match change:
        case "images of the proxy":
            proxy = make_proxy(seed=4)
        case "training":
            training = replace(TRAINING, steps=51)
        case "validation split":
            dataset = replace(dataset, validation=make_dataset().test)
        case "settings of the space":
            space = replace(space, settings={"wide": 1})
        case "image size":
            space = space.shrunk({"image_size": 2})
    seen = []
    outcome = Outcome(accuracy=0.25, loss=0.25, seconds=0.25, curve=(1.0,))
    monkeypatch.setattr(
        Trainer, "_train_here", lambda *_: seen.append(1) or Trained(outcomes=(outcome,))
    )
    scores = make_scores(path, space, dataset)
    assert scores.score(proxy, architecture(space), training, seed=0).accuracy == 0.25
    assert len(seen) == 1 and len(rows_of(path)) == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nets_for_smaller_images_are_trained_and_measured_on_them(
    tmp_path, space, dataset, proxy, workers
):
    small = space.shrunk({"image_size": 2})
    with closing(Trainer(dataset.normalization, CPU, workers=workers)) as own:
        job = Job(
            space=small,
            architecture=architecture(space),
            seed=0,
            training=TRAINING,
            train=proxy.images,
            held_out=(dataset.validation,),
            keeps_weights=True,
        )
        (trained,) = (each for _, each in own.run([job]))
    assert trained.outcomes[0].accuracy > 0.9
    assert load(trained.weights)["1.weight"].shape == (2 * 2,)  # a pixel each: four of sixteen


def test_the_user_s_method_of_a_built_in_s_name_has_scores_of_its_own(
    tmp_path, space, dataset, proxy
):
    path = tmp_path / "scores.csv"
    scores = make_scores(path, space, dataset)
    other = make_proxy(flipped=True)
    assert scores.score(proxy, architecture(space), TRAINING, seed=0).accuracy > 0.9
    assert scores.score(other, architecture(space), TRAINING, seed=0).accuracy < 0.1


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
        make_scores(path, space, dataset).score(proxy, architecture(space, kind), TRAINING, seed=0)
    monkeypatch.setattr(trainer, "fit_in_parts", no_training)
    with pytest.raises(CandidateError, match=reason):
        make_scores(path, space, dataset).score(proxy, architecture(space, kind), TRAINING, seed=0)
    (row,) = rows_of(path)
    assert row["failure"] == reason
    assert row["accuracy"] == ""


def test_an_interrupt_is_no_failure(tmp_path, space, dataset, proxy, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    path = tmp_path / "scores.csv"
    monkeypatch.setattr(trainer, "fit_in_parts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_scores(path, space, dataset).score(proxy, architecture(space), TRAINING, seed=0)
    assert not path.exists()


def test_the_curve_is_kept(tmp_path, space, dataset, proxy):
    path = tmp_path / "scores.csv"
    first = make_scores(path, space, dataset).score(proxy, architecture(space), TRAINING, seed=0)
    assert len(first.curve) == 30 and first.curve[-1] < first.curve[0]
    assert (
        make_scores(path, space, dataset).score(proxy, architecture(space), TRAINING, seed=0)
        == first
    )


def test_seeds_that_are_the_same_images_are_refused(tmp_path, space, dataset):
    scorer = Scorer(
        table=make_scores(tmp_path / "scores.csv", space, dataset),
        condense=lambda name, number: make_proxy(seed=number // 2),
        num_seeds=3,
        training=TRAINING,
        measure="accuracy",
    )
    with pytest.raises(UserError, match="take --proxy-seeds 1"):
        scorer.estimate("toy_ipc8", [(architecture(space), 0)])
    assert len(replace(scorer, condense=lambda _, number: make_proxy(number)).proxies("toy")) == 3

    def turned(name, number):
        order = torch.arange(16).roll(number)
        proxy = make_proxy()
        return replace(proxy, images=proxy.images.select(order))

    with pytest.raises(UserError, match="take --proxy-seeds 1"):  # in another order
        replace(scorer, condense=turned, _proxies={}).proxies("toy_ipc8")
