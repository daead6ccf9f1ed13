"""The papers' measure of a distilled set: fresh nets trained on it, and their test accuracy.

The test split is read as in the published measurement: the last iterate is measured once and
reported, and nothing (no step, image, net or setting) is chosen by it.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from torch.nn import functional as F

from atom_nas.data.augmentation import Augmentation, augment_batch
from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Dataset
from atom_nas.data.transfer import move
from atom_nas.data.whitening import ZCA
from atom_nas.distillation.paper_nets import Builder
from atom_nas.storage.files import derive_seed
from atom_nas.training.batches import Examples
from atom_nas.training.devices import autocast
from atom_nas.training.fit import evaluate


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """SGD on hard labels under DSA (Zhao and Bilen, ICML 2021), as the papers train the nets."""

    augmentation: Augmentation
    epochs: int = 1000
    batch_size: int = 256
    learning_rate: float = 0.01
    """Of the first half of the epochs; a tenth of it in the second."""
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError(f"epochs, batch_size and learning_rate must be positive: {self}")

    def learning_rate_in(self, epoch: int) -> float:
        """Return the learning rate of `epoch`, counted from 0."""
        return self.learning_rate if 2 * epoch < self.epochs else self.learning_rate / 10


def fit(net: nn.Module, examples: Examples, protocol: Protocol, *, seed: int) -> nn.Module:
    """Train `net` in place on `examples` and return it; order and augmentation follow `seed`."""
    device = examples.images.device
    layout = torch.channels_last
    net = net.to(device, memory_format=layout).train()  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=protocol.learning_rate,
        momentum=protocol.momentum,
        weight_decay=protocol.weight_decay,
    )
    for epoch in range(protocol.epochs):
        for group in optimizer.param_groups:
            group["lr"] = protocol.learning_rate_in(epoch)
        (order,) = move([torch.randperm(len(examples.labels), generator=generator)], device)
        for batch in order.split(protocol.batch_size):
            images = augment_batch(protocol.augmentation, examples.images[batch], generator)
            with autocast(device):
                logits = net(images.contiguous(memory_format=layout))
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), examples.labels[batch]).backward()
            optimizer.step()
    return net


def train_and_test(
    build: Builder, proxy: Examples, test: Examples, protocol: Protocol, *, seed: int
) -> float:
    """Return the accuracy on `test` (fraction) of a fresh net trained on `proxy`.

    The number of classes is that of the labels in `proxy`. Weights, order and augmentation depend
    on `seed` alone. Raises DivergenceError when the test loss is not finite.
    """
    channels, height, width = proxy.images.shape[1:]
    num_classes = int(proxy.labels.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        net = build((channels, height, width), num_classes)
    return evaluate(fit(net, proxy, protocol, seed=seed), test).accuracy


@dataclass(frozen=True, kw_only=True)
class PaperAccuracy:
    """The measure of small sets of images of `dataset`, in the space in which they were matched."""

    dataset: Dataset
    whiten: bool
    """Whiten proxy and test images by the ZCA of the training images, after normalisation."""
    device: torch.device
    batch_size: int = Protocol.batch_size
    """DataDAM's released code has 64, and 1,800 epochs."""

    def measure(self, proxy: ImageSet, build: Builder, *, epochs: int, seed: int) -> float:
        """Return the test accuracy (fraction) of one fresh net trained on `proxy`."""
        flip = Augmentation().flip if self.dataset.flip else 0.0
        protocol = Protocol(
            epochs=epochs, batch_size=self.batch_size, augmentation=Augmentation(flip=flip)
        )
        return train_and_test(build, self.examples(proxy), self._test, protocol, seed=seed)

    def examples(self, images: ImageSet) -> Examples:
        """Return `images` normalised, and whitened where the images were matched so."""
        pixels = self.dataset.normalization(images.pixels.to(self.device))
        return Examples(
            images=self._zca(pixels) if self._zca else pixels,
            labels=images.labels.to(self.device),
        )

    @cached_property
    def _zca(self) -> ZCA | None:
        train = self.dataset.train.pixels.to(self.device)
        return ZCA.fit(self.dataset.normalization(train)) if self.whiten else None

    @cached_property
    def _test(self) -> Examples:
        return self.examples(self.dataset.test)
