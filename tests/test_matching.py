"""The distillation loop: gradients, checkpoints, resumption, divergence."""

import ctypes
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch.nn import functional as F

from atom_nas.distillation import matching as module
from atom_nas.distillation.attention import class_means, matching_loss
from atom_nas.distillation.matching import Matching, distill
from atom_nas.distillation.methods import atom, dm
from atom_nas.distillation.recipes import Recipe
from atom_nas.errors import UserError
from atom_nas.training.convnet import FeatureNet

RECIPE = Recipe(steps=6, learning_rate=1.0, real_batch=8, width=16, flip=False)


@pytest.fixture
def in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)


@pytest.fixture(scope="module")
def digits():
    digits = load_digits()
    images = torch.from_numpy(digits.images[:600]).float()[:, None]
    labels = torch.from_numpy(digits.target[:600])
    return (images - images.mean()) / images.std(), [
        torch.nonzero(labels == k).flatten() for k in range(10)
    ]


def make_matching(digits, recipe=RECIPE, seed=0, method=atom):
    images, class_indices = digits
    return Matching(
        real=images,
        class_indices=class_indices,
        describe=method.describe,
        recipe=recipe,
        seed=seed,
    )


def make_net(recipe=RECIPE):
    net = FeatureNet((1, 8, 8), width=recipe.width, depth=recipe.depth, norm=recipe.norm)
    return net.requires_grad_(False)


def ignore(step, loss, images):
    pass


def wait_for(condition):
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.05)
    return False


class StopError(Exception):
    pass


def interrupt_after(last):
    def watch(step, loss, images):
        if step == last:
            raise StopError

    return watch


def test_start_is_of_distinct_real_images_sorted_by_class(digits):
    start = make_matching(digits).random_start(4)
    images, class_indices = digits
    assert start.shape == (40, 1, 8, 8)
    for k, indices in enumerate(class_indices):
        of_class = {image.numpy().tobytes() for image in images[indices]}
        got = {image.numpy().tobytes() for image in start[4 * k : 4 * k + 4]}
        assert len(got) == 4
        assert got <= of_class


def test_start_depends_on_the_seed(digits):
    starts = [make_matching(digits, seed=seed).random_start(3) for seed in (0, 0, 1)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_gradient_is_that_of_the_loss(digits, in_float32):
    """Walk a little against the gradient: the loss falls by its squared length."""
    matching, net = make_matching(digits), make_net()
    images = matching.random_start(2) + 0.1
    loss, gradient = matching.gradient(images, net, 0)
    size = 1e-3 / gradient.norm()
    lower, _ = matching.gradient(images - size * gradient, net, 0)
    higher, _ = matching.gradient(images + size * gradient, net, 0)
    slope = (higher - lower) / (2 * size)
    assert slope.item() == pytest.approx(gradient.square().sum().item(), rel=0.02)
    assert gradient.shape == images.shape
    assert loss.ndim == 0


def test_loss_without_augmentation_is_the_published_one(digits, in_float32, monkeypatch):
    """All real images of a class in the batch, no augmentation: nothing is left to chance."""
    images, class_indices = digits
    few = [indices[:5] for indices in class_indices]
    recipe = replace(RECIPE, real_batch=5, loss_scale=7.0, embedding_weight=0.3)
    matching = replace(make_matching(digits, recipe), class_indices=few)
    monkeypatch.setattr(module, "prepare", lambda transforms, like: lambda batch: batch)
    net = make_net(recipe)
    synthetic = matching.random_start(2)
    loss, _ = matching.gradient(synthetic, net, 3)
    means = []
    for batch in (images[torch.cat(few)], synthetic):
        descriptors = atom.describe(*net(batch), recipe)
        means.append([class_means(descriptor, 10) for descriptor in descriptors])
    assert loss.item() == pytest.approx(7.0 * matching_loss(*means).item(), rel=1e-5)


def test_equal_images_under_one_augmentation_have_no_loss(digits, in_float32):
    """One transformation is shared by the real and the synthetic images of a class."""
    images, class_indices = digits
    few = [indices[:3] for indices in class_indices]
    recipe = replace(RECIPE, real_batch=3, flip=True)
    matching = replace(make_matching(digits, recipe), class_indices=few)
    net = make_net()
    for step in range(6):
        loss, _ = matching.gradient(images[torch.cat(few)], net, step)
        assert loss.item() < 1e-6
    apart, _ = matching.gradient(images[torch.cat(few)].roll(3, 0), net, 0)
    assert apart.item() > 1


def test_a_rare_class_shrinks_no_real_batch_but_repeats_its_images(digits):
    class_indices = digits[1]
    few = [class_indices[0][:3], *class_indices[1:]]
    matching = replace(make_matching(digits), class_indices=few)
    found = matching._sample(8, torch.Generator().manual_seed(0))
    assert found.shape == (10, 8)
    times = found[0].unique(return_counts=True)[1]
    assert len(times) == 3 and times.min() >= 2
    assert all(len(each.unique()) == 8 for each in found[1:])


def test_every_step_has_its_own_randomness(digits):
    matching, net = make_matching(digits), make_net()
    images = matching.random_start(2)
    losses = [matching.gradient(images, net, step)[0].item() for step in (0, 1, 2, 0)]
    assert len(set(losses)) == 3
    assert losses[0] == losses[3]


@pytest.mark.parametrize("method", [atom, dm])
@pytest.mark.parametrize("max_pixels", [1, 3 * 10 * 64])
def test_runs_of_classes_change_nothing_under_instance_norm(
    digits, in_float32, monkeypatch, method, max_pixels
):
    matching, net = make_matching(digits, method=method), make_net()
    images = matching.random_start(2) + 0.1
    whole_loss, whole = matching.gradient(images, net, 1)
    monkeypatch.setattr(module, "MAX_PIXELS", max_pixels)
    cut_loss, cut = matching.gradient(images, net, 1)
    torch.testing.assert_close(cut_loss, whole_loss, rtol=1e-5, atol=0)
    torch.testing.assert_close(cut, whole, rtol=1e-3, atol=1e-5 * whole.abs().max().item())


def test_loss_falls(digits, tmp_path):
    """Over the same nets, batches and augmentations before and after."""
    matching = make_matching(
        digits, replace(RECIPE, steps=30, width=32, real_batch=32, learning_rate=0.03)
    )
    images, _ = distill(matching, 2, checkpoint=tmp_path / "c", watch=ignore)

    def loss(images):
        net = make_net(matching.recipe)
        return sum(matching.gradient(images, net, step)[0].item() for step in range(100, 112))

    assert loss(images) < 0.6 * loss(matching.random_start(2))


def test_update_is_sgd_with_momentum(digits, tmp_path):
    recipe = replace(RECIPE, steps=3, momentum=0.7, learning_rate=2.0)
    matching = make_matching(digits, recipe)
    images, _ = distill(matching, 2, checkpoint=tmp_path / "c", watch=ignore)
    expected = matching.random_start(2).requires_grad_()
    sgd = torch.optim.SGD([expected], lr=2.0, momentum=0.7)
    net = make_net(recipe)
    for step in range(3):
        expected.grad = matching.gradient(expected.detach(), net, step)[1]
        sgd.step()
    torch.testing.assert_close(images, expected.detach())


def test_a_distillation_leaves_the_process_as_it_was(digits, tmp_path, monkeypatch):
    """Threads of PyTorch, here and in threads that start later; the allocator; own threads."""
    set_in_allocator, before = [], torch.get_num_threads()
    libc = SimpleNamespace(mallopt=lambda *setting: set_in_allocator.append(setting))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    running = set(threading.enumerate())
    torch.set_num_threads(3)
    try:
        matching = make_matching(digits, replace(RECIPE, steps=1))
        distill(matching, 1, checkpoint=tmp_path / "c", watch=ignore)
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    del matching
    gc.collect()
    assert wait_for(lambda: set(threading.enumerate()) <= running)
    assert set_in_allocator == []


@pytest.mark.parametrize("last", [1, 4])
def test_resumed_distillation_is_bit_identical(digits, tmp_path, monkeypatch, last):
    matching = make_matching(digits)
    whole, _ = distill(matching, 2, checkpoint=tmp_path / "whole", watch=ignore)
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0)
    checkpoint = tmp_path / "cut"
    with pytest.raises(StopError):
        distill(matching, 2, checkpoint=checkpoint, watch=interrupt_after(last))
    steps = []
    resumed, _ = distill(
        matching, 2, checkpoint=checkpoint, watch=lambda step, *_: steps.append(step)
    )
    assert steps == list(range(last + 1, 7))
    assert torch.equal(whole, resumed)


def test_a_finished_distillation_is_not_done_again(digits, tmp_path):
    matching = make_matching(digits)
    first, seconds = distill(matching, 2, checkpoint=tmp_path / "c", watch=ignore)
    again, same_seconds = distill(
        matching, 2, checkpoint=tmp_path / "c", watch=lambda *_: pytest.fail("a step was done")
    )
    assert torch.equal(first, again)
    assert same_seconds == pytest.approx(seconds, abs=1.0)


def test_checkpoints_are_rare(digits, tmp_path):
    checkpoint = tmp_path / "c"
    with pytest.raises(StopError):
        distill(make_matching(digits), 2, checkpoint=checkpoint, watch=interrupt_after(5))
    assert not checkpoint.exists()


@pytest.mark.parametrize("seconds", [0, 1000])
def test_divergence_keeps_the_last_good_images(digits, tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0)
    checkpoint = tmp_path / "c"
    with pytest.raises(StopError):
        distill(make_matching(digits), 2, checkpoint=checkpoint, watch=interrupt_after(2))
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", seconds)
    wild = make_matching(digits, replace(RECIPE, learning_rate=1e30))
    with pytest.raises(UserError, match=r"diverged.*lower the learning rate 1e\+30") as caught:
        distill(wild, 2, checkpoint=checkpoint, watch=ignore)
    assert "\n" not in str(caught.value)
    assert str(checkpoint) in str(caught.value)
    assert torch.isfinite(load_file(checkpoint)["images"]).all()


def test_divergence_before_any_checkpoint_promises_none(digits, tmp_path):
    checkpoint = tmp_path / "c"
    wild = make_matching(digits, replace(RECIPE, learning_rate=1e30))
    with pytest.raises(UserError, match="diverged") as caught:
        distill(wild, 2, checkpoint=checkpoint, watch=ignore)
    assert not checkpoint.exists()
    assert str(checkpoint) not in str(caught.value)


def test_instance_norm_features_are_what_is_matched(digits, in_float32):
    """The embedding of DM is a plain instance-norm ConvNet's, times the root of 0.01."""
    net = make_net()
    images = digits[0][:4]
    x = images
    for conv in (layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)):
        x = F.avg_pool2d(F.relu(F.instance_norm(F.conv2d(x, conv.weight, conv.bias, padding=1))), 2)
    (descriptor,) = dm.describe(*net(images), RECIPE)
    torch.testing.assert_close(descriptor, 0.1 * x.flatten(1), rtol=1e-4, atol=1e-6)
