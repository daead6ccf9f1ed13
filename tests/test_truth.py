"""The truth of an audit, and the ceiling that its own noise sets."""

import math

import numpy as np
import pytest

from atom_nas.audit.figures import TOP
from atom_nas.audit.ranking import rank_correlation, top_fraction
from atom_nas.audit.truth import Truth
from atom_nas.errors import UserError


def made(n, trainings, r, seed=0):
    """Return the quality (n,) and a truth whose trainings correlate by r."""
    generator = np.random.default_rng(seed)
    quality = generator.normal(size=n)
    noise = generator.normal(size=(n, trainings)) * math.sqrt(1 / r - 1)
    return quality, Truth(validation=np.clip(0.5 + 0.03 * (quality[:, None] + noise), 0, 1))


@pytest.mark.parametrize(("trainings", "r"), [(2, 0.3), (2, 0.8), (3, 0.5), (5, 0.5)])
def test_a_perfect_score_reaches_the_ceiling(trainings, r):
    """The correlation between trainings, which was once called so, is far below it."""
    quality, truth = made(6000, trainings, r)
    reached, ceiling = rank_correlation(quality, truth.mean), truth.ceiling()
    assert ceiling.value == pytest.approx(reached, abs=0.02)
    assert ceiling.agreement < reached - 0.05
    assert ceiling.trainings == trainings


@pytest.mark.parametrize(("trainings", "r"), [(3, 0.4), (3, 0.8), (4, 0.6)])
def test_a_perfect_score_reaches_the_ceiling_in_the_top(trainings, r):
    """Cut by the mean of the trainings that are then correlated, it is biased far below."""
    quality, truth = made(8000, trainings, r)
    reached = np.mean(
        [rank_correlation(quality[top.is_in], top.accuracies[top.is_in]) for top in truth.tops(TOP)]
    )
    assert truth.ceiling(TOP).value == pytest.approx(reached, abs=0.03)
    chosen = top_fraction(truth.mean, TOP)
    first, second = np.array(truth.validation)[chosen, :2].T
    assert rank_correlation(first, second) < reached - 0.25


def test_candidates_with_more_trainings_than_others_count_by_the_harmonic_mean():
    quality, truth = made(6000, 4, 0.5)
    ragged = [each[: 1 if i % 2 else 4] for i, each in enumerate(truth.validation)]
    ceiling = Truth(validation=ragged).ceiling()
    assert ceiling.trainings == pytest.approx(1.6)
    reached = rank_correlation(quality, Truth(validation=ragged).mean)
    assert ceiling.value == pytest.approx(reached, abs=0.03)


def test_trainings_that_disagree_have_the_ceiling_0():
    assert Truth(validation=[(0.1, 0.9), (0.5, 0.5), (0.9, 0.1)]).ceiling().value == 0


@pytest.mark.parametrize("trainings", [1, 2])
def test_too_few_trainings_have_no_ceiling_and_say_why(trainings):
    _, truth = made(40, trainings, 0.5)
    assert (truth.ceiling().value is None) == (trainings == 1)
    top = truth.ceiling(TOP)
    assert top.value is None
    assert "a third of the candidates must be trained 3 times" in top.reason
    (only,) = truth.tops(TOP)
    assert only.is_in.tolist() == top_fraction(truth.mean, TOP).tolist()
    two = Truth(validation=[(0.1, 0.2), (0.3, 0.1), (0.5,)])
    assert two.ceiling().reason == "it needs 3 candidates with two trainings or more"


def test_what_chooses_the_top_does_not_judge_it():
    _, truth = made(50, 3, 0.5)
    tops = truth.tops(TOP)
    assert len(tops) == 3
    for number, top in enumerate(tops):
        others = np.delete(np.array(truth.validation), number, axis=1)
        assert top.accuracies == pytest.approx(others.mean(1))
        chooser = [each[number] for each in truth.validation]
        assert top.is_in.tolist() == top_fraction(chooser, TOP).tolist()


def test_a_failed_training_counts_as_zero():
    known = Truth(validation=[(0.5, np.nan), (np.nan,), 0.4])
    assert known.mean.tolist() == [0.25, 0.0, 0.4]
    assert known.has_failed.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"validation": []}, "no validation accuracy"),
        ({"validation": [[0.5], []]}, "no validation accuracy"),
        ({"validation": [93.1]}, "93.1; give a fraction"),
        ({"validation": [0.5], "test": [-0.1]}, "test accuracy -0.1"),
        ({"validation": [0.5], "test": [0.5, 0.5]}, "1 candidates on the validation split, 2"),
        ({"validation": [0.5], "macs": float("nan")}, "MACs"),
    ],
)
def test_what_is_no_truth_is_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        Truth(**wrong)
