"""The confirmation: rivals on the same candidates, at a cost that is counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atom_nas.audit.auditor import Confirmation
from atom_nas.audit.free_scores import SIZES, FreeScores
from atom_nas.audit.record import Audit
from atom_nas.audit.rivals import AGAINST, FULL
from atom_nas.audit.trained_truth import Measured
from atom_nas.audit.zero_cost import SCORES
from atom_nas.data.sources import open_dataset
from atom_nas.distillation.proxy import Proxy
from atom_nas.report.wording import MEASURES as WORDS
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.scorer import MEASURES, Scorer
from atom_nas.scoring.space import load_space
from atom_nas.storage import Table
from atom_nas.training.fit import Training

CPU = torch.device("cpu")
TRAINING = Training(epochs=2, flip=False, batch_size=16)
SPACE = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int

def sample(trial):
    return Architecture(width=trial.suggest_int("width", 1, 64))

def build(architecture, image_shape, num_classes, *, twice=1):
    if architecture.width == 13:
        raise ValueError("thirteen")
    width = architecture.width * twice
    return nn.Sequential(
        nn.Conv2d(image_shape[0], width, 3, stride=3), nn.ReLU(), nn.Flatten(),
        nn.Linear(width * 4, num_classes),
    )
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset("digits", tmp_path_factory.mktemp("data"), seed=0)


@pytest.fixture
def space(tmp_path, dataset):
    file = tmp_path / "widths.py"
    file.write_text(SPACE)
    return load_space(str(file), dataset.image_shape, dataset.num_classes)


class Wide:
    """The truth that wider is better."""

    is_known = False

    def measure(self, architecture, *, seed, trainings=1):
        return Measured(accuracies=(architecture.width / 100,) * trainings, seconds=50.0)


@pytest.fixture
def confirmation(tmp_path, dataset, space):
    def condense(name, number):
        first = 20 * number
        manifest = {"proxy": name, "seed": number, "seconds": 4.0}
        indices = torch.arange(first, first + 20)
        return Proxy(images=dataset.train.select(indices), manifest=manifest)

    scores = ProxyScores(
        tmp_path / "scores.csv", space=space, dataset=dataset, training=TRAINING, device=CPU
    )
    return Confirmation(
        folder=tmp_path,
        dataset=dataset,
        space="widths",
        scorer=Scorer(table=scores, condense=condense, num_seeds=2, measure="accuracy"),
        free=FreeScores(tmp_path / "free.csv", space=space, dataset=dataset, seed=0, device=CPU),
        truth=Wide(),
        trainings=2,
        proxy="atom_ipc2",
        images_per_class=2,
        against="free",
        training=TRAINING,
        full_epochs=3,
        seed=0,
        width=None,
    )


def sample_of(space, widths):
    return [(space.module.Architecture(width=width), 7 * width) for width in widths]


def test_every_rival_is_measured_on_the_same_candidates(confirmation, space):
    everything = replace(confirmation, against="all")
    found = everything.judge(sample_of(space, range(1, 12)))
    images = {f"{method}_ipc2" for method in AGAINST["all"] if method not in FULL}
    free = {*SIZES, *SCORES, "free_average"}
    rivals = {rival.figures.name: rival.figures for rival in found.rivals}
    assert rivals.keys() == (images - {"atom_ipc2"}) | {*FULL} | free
    assert found.n == 11
    assert rivals["num_params"].spearman.value == 1
    both = {combined.figures.name: combined.base.name for combined in found.combined}
    assert both == {"combined_ranks": "free_average", "combined_model": "free_model"}
    assert Audit.from_json((confirmation.folder / "audit.json").read_text()) == found


def test_a_second_judgement_trains_nothing(confirmation, space, monkeypatch):
    sample = sample_of(space, range(1, 5))
    first = confirmation.judge(sample)
    monkeypatch.setattr(ProxyScores, "_measure", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(FreeScores, "_measure", lambda *_: pytest.fail("scored again"))
    assert confirmation.judge(sample) == first


def test_seeds_are_averaged_and_their_agreement_is_reported(confirmation, space):
    sample = sample_of(space, range(1, 5))
    estimator = confirmation.scorer.estimate("atom_ipc2", sample)
    assert estimator.repeats.shape == (2, 4)
    assert not np.array_equal(*estimator.repeats)
    np.testing.assert_allclose(estimator.scores, estimator.repeats.mean(0))
    assert estimator.setup_seconds == 8
    rows = Table(confirmation.folder / "scores.csv", ()).rows
    seconds = sum(float(row["seconds"]) for row in rows) / 4
    assert estimator.seconds_per_candidate == pytest.approx(seconds)
    assert confirmation.judge(sample).seeds.count == 2


def test_the_report_has_words_for_every_objective():
    assert WORDS.keys() == {*MEASURES, "combined"}


def test_variants_come_from_the_same_trainings(confirmation, space):
    (architecture, seed), *_ = sample = sample_of(space, (5, 20))
    variants = confirmation.scorer.estimate("atom_ipc2", sample).variants
    scores = confirmation.scorer.score("atom_ipc2", architecture, seed=seed)
    first = {name: values[0] for name, values in variants.items()}
    likely = np.mean([score.accuracy * np.exp(-score.curve[-1]) for score in scores])
    assert first == {
        "accuracy_times_likelihood": pytest.approx(likely),
        "loss": pytest.approx(-np.mean([score.loss for score in scores])),
        "training_loss": pytest.approx(-np.mean([score.curve for score in scores])),
        "final_training_loss": pytest.approx(-np.mean([score.curve[-1] for score in scores])),
    }


def test_a_candidate_that_fails_is_last_by_every_score(confirmation, space):
    sample = sample_of(space, (5, 13, 20))
    estimator = confirmation.scorer.estimate("atom_ipc2", sample)
    for scores in (estimator.scores, *estimator.variants.values()):
        assert np.isfinite(scores).all() and scores.argmin() == 1


def test_a_failed_truth_counts_as_zero_and_is_told_apart(confirmation, space):
    class Broken(Wide):
        def measure(self, architecture, *, seed, trainings=1):
            fails = architecture.width == 3
            measured = super().measure(architecture, seed=seed, trainings=trainings)
            return replace(measured, accuracies=(np.nan, np.nan)) if fails else measured

    found = replace(confirmation, truth=Broken()).judge(sample_of(space, (1, 2, 3)))
    sizes = next(each for each in found.estimators if each.name == "num_params")
    assert sizes.spearman.value == -0.5
    rows = Table(confirmation.folder / "audit.csv", ()).rows
    assert [row["test_accuracy"] for row in rows] == ["0.01", "0.02", "nan"]


def test_full_data_sees_as_many_images_as_the_cost_of_the_proxy_allows(confirmation, space):
    sample = sample_of(space, range(1, 4))
    proxy = confirmation.scorer.estimate("atom_ipc2", sample)
    slow = replace(proxy, setup_seconds=30.0, seconds_per_candidate=5.0)
    # 20 images, 2 epochs, 2 seeds; the distillation is 30 s for 3 candidates of 5 s: 3 times.
    assert confirmation._equal_images(slow, 3) == pytest.approx(20 * 2 * 2 * 3)
    assert confirmation._equal_images(proxy, 3) == pytest.approx(240)  # once and for all


def test_rivals_on_full_data_are_annealed_or_stopped(confirmation, space, monkeypatch):
    seen = {}

    def measure(self, proxy, architecture, seed):
        seen[proxy.name] = self._training, len(proxy.images)
        return {"accuracy": 0.5, "loss": 1.0, "curve": "1.0", "seconds": 1.0, "failure": ""}

    monkeypatch.setattr(ProxyScores, "_measure", measure)
    confirmation.folder.joinpath("equal_cost.json").write_text('{"images": 600}')
    equal = replace(confirmation, against="equal_cost")
    equal.judge(sample_of(space, (3,)))
    num_images = len(confirmation.dataset.train)
    annealed, stopped = (seen[name] for name in FULL)
    assert annealed == (replace(TRAINING, epochs=600 / num_images), num_images)
    assert stopped[0].epochs == 3
    assert stopped[0].stop == pytest.approx(600 / num_images / 3)


def test_free_scores_are_taken_again_after_a_kill(confirmation, space):
    sample = [architecture for architecture, _ in sample_of(space, (3, 4))]
    first = confirmation.free.estimators(sample)
    path = confirmation.folder / "free.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-3]))  # the last candidate lacks its last rows
    again = FreeScores(
        path, space=space, dataset=confirmation.dataset, seed=0, device=CPU
    ).estimators(sample)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_allclose(one.scores, other.scores)


def test_settings_of_a_space_change_what_it_builds(space):
    large = space.shrunk({"twice": 2})
    architecture = space.module.Architecture(width=3)
    assert large.cost(architecture).num_params > space.cost(architecture).num_params
