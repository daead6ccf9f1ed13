"""Embeddings of real images by a briefly trained ConvNet-3: the space in which coresets choose."""

from dataclasses import replace

import torch
from torch import Tensor

from atom_nas.data.images import ImageSet, Normalization
from atom_nas.training.batches import Examples
from atom_nas.training.convnet import ConvNet
from atom_nas.training.devices import autocast
from atom_nas.training.fit import EVALUATION_BATCH, fit
from atom_nas.training.schedule import Training

NUM_IMAGES, WIDTH = 20_000, 64
"""Images seen in training, in whole epochs, at least one: enough for classes to part; and channels
of the net."""


def embed(train: ImageSet, *, seed: int, device: torch.device) -> Tensor:
    """Return the embedding (N, D) float32, on the CPU, of every image of `train`.

    The net is a ConvNet-3 of width 64 trained on `train` itself for about 20,000 images.
    """
    examples = Examples.of(train, Normalization.fit(train), device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ConvNet(train.image_shape, train.num_classes, width=WIDTH)
    training = Training(steps=1, flip=False)
    epochs = max(1, NUM_IMAGES // len(train))
    training = replace(training, steps=training.steps_in(epochs, len(train)))
    fit(net, examples, training, seed=seed)
    net.eval()
    with torch.inference_mode(), autocast(device):
        parts = [net.features(part)[1].cpu() for part in examples.images.split(EVALUATION_BATCH)]
    return torch.cat(parts).float().clone()
