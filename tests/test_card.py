"""The model card of an export says what its files say, and that the rest is not known."""

import json

import pytest

from atom_nas.export.card import is_retrained, model_card

METRICS = {
    "candidate": "32-2-relu",
    "dataset": "digits",
    "about": "UCI digits, CC BY 4.0",
    "images": {"train": 1078, "validation": 269, "test": 450},
    "proxy": "atom_ipc10",
    "proxy_spearman": {"value": 0.674, "low": 0.32, "high": 0.86, "n": 30},
    "validation_accuracy": 0.9812,
    "test_accuracy": 0.9756,
    "num_params": 23552,
    "macs": 1234567,
    "full_steps": 1240,
    "full_seconds": 61.4,
}


def card_of(tmp_path, metrics, names=("cat", "dog")):
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "preprocessing.json").write_text(json.dumps({"class_names": names}))
    lines = model_card(tmp_path).splitlines()
    assert lines[:2] == ["## Model card", ""]
    return dict(line.removeprefix("- ").split(": ", 1) for line in lines[2:])


def test_all_that_is_known(tmp_path):
    assert card_of(tmp_path, METRICS) == {
        "Data": "digits, 1,078 training + 269 validation + 450 test images, 2 classes (cat, dog). "
        "UCI digits, CC BY 4.0.",
        "Chosen by": "atom_ipc10, a small stand-in for digits, which ranks 30 nets with Spearman "
        "0.67 (95% interval 0.32 to 0.86) against training on the full data.",
        "Accuracy": "98.1% on the validation images, 97.6% on the test images; the validation "
        "images chose among nets and epochs, the test none.",
        "Cost": "23,552 parameters, 1,234,567 multiply-adds an image.",
        "Training": "1,240 steps, 61 s.",
    }


def test_a_net_that_a_model_chose(tmp_path):
    assert card_of(tmp_path, METRICS | {"model_fitted_on": 30})["Chosen by"] == (
        "atom_ipc10, a small stand-in for digits (in turn with a model of it and free scores, "
        "fitted on 30 trained nets), which ranks 30 nets with Spearman 0.67 (95% interval 0.32 to "
        "0.86) against training on the full data."
    )


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("combined_ranks", "the mean rank by free scores and atom_ipc10, a small stand-in for"),
        ("combined_model", "a model of free scores and of atom_ipc10, a small stand-in for"),
    ],
)
def test_a_net_that_another_estimator_chose(tmp_path, by, words):
    ranking = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40}
    line = card_of(tmp_path, METRICS | {"chosen_by": by, "chosen_by_spearman": ranking})
    assert line["Chosen by"] == (
        f"{words} digits, which ranks 40 nets with Spearman 0.90 (95% interval 0.80 to 0.95) "
        "against training on the full data."
    )
    unknown = card_of(tmp_path, METRICS | {"chosen_by": by, "chosen_by_spearman": None})
    assert "how well it ranks nets is not known" in unknown["Chosen by"]


def test_nothing_is_known(tmp_path):
    assert card_of(tmp_path, {}) == {
        "Data": "not known by name, 2 classes (cat, dog). Licence not known.",
        "Chosen by": "not known.",
        "Accuracy": "not known.",
        "Cost": "not known.",
        "Training": "not known.",
    }


@pytest.mark.parametrize(
    "found", [None, 0.5, {"value": 0.5}, {**METRICS["proxy_spearman"], "n": None}]
)
def test_a_proxy_without_an_audit(tmp_path, found):
    line = card_of(tmp_path, METRICS | {"proxy_spearman": found})["Chosen by"]
    assert line.endswith("how well it ranks nets is not known, as no audit was made.")


@pytest.mark.parametrize("value", [None, "many", [1], {"a": 1}, True])
def test_values_of_another_kind_count_as_none(tmp_path, value):
    card = card_of(tmp_path, dict.fromkeys(METRICS, value))
    name = "many" if value == "many" else "not known by name"
    assert card["Data"].startswith(f"{name}, 2 classes")
    assert card["Cost"] == card["Accuracy"] == card["Training"] == "not known."


def test_a_net_that_was_chosen_elsewhere(tmp_path):
    more = {"retrained_from": "1-best", "chosen_on": "toy", "epochs": 20, "best_epoch": 17}
    card = card_of(tmp_path, {**METRICS, **more})
    assert card["Chosen by"].startswith("atom_ipc10, a small stand-in for toy, which ranks 30")
    assert card["Training"] == (
        "from fresh weights, with the architecture of the export 1-best; 20 epochs, 1,240 steps, "
        "61 s, the weights are those of epoch 17."
    )
    assert is_retrained(tmp_path)


def test_many_classes_are_cut_short(tmp_path):
    line = card_of(tmp_path, METRICS, names=[f"class {n}" for n in range(1000)])["Data"]
    assert "1000 classes (class 0, class 1," in line and len(line) < 400


@pytest.mark.parametrize("content", [None, "", "{", "{}"])
def test_what_is_not_retrained(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    assert not is_retrained(tmp_path)
