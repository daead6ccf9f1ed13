"""Training: it learns, repeats by seed, stops when it diverges, and moves images as it says."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from atom_nas.training.batches import Examples, shift_and_flip
from atom_nas.training.fit import DivergenceError, evaluate, fit
from atom_nas.training.schedule import Training

TRAINING = Training(steps=32, flip=False, batch_size=16)


def make_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def make_stripes(count=120, seed=0):
    """Return images of horizontal (0) and vertical (1) stripes with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    stripes = (torch.arange(8) % 2 * 2.0 - 1).expand(8, 8)
    images = torch.where(labels[:, None, None] == 1, stripes, stripes.T)[:, None]
    noise = 0.3 * torch.randn(images.shape, generator=generator)
    return Examples(images=images + noise, labels=labels)


def moved_by_loop(image, dy, dx, mirror):
    """Return `image` (C, H, W) where pixel (y, x) shows (y + dy, x + dx), 0 outside, mirrored."""
    channels, height, width = image.shape
    result = torch.zeros_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                v, u = y + dy, (width - 1 - x if mirror else x) + dx
                if 0 <= v < height and 0 <= u < width:
                    result[c, y, x] = image[c, v, u]
    return result


def all_moves(image, reach_y, reach_x, flip):
    """Return bytes -> (dy, dx, mirror) of every move of `image` that the docstring allows."""
    return {
        moved_by_loop(image, dy, dx, mirror).numpy().tobytes(): (dy, dx, mirror)
        for dy in range(-reach_y, reach_y + 1)
        for dx in range(-reach_x, reach_x + 1)
        for mirror in ((False, True) if flip else (False,))
    }


@pytest.mark.parametrize("flip", [True, False])
def test_shift_and_flip_makes_exactly_the_moves_of_a_slow_loop(flip):
    training = replace(TRAINING, flip=flip)
    image = torch.rand(2, 8, 16)
    allowed = all_moves(image, 1, 2, flip)
    assert len(allowed) == 3 * 5 * (2 if flip else 1)
    batch = shift_and_flip(
        image.expand(1500, -1, -1, -1), training, torch.Generator().manual_seed(0)
    )
    assert batch.shape == (1500, 2, 8, 16)
    counts = dict.fromkeys(allowed.values(), 0)
    for moved in batch:
        counts[allowed[moved.contiguous().numpy().tobytes()]] += 1
    fair = 1500 / len(counts)
    assert min(counts.values()) > 0.5 * fair
    assert max(counts.values()) < 1.6 * fair


def test_images_of_a_batch_keep_their_place():
    images = torch.arange(1.0, 33.0)[:, None, None, None].expand(-1, 1, 8, 8)
    moved = shift_and_flip(images, TRAINING, torch.Generator().manual_seed(0))
    assert torch.equal(moved.amax((1, 2, 3)), torch.arange(1.0, 33.0))
    assert set(moved[4].unique().tolist()) <= {0.0, 5.0}


def test_no_shift_and_no_flip_changes_nothing():
    images = torch.rand(5, 3, 8, 8)
    training = replace(TRAINING, shift=0.0)
    assert torch.equal(shift_and_flip(images, training, torch.Generator()), images)


def test_flip_alone_mirrors_about_half():
    images = torch.rand(1, 1, 4, 4).expand(400, -1, -1, -1)
    moved = shift_and_flip(
        images, replace(TRAINING, shift=0.0, flip=True), torch.Generator().manual_seed(0)
    )
    mirrored = (moved == images.flip(3)).flatten(1).all(1)
    assert ((moved == images).flatten(1).all(1) ^ mirrored).all()
    assert 140 < mirrored.sum() < 260


def test_learns_separable_images():
    net = make_net()
    curve = fit(net, make_stripes(), replace(TRAINING, steps=80), seed=0)
    outcome = evaluate(net, make_stripes(seed=1))
    assert outcome.accuracy > 0.95
    assert outcome.loss < 0.3
    assert len(curve) == 30
    assert curve[0] > curve[-1]


def trained(seed):
    net = make_net()
    fit(net, make_stripes(), TRAINING, seed=seed)
    return net


def test_weights_depend_on_the_seed_alone():
    nets = [trained(seed) for seed in (1, 1, 2)]
    first, again, other = ([p.detach() for p in net.parameters()] for net in nets)
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


def test_the_global_generator_does_not_matter():
    first, second = trained(1), make_net()
    torch.manual_seed(99)
    fit(second, make_stripes(), TRAINING, seed=1)
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def steps_of(training, count=80):
    """Return the images of each step of a training on `count` of them."""
    seen = []

    class Watched(nn.Linear):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images.flatten(1))

    fit(Watched(64, 2), make_stripes(count=count), training, seed=0)
    return seen


@pytest.mark.parametrize("count", [80, 70, 17, 10])
@pytest.mark.parametrize("steps", [1, 7, 12])
def test_steps_show_the_images_that_are_counted(count, steps):
    training = replace(TRAINING, steps=steps)
    shown = steps_of(training, count)
    assert len(shown) == steps
    assert sum(shown) == training.images_shown(count)
    assert 1 not in shown  # batch normalisation cannot train on one image


@pytest.mark.parametrize(("epochs", "steps"), [(1, 5), (1.6, 8), (0.4, 2), (1e-6, 1)])
def test_epochs_in_steps(epochs, steps):
    assert TRAINING.steps_in(epochs, 80) == steps


def test_the_curve_is_the_mean_loss_of_thirty_equal_parts(monkeypatch):
    losses = []
    plain = torch.nn.functional.cross_entropy

    def watched(*args, **kwargs):
        losses.append(plain(*args, **kwargs))
        return losses[-1]

    monkeypatch.setattr("atom_nas.training.fit.F.cross_entropy", watched)
    curve = fit(make_net(), make_stripes(), replace(TRAINING, steps=60), seed=0)
    pairs = torch.stack(losses).view(30, 2).mean(1)
    torch.testing.assert_close(torch.tensor(curve), pairs)


def test_dropout_depends_on_the_seed_alone_and_leaves_the_global_generator():
    weights = []
    for number in (1, 2):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 2))
        torch.manual_seed(number)
        before = torch.get_rng_state()
        fit(net, make_stripes(), TRAINING, seed=5)
        assert torch.equal(torch.get_rng_state(), before)
        weights.append(net[2].weight)
    assert torch.equal(*weights)


def test_stopping_cuts_the_schedule_where_it_is(monkeypatch):
    rates = []
    step = torch.optim.SGD.step

    def watched(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    assert len(steps_of(replace(TRAINING, steps=20))) == 20
    assert len(steps_of(replace(TRAINING, steps=20, stop=0.25))) == 5
    assert rates[20:] == rates[:5]


@pytest.mark.parametrize(
    ("training", "spoil"),
    [(replace(TRAINING, learning_rate=1e30, max_grad_norm=1e30), 1.0), (TRAINING, torch.nan)],
)
def test_divergence_is_raised(training, spoil):
    examples = make_stripes()
    examples.images[3] *= spoil
    with pytest.raises(DivergenceError):
        fit(make_net(), examples, training, seed=0)


def test_divergence_in_evaluation_is_raised():
    net = make_net()
    nn.init.constant_(net[-1].weight, torch.nan)
    with pytest.raises(DivergenceError):
        evaluate(net, make_stripes())


class Parity(nn.Module):
    """Logits that favour class 1 where the first pixel is positive."""

    def forward(self, images):
        first = images[:, 0, 0, 0]
        return torch.stack([-first, first], 1)


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1203])
def test_scores_by_hand_over_any_number_of_batches(count):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 1, 4, 4, generator=generator).bfloat16().float()
    labels = torch.randint(0, 2, (count,), generator=generator)
    score = evaluate(Parity(), Examples(images=images, labels=labels))
    first = images[:, 0, 0, 0].double()
    right = ((first > 0).long() == labels).double().mean().item()
    margin = torch.where(labels == 1, -2 * first, 2 * first)
    assert score.accuracy == pytest.approx(right)
    assert score.loss == pytest.approx(torch.log1p(margin.exp()).mean().item(), rel=0.01)


def test_evaluation_leaves_the_net_in_evaluation_mode_and_batch_statistics_alone():
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2)).train()
    evaluate(net, make_stripes())
    assert net[0].num_batches_tracked == 0
    assert not net.training


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"stop": 0}, {"stop": 1.1}]
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match="must be"):
        replace(TRAINING, **change)
