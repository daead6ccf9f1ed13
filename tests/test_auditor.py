"""The audit of a proxy: rivals on the same candidates, nothing measured twice, splits apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_run import rows_of

from atom_nas.audit.auditor import Auditor
from atom_nas.audit.free_scores import SIZES, FreeScores
from atom_nas.audit.record import Audit
from atom_nas.audit.rivals import AGAINST, FULL, Rivals
from atom_nas.audit.trained_truth import Measured
from atom_nas.audit.zero_cost import SCORES
from atom_nas.data.sources import open_dataset
from atom_nas.distillation.proxy import Proxy
from atom_nas.report.wording import MEASURES as WORDS
from atom_nas.scoring.objective import OBJECTIVES
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.scorer import Scorer
from atom_nas.scoring.space import load_space
from atom_nas.scoring.trainer import Trained, Trainer
from atom_nas.training.fit import Outcome
from atom_nas.training.schedule import Training

CPU = torch.device("cpu")
TRAINING = Training(steps=4, flip=False, batch_size=16)
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
        accuracies = (architecture.width / 100,) * trainings
        return Measured(validation=accuracies, test=accuracies, seconds=50.0, macs=1e9)

    def measure_all(self, sample, *, trainings=1):
        return [self.measure(each, seed=seed, trainings=trainings) for each, seed in sample]


@pytest.fixture
def auditor(tmp_path, dataset, space):
    def condense(name, number):
        manifest = {"proxy": name, "seed": number, "digest": f"{name} {number}"}
        manifest |= {"seconds": 4.0, "macs": 1e6, "kind": "distilled"}
        indices = torch.arange(20 * number, 20 * number + 20)
        return Proxy(images=dataset.train.select(indices), manifest=manifest)

    scorer = Scorer(
        table=ProxyScores(
            tmp_path / "scores.csv",
            space=space,
            dataset=dataset,
            trainer=Trainer(dataset.normalization, CPU),
        ),
        condense=condense,
        num_seeds=2,
        training=TRAINING,
        measure="accuracy",
    )
    return Auditor(
        folder=tmp_path,
        dataset="digits",
        space="widths",
        scorer=scorer,
        free=FreeScores(tmp_path / "free.csv", space=space, dataset=dataset, seed=0, device=CPU),
        rivals=Rivals(
            scorer=scorer,
            dataset=dataset,
            proxy="atom_ipc2",
            images_per_class=2,
            against="free",
            full_steps=30,
            fixed_in=tmp_path / "equal_cost.json",
        ),
        truth=Wide(),
        trainings=2,
        proxy="atom_ipc2",
        seed=0,
        objective="combined",
        width=None,
        labels=dataset.validation.labels,
    )


def sample_of(space, widths):
    return [(space.module.Architecture(width=width), 7 * width) for width in widths]


@pytest.mark.parametrize(("accuracy", "is_said"), [(0.11, True), (0.5, False)])
def test_candidates_at_chance_are_said_first(auditor, space, monkeypatch, accuracy, is_said):
    def train(self, job):
        own = accuracy + job.architecture.width / 10_000
        return Trained(outcomes=(Outcome(accuracy=own, loss=1.0, seconds=1.0, curve=(1.0,)),))

    monkeypatch.setattr(Trainer, "_train_here", train)
    audit = auditor.audit(sample_of(space, range(1, 41)))
    assert audit.sentences[0].startswith("40 of 40 candidates classify at chance") is is_said
    assert (audit.decision == "undecided") >= is_said


def test_every_rival_is_measured_on_the_same_candidates(auditor, space):
    everything = replace(auditor, rivals=replace(auditor.rivals, against="all"))
    audit = everything.audit(sample_of(space, range(1, 12)))
    found = {rival.figures.name: rival.figures for rival in audit.rivals}
    images = {f"{method}_ipc2" for method in AGAINST["all"] if method not in FULL}
    assert found.keys() == (images - {"atom_ipc2"}) | {*FULL, *SIZES, *SCORES, "free_average"}
    assert audit.n == 11
    assert found["num_params"].spearman.value == 1
    assert [both.figures.name for both in audit.combined] == ["combined_ranks", "combined_model"]
    assert Audit.from_json((auditor.folder / "audit.json").read_text()) == audit


def test_a_second_audit_trains_nothing(auditor, space, monkeypatch):
    sample = sample_of(space, range(1, 5))
    first = auditor.audit(sample)
    monkeypatch.setattr(Trainer, "_train_here", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(FreeScores, "_measure", lambda *_: pytest.fail("scored again"))
    assert auditor.audit(sample) == first


def test_condensations_are_averaged_and_their_agreement_is_reported(auditor, space):
    sample = sample_of(space, range(1, 5))
    estimator = auditor.scorer.estimate("atom_ipc2", sample)
    assert estimator.repeats.shape == (2, 4)
    assert not np.array_equal(*estimator.repeats)
    np.testing.assert_allclose(estimator.scores, estimator.repeats.mean(0))
    assert (estimator.setup_seconds, estimator.setup_macs) == (8, 2e6)
    seconds = sum(float(row["seconds"]) for row in rows_of(auditor.folder / "scores.csv")) / 4
    assert estimator.seconds_per_candidate == pytest.approx(seconds)
    assert auditor.audit(sample).seeds.count == 2


def test_a_training_costs_what_it_shows_and_measures(auditor, space, dataset):
    sample = sample_of(space, (5, 20))
    estimator = auditor.scorer.estimate("atom_ipc2", sample)
    macs = np.mean([space.cost(architecture).macs for architecture, _ in sample])
    shown = 2 * (16 + 4)  # 4 steps of a set of 20 in batches of 16
    passes = 2 * (3 * shown + len(dataset.validation))
    assert estimator.macs_per_candidate == pytest.approx(passes * macs)


def test_the_report_has_words_for_every_objective():
    assert WORDS.keys() == OBJECTIVES.keys()


def test_variants_come_from_the_same_trainings(auditor, space):
    (architecture, seed), *_ = sample = sample_of(space, (5, 20))
    variants = auditor.scorer.estimate("atom_ipc2", sample).variants
    outcomes = auditor.scorer.outcomes("atom_ipc2", architecture, seed=seed)
    likely = np.mean([outcome.accuracy * np.exp(-outcome.curve[-1]) for outcome in outcomes])
    assert {name: values[0] for name, values in variants.items()} == {
        "accuracy_times_likelihood": pytest.approx(likely),
        "loss": pytest.approx(-np.mean([outcome.loss for outcome in outcomes])),
        "training_loss": pytest.approx(-np.mean([outcome.curve for outcome in outcomes])),
        "final_training_loss": pytest.approx(-np.mean([each.curve[-1] for each in outcomes])),
    }


def test_a_candidate_that_fails_is_last_by_every_score(auditor, space):
    estimator = auditor.scorer.estimate("atom_ipc2", sample_of(space, (5, 13, 20)))
    for scores in (estimator.ranked, *estimator.ranked_variants.values()):
        assert np.isfinite(scores).all() and scores.argmin() == 1


def test_a_failed_truth_counts_as_zero_and_is_told_apart(auditor, space):
    class Broken(Wide):
        def measure(self, architecture, *, seed, trainings=1):
            measured = super().measure(architecture, seed=seed, trainings=trainings)
            failed = (np.nan, np.nan)
            return replace(measured, validation=failed) if architecture.width == 3 else measured

    audit = replace(auditor, truth=Broken()).audit(sample_of(space, (1, 2, 3)))
    (size,) = (each for each in audit.estimators if each.name == "num_params")
    assert size.spearman.value == -0.5
    rows = rows_of(auditor.folder / "audit.csv")
    for split in ("validation", "test"):
        assert [row[f"{split}_accuracy"] for row in rows] == ["0.01", "0.02", ""]


def test_exchanged_test_labels_change_no_choice(auditor, space):
    """Byte for byte: what the test split says is reported, and nothing more."""

    class Exchanged(Wide):
        def measure(self, architecture, *, seed, trainings=1):
            measured = super().measure(architecture, seed=seed, trainings=trainings)
            return replace(measured, test=tuple(1 - each for each in measured.test))

    sample = sample_of(space, range(1, 41))
    first, other = (replace(auditor, truth=truth).audit(sample) for truth in (Wide(), Exchanged()))
    assert first.test != other.test
    blank = [
        replace(
            audit,
            test=None,
            proxy=replace(audit.proxy, spearman_test=None),
            rivals=tuple(
                replace(each, figures=replace(each.figures, spearman_test=None))
                for each in audit.rivals
            ),
            combined=tuple(
                replace(
                    both,
                    figures=replace(both.figures, spearman_test=None),
                    base=replace(both.base, spearman_test=None),
                )
                for both in audit.combined
            ),
        ).to_json()
        for audit in (first, other)
    ]
    assert blank[0] == blank[1]
    own = auditor.scorer.estimate("atom_ipc2", sample[:1])
    free = auditor.free.estimators([sample[0][0]])
    predictions = set()
    for truth in (Wide(), Exchanged()):
        judge = replace(auditor, truth=truth)
        predictions.add(judge.fit_model(sample)(own, free).item())
    assert len(predictions) == 1


def test_full_data_sees_as_many_images_as_the_cost_of_the_proxy_allows(auditor, space, dataset):
    sample = sample_of(space, range(1, 4))
    macs = auditor.scorer.table.mean_macs(architecture for architecture, _ in sample)
    proxy = replace(
        auditor.scorer.estimate("atom_ipc2", sample),
        macs_per_candidate=900 * macs,
        setup_macs=100 * 300 * macs,  # shared out over 100 candidates
    )
    allowed = (900 + 300 - len(dataset.validation)) / 3
    assert auditor.rivals._equal_images(proxy, sample) == pytest.approx(allowed)
    cheaper = replace(proxy, setup_macs=0)
    assert auditor.rivals._equal_images(cheaper, sample) == pytest.approx(allowed)  # once for all
    longer = replace(
        auditor.rivals, scorer=replace(auditor.scorer, training=replace(TRAINING, steps=5))
    )
    assert longer._equal_images(cheaper, sample) == pytest.approx(allowed - 100)  # of its own
    assert auditor.rivals._equal_images(cheaper, sample) == pytest.approx(allowed)


def test_rivals_on_full_data_are_annealed_or_stopped(auditor, space, dataset, monkeypatch):
    seen = []

    def train(self, job):
        seen.append((job.training, len(job.train)))
        return Trained(outcomes=(Outcome(accuracy=0.5, loss=1.0, seconds=1.0, curve=(1.0,)),))

    monkeypatch.setattr(Trainer, "_train_here", train)
    monkeypatch.setattr(Rivals, "_equal_images", lambda *_: 160.0)
    equal = replace(auditor, rivals=replace(auditor.rivals, against="equal_cost"))
    equal.audit(sample_of(space, (3,)))
    annealed, stopped = seen[-2:]
    assert annealed == (replace(TRAINING, steps=10), len(dataset.train))
    assert stopped == (replace(TRAINING, steps=30, stop=1 / 3), len(dataset.train))


def test_settings_of_a_space_change_what_it_builds(space):
    large = space.shrunk({"twice": 2})
    architecture = space.module.Architecture(width=3)
    assert large.cost(architecture).num_params > space.cost(architecture).num_params
