"""A training under way: stopped and gone on from its state, it comes to the same weights."""

from dataclasses import replace

import pytest
import torch
from test_fit import make_stripes
from torch import nn
from torch.nn import functional as F

from atom_nas.storage.tensors import load_sealed, save_sealed
from atom_nas.training.course import Course
from atom_nas.training.final import final_training, fit_to_best
from atom_nas.training.fit import DivergenceError, evaluate, fit
from atom_nas.training.schedule import Training

TRAINING = Training(steps=40, flip=True, batch_size=16)
EPOCH = 8
"""Steps of 120 images."""


def make_net(seed=0):
    """Return a net with everything that a state has to hold: statistics, and draws of its own."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.LayerNorm(32),
        nn.Linear(32, 2),
    )


def are_equal(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("change", [{}, {"label_smoothing": 0.1, "decays_norms": False}])
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_a_course_goes_on_from_its_state_to_the_same_weights(tmp_path, change, epochs):
    training = replace(TRAINING, **change)
    whole, first, second = make_net(), make_net(), make_net(seed=1)
    fit(whole, make_stripes(), training, seed=3)
    course = Course(first, make_stripes(), training, seed=3)
    course.go_on(epochs * EPOCH)
    save_sealed(tmp_path / "state", course.state(), {})
    torch.rand(5)
    other = Course(second, make_stripes(), training, seed=4)
    other.restore(load_sealed(tmp_path / "state")[0])
    assert other.steps == epochs * EPOCH
    assert not are_equal(second, whole)
    other.go_on(training.steps - other.steps)
    assert are_equal(second, whole)


def test_a_state_is_taken_between_epochs_alone():
    course = Course(make_net(), make_stripes(), TRAINING, seed=3)
    course.go_on(EPOCH - 1)
    with pytest.raises(AssertionError):
        course.state()


def rates_of(training, count):
    course, rates = Course(make_net(), make_stripes(), training, seed=0), []
    for _ in range(count):
        rates.append([group["lr"] for group in course._optimizer.param_groups])
        course.go_on(1)
    return rates


def test_the_rate_climbs_for_its_share_and_then_falls():
    rates = [rate for (rate,) in rates_of(replace(TRAINING, warm_up=0.1), 40)]
    assert rates.index(max(rates)) == 3
    assert max(rates) == pytest.approx(0.1)
    assert sorted(rates[3:], reverse=True) == rates[3:]
    assert rates[-1] < 1e-4


def test_a_warm_up_of_one_step_is_none():
    assert rates_of(replace(TRAINING, steps=20, warm_up=0.05), 1)[0][0] == pytest.approx(0.1, 0.1)


def test_norms_and_biases_decay_unless_they_need_not():
    """Without a gradient a parameter changes by its decay alone."""
    for decays_norms in (True, False):
        net = make_net()
        before = {name: each.clone() for name, each in net.named_parameters()}
        training = replace(TRAINING, decays_norms=decays_norms, weight_decay=0.1)
        course = Course(net, make_stripes(), training, seed=0)
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        course._optimizer.step()
        changed = {n for n, each in net.named_parameters() if not torch.equal(each, before[n])}
        weights = {"0.weight", "7.weight"}
        ones = {"1.weight", "6.weight", "0.bias", "7.bias"}
        assert changed == (weights | ones if decays_norms else weights)


def test_a_norm_over_maps_is_a_norm():
    net = nn.Sequential(nn.LayerNorm([1, 8, 8]), nn.Flatten(), nn.Linear(64, 2))
    course = Course(net, make_stripes(), replace(TRAINING, decays_norms=False), seed=0)
    decaying, free = (group["params"] for group in course._optimizer.param_groups)
    assert [id(each) for each in decaying] == [id(net[2].weight)]
    assert {id(each) for each in free} == {id(p) for p in [*net[0].parameters(), net[2].bias]}


def test_labels_are_smoothed(monkeypatch):
    seen = []
    plain = F.cross_entropy

    def watched(logits, labels, **more):
        seen.append(more["label_smoothing"])
        return plain(logits, labels, **more)

    monkeypatch.setattr("atom_nas.training.step.F.cross_entropy", watched)
    for smoothing in (0.0, 0.25):
        course = Course(
            make_net(), make_stripes(), replace(TRAINING, label_smoothing=smoothing), seed=0
        )
        course.go_on(1)
    assert seen == [0.0, 0.25]


FINAL = replace(TRAINING, steps=6 * EPOCH, label_smoothing=0.1, decays_norms=False)


def fit_best(net, path, watch=lambda *_: None, training=FINAL):
    held_out = make_stripes(count=60, seed=1)
    return fit_to_best(
        net, make_stripes(), held_out, training, seed=3, checkpoint=path, watch=watch
    )


def test_the_best_epoch_is_kept(tmp_path, monkeypatch):
    """Of made accuracies, the first is not the best, nor the last; of equals the lower loss."""
    found = iter([(0.5, 1.0), (0.9, 0.5), (0.9, 0.4), (0.9, 0.4), (0.8, 0.1), (0.7, 0.1)])
    real, states = evaluate, []

    def evaluated(net, examples):
        states.append({name: each.clone() for name, each in net.state_dict().items()})
        accuracy, loss = next(found)
        return replace(real(net, examples), accuracy=accuracy, loss=loss)

    monkeypatch.setattr("atom_nas.training.final.evaluate", evaluated)
    best, seconds = fit_best(make_net(), tmp_path / "checkpoint")
    assert (best.epoch, best.outcome.accuracy, best.outcome.loss) == (3, 0.9, 0.4)
    assert all(torch.equal(best.weights[name], each) for name, each in states[2].items())
    assert seconds > 0


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("at", [1, 3, 5])
def test_stopped_and_gone_on_it_finds_the_same_best(tmp_path, monkeypatch, at):
    monkeypatch.setattr("atom_nas.training.final.CHECKPOINT_SECONDS", 0.0)
    whole, _ = fit_best(make_net(), tmp_path / "whole")

    def stop(steps, best):
        if steps == at * EPOCH + EPOCH:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit_best(make_net(), tmp_path / "checkpoint", stop)
    seen = []
    again, _ = fit_best(make_net(seed=1), tmp_path / "checkpoint", lambda n, _: seen.append(n))
    assert seen[0] == (at + 1) * EPOCH  # nothing before the epoch that was broken off
    assert (again.epoch, again.outcome) == (whole.epoch, whole.outcome)
    assert all(torch.equal(again.weights[name], each) for name, each in whole.weights.items())
    ended, _ = fit_best(make_net(seed=2), tmp_path / "checkpoint")  # and once more after its end
    assert all(torch.equal(ended.weights[name], each) for name, each in whole.weights.items())


def test_a_damaged_checkpoint_is_made_again(tmp_path, capsys):
    whole, _ = fit_best(make_net(), tmp_path / "whole")
    (tmp_path / "checkpoint").write_bytes(b"torn")
    again, _ = fit_best(make_net(), tmp_path / "checkpoint")
    assert all(torch.equal(again.weights[name], each) for name, each in whole.weights.items())
    assert capsys.readouterr().err == f"{tmp_path / 'checkpoint'} is damaged: it is made again.\n"


def test_a_training_that_diverges_is_an_error(tmp_path):
    training = replace(FINAL, learning_rate=1e30, max_grad_norm=1e30)
    with pytest.raises(DivergenceError):
        fit_best(make_net(), tmp_path / "checkpoint", training=training)


def test_a_final_training_lasts_its_epochs():
    training = final_training(epochs=3, num_images=130, flip=True)
    assert (training.steps, training.flip) == (3 * 3, True)
    assert training.images_shown(130) == 3 * 130
