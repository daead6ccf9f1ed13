"""The record of an audit: as JSON and back, what is refused, its frame and its plot."""

import json

import numpy as np
import pytest
from made_scores import estimator, judge, make_truth, noise

from atom_nas.audit.figures import audit_scores
from atom_nas.audit.record import Audit
from atom_nas.audit.truth import Truth
from atom_nas.errors import UserError

pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_the_record_comes_back_from_json_exactly(n):
    generator = np.random.default_rng(7)
    accuracies = np.clip(make_truth(n)[:, None] + generator.normal(0, 0.05, (n, 3)), 0, 1)
    accuracies[0] = np.nan
    repeats = generator.normal(size=(2, n))
    repeats[0, -1] = np.nan
    proxy = estimator("p", repeats.mean(0), repeats=repeats, variants={"loss": repeats[1]})
    truth = Truth(validation=accuracies, test=accuracies, seconds=1.0, macs=1e6)
    rivals = [noise(n), noise(n, 2, "other")]
    both = (noise(n, 3, "both"), noise(n, 4, "base"))
    found = audit_scores(proxy, rivals, truth, combined=[both], dataset="d", space="s")
    assert found.truth[0] is None and found.proxy.scores[-1] is None
    text = found.to_json()
    assert json.loads(text, parse_constant=pytest.fail)
    assert Audit.from_json(text) == found
    assert Audit.from_json(text).to_json() == text


TEXT = judge(estimator("p", range(3)), [noise(3)], make_truth(3)).to_json()


def changed(text, key, value):
    found = json.loads(text)
    place, *keys = [found, *key.split(".")]
    for part in keys[:-1]:
        place = place[int(part) if part.isdigit() else part]
    place[keys[-1]] = value
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "audit.json is not JSON"),
        ("[" * 100_000, "audit.json is not JSON"),
        ("[]", r"has \[\] at its top"),
        ("null", "has null at its top"),
        (TEXT.replace('"decision"', '"decisions"'), "unknown key decisions"),
        (json.dumps({k: v for k, v in json.loads(TEXT).items() if k != "plan"}), "lacks plan"),
        (changed(TEXT, "decision", "maybe"), 'has "maybe" at decision'),
        (changed(TEXT, "decision", []), r"has \[\] at decision"),
        (changed(TEXT, "proxy.spearman.low", None), "has null at proxy.spearman.low"),
        (changed(TEXT, "proxy.spearman.low", float("nan")), "has NaN at proxy.spearman.low"),
        (changed(TEXT, "proxy.top_k", 1.5), "has 1.5 at proxy.top_k"),
        (changed(TEXT, "rivals.0.is_fair", 1), r"has 1 at rivals\[0\].is_fair"),
        (changed(TEXT, "ceiling", "x" * 99), '"x+... at ceiling; make it again'),
    ],
)
def test_a_file_that_is_no_audit_is_one_line_with_the_key(text, message):
    with pytest.raises(UserError, match=message) as error:
        Audit.from_json(text, "audit.json")
    assert "\n" not in str(error.value)


def test_the_frame_has_a_row_an_estimator():
    truth = make_truth()
    proxy = noise(macs_per_candidate=3.0, setup_macs=200.0)
    both = (estimator("both", truth), noise(name="base"))
    frame = judge(proxy, [estimator("oracle", truth)], truth, combined=[both]).frame()
    assert frame["name"] == ["noise", "oracle", "both"]
    assert frame["verdict"] == [None, "worse", None]
    assert frame["cost"] == [5.0, 0.0, 0.0]
    assert frame["spearman_low"][1] <= frame["spearman"][1] == 1
    assert {len(column) for column in frame.values()} == {3}


def test_the_plot_shows_the_truth_over_the_score():
    truth = make_truth()
    (axes,) = judge(noise(), [], truth).plot().axes
    points = np.array(axes.collections[0].get_offsets())
    assert axes.get_xlabel() == "Score by noise"
    assert points == pytest.approx(np.stack([noise().scores, 100 * truth], axis=1))
