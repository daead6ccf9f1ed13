"""The evaluation of the papers: its schedule, augmentation, whitening and seed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atom_nas.data.augmentation import Augmentation
from atom_nas.data.images import ImageSet
from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset
from atom_nas.data.whitening import ZCA
from atom_nas.distillation.names import load_method
from atom_nas.distillation.paper_nets import NETS
from atom_nas.distillation.paper_protocol import PaperAccuracy, Protocol, fit, train_and_test
from atom_nas.training.batches import Examples
from atom_nas.training.convnet import ConvNet

CPU = torch.device("cpu")
NONE = Augmentation(
    brightness=0, saturation=0, contrast=0, crop=0, cutout=0, flip=0, scale=1, rotate=0
)
SHORT = Protocol(epochs=4, augmentation=Augmentation())


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return open_dataset("digits", Path("unused"), seed=0)


@pytest.fixture(scope="module")
def proxy(digits: Dataset) -> ImageSet:
    select = load_method("random").select
    return digits.train.select(select(digits.train, 10, seed=0, device=CPU))


def narrow(image_shape: tuple[int, int, int], num_classes: int) -> ConvNet:
    return ConvNet(image_shape, num_classes, width=8, depth=1)


def examples(seed: int, num_images: int = 12) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(num_images, 3, 8, 8, generator=generator)
    return Examples(images=images, labels=torch.arange(num_images) % 3)


@pytest.mark.parametrize(
    ("epochs", "rates"),
    [(1, [0.01]), (2, [0.01, 0.001]), (3, [0.01, 0.01, 0.001]), (4, [0.01, 0.01, 0.001, 0.001])],
)
def test_the_learning_rate_drops_tenfold_at_half_of_the_epochs(
    epochs: int, rates: list[float]
) -> None:
    protocol = replace(SHORT, epochs=epochs)
    assert [protocol.learning_rate_in(epoch) for epoch in range(epochs)] == pytest.approx(rates)


@pytest.mark.parametrize("broken", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_a_protocol_that_cannot_train_is_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Protocol(augmentation=Augmentation(), **{"epochs": 1, **broken})


def test_fit_is_sgd_with_momentum_and_decay_in_the_written_schedule() -> None:
    """One full batch an epoch and no augmentation, against the update rule by hand."""
    train = examples(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3)).double()
    by_hand = [parameter.detach().clone() for parameter in net.parameters()]
    train = replace(train, images=train.images.double())
    velocity = [torch.zeros_like(parameter) for parameter in by_hand]
    for rate in (0.01, 0.01, 0.001, 0.001):
        leaves = [parameter.requires_grad_() for parameter in by_hand]
        logits = train.images.flatten(1) @ leaves[0].T + leaves[1]
        # Autocast leaves float64 alone, but the loss is taken in float32.
        loss = torch.nn.functional.cross_entropy(logits.float(), train.labels)
        gradients = torch.autograd.grad(loss, leaves)
        velocity = [
            0.9 * v + g + 5e-4 * p.detach()
            for v, g, p in zip(velocity, gradients, leaves, strict=True)
        ]
        by_hand = [p.detach() - rate * v for p, v in zip(leaves, velocity, strict=True)]
    fit(net, train, Protocol(epochs=4, augmentation=NONE), seed=0)
    for ours, reference in zip(net.parameters(), by_hand, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-7)


def test_a_seed_decides_weights_order_and_augmentation_and_nothing_else_does() -> None:
    nets: list[ConvNet] = []

    def build(image_shape: tuple[int, int, int], num_classes: int) -> ConvNet:
        nets.append(narrow(image_shape, num_classes))
        return nets[-1]

    for seed, surroundings in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(surroundings)
        before = torch.get_rng_state()
        train_and_test(build, examples(0), examples(1), SHORT, seed=seed)
        assert torch.equal(before, torch.get_rng_state())
    same, again, other = [net.classifier.weight for net in nets]
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_random_digits_teach_more_than_chance(digits: Dataset, proxy: ImageSet) -> None:
    accuracy = PaperAccuracy(dataset=digits, whiten=False, device=CPU)
    assert accuracy.measure(proxy, NETS["convnet3"], epochs=30, seed=0) > 0.4


def test_digits_are_never_mirrored(
    digits: Dataset, proxy: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def record(build: object, train: Examples, test: Examples, protocol: Protocol, *, seed: int):
        seen.append((protocol, len(test.labels)))
        return 0.5

    monkeypatch.setattr("atom_nas.distillation.paper_protocol.train_and_test", record)
    for flip in (False, True):
        accuracy = PaperAccuracy(dataset=replace(digits, flip=flip), whiten=False, device=CPU)
        assert accuracy.measure(proxy, narrow, epochs=7, seed=0) == 0.5
    assert [protocol.augmentation.flip for protocol, _ in seen] == [0.0, 0.5]
    assert {(protocol.epochs, size) for protocol, size in seen} == {(7, len(digits.test))}


@pytest.mark.parametrize("part", ["train", "test"])
def test_every_split_is_whitened_by_the_training_images(digits: Dataset, part: str) -> None:
    images = getattr(digits, part)
    normalized = [digits.normalization(split.pixels) for split in (digits.train, images)]
    expected = ZCA.fit(normalized[0])(normalized[1])
    whitened = PaperAccuracy(dataset=digits, whiten=True, device=CPU).examples(images)
    plain = PaperAccuracy(dataset=digits, whiten=False, device=CPU).examples(images)
    torch.testing.assert_close(whitened.images, expected)
    torch.testing.assert_close(plain.images, normalized[1])
    assert not torch.allclose(whitened.images, plain.images, atol=0.1)
    assert torch.equal(whitened.labels, images.labels)
