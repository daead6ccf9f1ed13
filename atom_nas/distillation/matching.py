"""The distillation loop: class means of descriptors matched in the features of random nets."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from atom_nas.data.augmentation import Augmentation, prepare, sample_transforms
from atom_nas.data.transfer import move
from atom_nas.distillation.attention import class_means, matching_loss
from atom_nas.distillation.recipes import Recipe
from atom_nas.distillation.shared_out import Share
from atom_nas.errors import DamagedError, UserError
from atom_nas.storage.files import derive_seed, tell_made_again
from atom_nas.storage.tensors import load_sealed, save_sealed
from atom_nas.training.convnet import FeatureNet
from atom_nas.training.devices import autocast, free_memory

Describe = Callable[[list[Tensor], Tensor, Recipe], list[Tensor]]
"""From (maps, embedding, recipe) to the descriptors (B, D_j) whose class means are matched."""

MAX_PIXELS = 2_000_000
"""Pixels (images x height x width) in one forward pass; more are cut into runs of classes.

On a GPU what is free decides, but under batch normalisation, where the runs change the result.
"""

BYTES_PER_VALUE = 40
"""Memory of a pass on a GPU, by pixel and channel of the net, as estimated, not measured: half
precision kept for the gradient, and some four maps in float32 at work."""

MAX_VALUES = 2**31 - 1
"""Elements of a map in one pass: the kernels of a GPU count in 32 bits."""

CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Matching:
    """One distillation: which real images, which descriptors, which settings, which seed."""

    real: Tensor
    """The training images (N, C, H, W) in the space in which they are matched, float32."""
    class_indices: list[Tensor]
    """For each class the positions of its images in `real`."""
    describe: Describe
    recipe: Recipe
    seed: int
    share: Share = field(default_factory=Share)
    """Which of the classes are those of this process."""
    job: str = ""
    """What it is a distillation of, as in the digest of its settings: a checkpoint is for that."""

    def random_start(self, images_per_class: int) -> Tensor:
        """Return random real images, (K * images_per_class, C, H, W), sorted by class."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "start"))
        return self.real[self._sample(images_per_class, generator).flatten()]

    def gradient(self, images: Tensor, net: FeatureNet, step: int) -> tuple[Tensor, Tensor]:
        """Return the loss and its gradient for `images` (K * M, C, H, W) at `step`.

        Everything random (the weights of `net`, the real batch, the augmentation) depends on the
        seed and the step alone. Where classes do not go through one forward pass, the result is
        the same but for batch normalisation. With a `share`, K are the classes of this process.
        """
        device = images.device
        generator = torch.Generator().manual_seed(derive_seed(self.seed, step))
        net.reset(torch.Generator(device).manual_seed(derive_seed(self.seed, step, "net")))
        own, num_classes = self._own_classes, self._num_own
        augmentation = Augmentation() if self.recipe.flip else Augmentation(flip=0.0)
        (real_index,) = move([self._sample(self.recipe.real_batch, generator)[own]], device)
        transforms = sample_transforms(augmentation, len(self.class_indices), generator)[own]
        synthetic = images.detach().unflatten(0, (num_classes, -1))

        def match(classes: slice) -> tuple[Tensor, Tensor]:
            part = synthetic[classes].detach().requires_grad_()
            augment = prepare(transforms[classes], images)
            with torch.no_grad():
                real_means = self._means(net, augment(self.real[real_index[classes]]))
            means = self._means(net, augment(part))
            loss = self.recipe.loss_scale * matching_loss(real_means, means)
            return loss.detach(), torch.autograd.grad(loss, part)[0]

        if device.type == "cpu" and self.recipe.norm != "batch":
            results = self._threads.map(match, _slices(num_classes, 1))
        else:
            results = map(match, _slices(num_classes, self._classes_per_pass(images)))
        losses, gradients = zip(*results, strict=True)
        return torch.stack(losses).sum(), torch.cat(gradients).flatten(0, 1)

    @property
    def _own_classes(self) -> slice:
        return self.share.classes(len(self.class_indices))

    @property
    def _num_own(self) -> int:
        return len(self.class_indices[self._own_classes])

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return _start_threads(self._num_own)

    def _means(self, net: FeatureNet, images: Tensor) -> list[Tensor]:
        """Return the class means (K, D_j) of every descriptor of `images` (K, B, C, H, W)."""
        batch = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with autocast(batch.device):
            maps, embedding = net(batch)
        descriptors = self.describe(maps, embedding, self.recipe)
        return [class_means(descriptor, len(images)) for descriptor in descriptors]

    def _sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return positions (K, count) of random images of each class.

        A class that has fewer is gone through more than once.
        """

        def draw(indices: Tensor) -> Tensor:
            rounds = -(-count // len(indices))
            orders = [torch.randperm(len(indices), generator=generator) for _ in range(rounds)]
            return indices[torch.cat(orders)[:count]]

        return torch.stack([draw(indices) for indices in self.class_indices])

    def _classes_per_pass(self, images: Tensor) -> int:
        per_class = len(images) // self._num_own + self.recipe.real_batch
        return max(1, self._pixels_per_pass // (per_class * images.shape[2] * images.shape[3]))

    @cached_property
    def _pixels_per_pass(self) -> int:
        if self.real.device.type != "cuda" or self.recipe.norm == "batch":
            return MAX_PIXELS
        by_memory = free_memory(self.real.device) // 2 // BYTES_PER_VALUE
        return min(by_memory, MAX_VALUES) // self.recipe.width


def distill(
    matching: Matching,
    images_per_class: int,
    *,
    checkpoint: Path,
    watch: Callable[[int, Tensor, Tensor], None],
) -> tuple[Tensor, float]:
    """Return the final images (K * M, C, H, W) in matching space, and the seconds spent.

    The images and the optimiser's state are kept in `checkpoint` every 20 s, where the next call
    goes on; with a damaged one it begins again. `watch(step, loss, images)` is called with them.
    Raises UserError when the loss is not finite; the checkpoint then holds the last good images.
    """
    recipe, device, share = matching.recipe, matching.real.device, matching.share
    net = FeatureNet(
        matching.real.shape[1:],  # type: ignore[arg-type]
        width=recipe.width,
        depth=recipe.depth,
        norm=recipe.norm,
    ).to(device)
    net.requires_grad_(False)
    num_classes = len(matching.class_indices)
    every, momenta, first, spent = _begin(matching, images_per_class, checkpoint)
    images, velocity = (share.own(each, num_classes) for each in (every, momenta))
    start = saved = share.clock()
    for step in range(first, recipe.steps):
        loss, gradient = matching.gradient(images, net, step)
        velocity.mul_(recipe.momentum).add_(gradient)
        images = images - recipe.learning_rate * velocity
        is_last = step + 1 == recipe.steps
        if not (is_last or share.meets_after(step)):
            continue
        now = share.clock()
        loss, every = share.total(loss), share.together(images, num_classes)
        if now - saved > CHECKPOINT_SECONDS or is_last:
            if not torch.isfinite(loss) or not torch.isfinite(every).all():
                kept = f"; {checkpoint} keeps the last good images" if checkpoint.exists() else ""
                raise UserError(
                    f"the distillation diverged before step {step + 1} (loss {loss.item():.3g})"
                    f"{kept}: lower the learning rate {recipe.learning_rate:g} or the loss scale "
                    f"{recipe.loss_scale:g}."
                )
            momenta = share.together(velocity, num_classes)
            if share.is_first:
                _save(checkpoint, matching.job, every, momenta, step + 1, spent + now - start)
            saved = now
        share.plan_next(step, now)
        watch(step + 1, loss, every)
    return every, spent + time.perf_counter() - start


def _begin(
    matching: Matching, images_per_class: int, checkpoint: Path
) -> tuple[Tensor, Tensor, int, float]:
    """Return all images, their velocity, the steps done and the seconds that they took."""
    share, images = matching.share, matching.random_start(images_per_class)
    velocity, first, spent = torch.zeros_like(images), 0, 0.0
    if share.is_first and checkpoint.exists():
        try:
            images, velocity, first, spent = _load(checkpoint, matching.job, images.device)
        except DamagedError as damage:
            tell_made_again(damage)
    done = torch.tensor([first, spent], dtype=torch.float64, device=images.device)
    first, spent = share.from_first(done).tolist()
    return share.from_first(images), share.from_first(velocity), int(first), spent


def _save(
    path: Path, job: str, images: Tensor, velocity: Tensor, step: int, seconds: float
) -> None:
    tensors = {"images": images, "velocity": velocity}
    save_sealed(path, tensors, {"job": job, "step": str(step), "seconds": str(seconds)})


def _load(path: Path, job: str, device: torch.device) -> tuple[Tensor, Tensor, int, float]:
    tensors, notes = load_sealed(path)
    if notes.get("job", job) != job:
        raise DamagedError(path, "is of another distillation")
    images, velocity = tensors["images"].to(device), tensors["velocity"].to(device)
    return images, velocity, int(notes["step"]), float(notes["seconds"])


def _slices(count: int, length: int) -> list[slice]:
    return [slice(first, first + length) for first in range(0, count, length)]


def _start_threads(num_classes: int) -> ThreadPoolExecutor:
    """Return threads for classes, which share the cores that PyTorch may use.

    A class to a core is as fast as a core to a part of every operation, and 1.7 times as fast
    where other processes compete for the cores: nothing waits for a core that is away.
    """
    num_cores = torch.get_num_threads()
    count = min(num_cores, num_classes)
    all_started = threading.Barrier(count + 1)

    def start() -> None:
        torch.set_num_threads(num_cores // count)
        all_started.wait()

    pool = ThreadPoolExecutor(count)
    for _ in range(count):
        pool.submit(start)
    all_started.wait()
    # MKL, and every thread that starts later, obey the last call, from whichever thread.
    torch.set_num_threads(num_cores)
    return pool
