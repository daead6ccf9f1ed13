"""How long candidates are trained: long enough to learn, the same for every size of set."""

from dataclasses import replace

import pytest
import torch

from atom_nas.errors import UserError
from atom_nas.pipeline.lengths import Lengths
from atom_nas.scoring.chance import are_at_chance, chance, is_at_chance, is_unbalanced
from atom_nas.storage.files import read_json
from atom_nas.training.schedule import Training

LABELS = torch.arange(500) % 10
TRAINING = Training(steps=100, flip=False)


class Truth:
    """Settles at four times the steps that it is opened with."""

    def __init__(self):
        self.training = replace(TRAINING, steps=300)

    def lengthen(self, first):
        self.training = replace(self.training, steps=4 * self.training.steps)


@pytest.mark.parametrize("is_open", [True, False])
def test_the_full_length_is_settled_once_and_kept(tmp_path, is_open):
    steps = 1200 if is_open else 300
    for _ in range(2):
        truth, lengths = Truth(), open_lengths(tmp_path, is_full_open=is_open)
        for _ in range(2):
            lengths.settle(truth, list)
            assert truth.training.steps == lengths.full.steps == steps


def open_lengths(folder, *, is_open=True, is_full_open=False):
    return Lengths(
        folder / "lengths.json",
        proxy=TRAINING,
        full=replace(TRAINING, steps=300),
        is_proxy_open=is_open,
        is_full_open=is_full_open,
    )


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [(0.1, True), (0.13, True), (0.132, True), (0.136, False), (0.5, False)],
)
def test_chance_is_exact(accuracy, expected):
    """P(X >= 66 of 500) = 0.0124, P(X >= 67) = 0.0088 at a tenth: computed by summing."""
    assert is_at_chance(accuracy, LABELS) is expected


def test_chance_is_the_commonest_class():
    labels = torch.tensor([0] * 90 + [1] * 10)
    assert chance(labels) == 0.9
    assert is_at_chance(0.9, labels) and not is_at_chance(1.0, labels)


def test_most_have_to_be_above_chance():
    assert are_at_chance([0.1, 0.1, 0.5], LABELS)
    assert not are_at_chance([0.1, 0.5, 0.5], LABELS)


def test_where_classes_are_unbalanced_accuracy_tells_nothing_and_the_length_stays(tmp_path):
    labels = torch.tensor([0] * 88 + [1] * 12)
    lengths = open_lengths(tmp_path)
    said = lengths.look("atom_ipc1", lambda: [0.82, 0.85, 0.8], labels)
    assert "commonest class is there (88.0%)" in said and "100 steps" in said
    assert lengths.proxy == TRAINING
    assert read_json(tmp_path / "lengths.json") == {"proxy_steps": 100}
    assert not is_unbalanced(LABELS) and is_unbalanced(labels)


def test_a_training_that_teaches_something_is_kept(tmp_path):
    lengths = open_lengths(tmp_path)
    assert lengths.look("atom_ipc1", lambda: [0.5, 0.4, 0.1], LABELS) == ""
    assert lengths.proxy == TRAINING
    assert read_json(tmp_path / "lengths.json") == {"proxy_steps": 100}


def test_one_that_teaches_nothing_is_lengthened_and_said_so(tmp_path):
    lengths = open_lengths(tmp_path)
    said = lengths.look(
        "atom_ipc1", lambda: [0.3 if lengths.proxy.steps >= 400 else 0.1] * 3, LABELS
    )
    assert lengths.proxy.steps == 400
    assert "first 3 candidates classify at chance (10.0%) after 200 steps on atom_ipc1" in said
    assert "400 steps" in said and "\n" not in said
    again = open_lengths(tmp_path)
    assert again.proxy.steps == 400
    assert again.look("atom_ipc1", lambda: pytest.fail("looked again"), LABELS) == ""


def test_where_no_length_teaches_anything_one_line_says_what_to_change(tmp_path):
    lengths = open_lengths(tmp_path)
    with pytest.raises(UserError, match=r"after 800 steps .* condense more images") as caught:
        lengths.look("atom_ipc1", lambda: [0.1] * 3, LABELS)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "lengths.json").exists()


def test_a_length_that_the_user_gave_is_kept_and_the_output_says_what_it_is_worth(tmp_path):
    lengths = open_lengths(tmp_path, is_open=False)
    said = lengths.look("atom_ipc1", lambda: [0.1] * 3, LABELS)
    assert lengths.proxy == TRAINING and "lengthen --proxy-steps" in said


def test_failures_alone_decide_nothing(tmp_path):
    lengths = open_lengths(tmp_path)
    assert lengths.look("atom_ipc1", lambda: [], LABELS) == ""
