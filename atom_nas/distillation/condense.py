"""A data set condensed by name, `<method>_ipc<N>`: made once, found again by its digest."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from atom_nas import plugins
from atom_nas.data.images import ImageSet
from atom_nas.data.splits import Dataset
from atom_nas.data.whitening import ZCA
from atom_nas.distillation.macs import count_distillation
from atom_nas.distillation.matching import Matching, distill
from atom_nas.distillation.names import is_distilled, load_method
from atom_nas.distillation.proxy import (
    PREVIEW,
    Proxy,
    load_proxy,
    read_manifest,
    save_preview,
    save_proxy,
)
from atom_nas.distillation.ready import Ready
from atom_nas.distillation.recipes import Recipe
from atom_nas.distillation.shared_out import Share
from atom_nas.errors import DamagedError, UserError
from atom_nas.storage.files import derive_seed, digest, tell_made_again
from atom_nas.storage.progress import Progress
from atom_nas.training.devices import peak_memory, reset_peak_memory

LOSS_SECONDS, PREVIEW_SECONDS = 1.0, 20.0


@dataclass(frozen=True, kw_only=True)
class Condensation:
    """What is to be made: the images that a method condenses a training split to."""

    dataset: Dataset
    method: str
    images_per_class: int
    seed: int
    recipe: Recipe | None
    """The settings of a method that distils, None for one that selects."""
    device_type: str = "cpu"
    """cpu, cuda or mps: each draws other random numbers from the same seed."""

    def __post_init__(self) -> None:
        assert is_distilled(self.method) == (self.recipe is not None)
        train, excerpt = self.dataset.train, self.dataset.excerpt
        elsewhere = f", or --dataset {excerpt.of}" if excerpt else ""
        sizes = map(len, train.class_indices())
        most, name = min(zip(sizes, train.class_names, strict=True))
        if most < self.images_per_class:
            raise UserError(
                f"{self.images_per_class} images per class were asked for, but class {name!r} of "
                f"{self.dataset.name} has {most} training images; take at most {most}{elsewhere}."
            )

    @property
    def name(self) -> str:
        """`<method>_ipc<N>`; of a file its name with the .py, so that it is no built-in's."""
        return f"{Path(self.method).name}_ipc{self.images_per_class}"

    @cached_property
    def identity(self) -> dict[str, object]:
        """Everything that the images depend on, as the manifest states it."""
        stated = {"device_type": self.device_type} if self._depends_on_device else {}
        return stated | {
            "proxy": self.name,
            "method": self.method,
            "method_digest": plugins.source_digest(load_method(self.method)),
            "images_per_class": self.images_per_class,
            "recipe": asdict(self.recipe) if self.recipe else None,
            "dataset": self.dataset.name,
            "train_digest": self.dataset.train.digest,
            "seed": self.seed,
        }

    @property
    def _depends_on_device(self) -> bool:
        is_random = getattr(load_method(self.method), "KIND", None) == "random"
        return self.device_type != "cpu" and not is_random

    def folder(self, store: Path) -> Path:
        """Return where in `store` the proxy lies: its name and the start of its digest."""
        return store / f"{self.name}-{digest(self.identity)[:10]}"


def condense(
    job: Condensation | Ready, folder: Path, device: torch.device, share: Share | None = None
) -> Proxy:
    """Return the proxy in `folder`, made there by `job` unless it is there already, undamaged.

    Where classes are shared out over processes, this is for the first of them, with its `share`;
    the others `help_condense`. Raises UserError where `folder` holds a proxy made otherwise.
    """
    share = share or Share()
    if isinstance(job, Ready):
        share.agrees(False)
        return job.copy_to(folder)
    try:
        _refuse_other(job, read_manifest(folder) or job.identity, folder)
        found = load_proxy(folder)
    except DamagedError as damage:
        tell_made_again(damage)
        found = None
    if job.recipe and not found:
        share.require_fit(job.dataset.num_classes, job.recipe.norm)
    share.agrees(job.recipe is not None and not found)
    if found:  # another may have made it, after a distillation here was ended
        _checkpoint(folder).unlink(missing_ok=True)
    return found or _make(job, folder, device, share)


def help_condense(
    job: Condensation | Ready, folder: Path, device: torch.device, share: Share
) -> None:
    """Do the `share` of a process that is not the first, where that one distils at all."""
    if share.agrees(False):
        assert isinstance(job, Condensation) and job.recipe
        matching, _ = _matching(job, job.recipe, device, share)
        distill(
            matching, job.images_per_class, checkpoint=_checkpoint(folder), watch=lambda *_: None
        )


def _refuse_other(job: Condensation, made: Mapping[str, object], folder: Path) -> None:
    keys = {**job.identity, "device_type": None}
    changed = [key for key in keys if made.get(key) != job.identity.get(key)]
    if changed:
        raise UserError(
            f"{folder} holds a proxy made with another {' and '.join(changed)}; use another folder."
        )


def _make(job: Condensation, folder: Path, device: torch.device, share: Share) -> Proxy:
    folder.mkdir(parents=True, exist_ok=True)
    reset_peak_memory(device)
    start = time.perf_counter()
    if job.recipe:
        pixels, seconds = _distil(job, job.recipe, folder, device, share)
        labels = torch.arange(job.dataset.num_classes).repeat_interleave(job.images_per_class)
        images = ImageSet(pixels=pixels, labels=labels, class_names=job.dataset.train.class_names)
    else:
        indices = load_method(job.method).select(
            job.dataset.train, job.images_per_class, seed=job.seed, device=device
        )
        images = job.dataset.train.select(indices)
        seconds = time.perf_counter() - start
    manifest = {
        **job.identity,
        "digest": digest(job.identity),
        "images_digest": images.digest,
        "device": str(device),
        **_kind_and_cost(job),
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(device),
        "versions": {name: version(name) for name in ("atom_nas", "torch", "torchvision")},
    }
    proxy = Proxy(images=images, manifest=manifest)
    save_proxy(proxy, folder)
    _checkpoint(folder).unlink(missing_ok=True)
    return proxy


def _kind_and_cost(job: Condensation) -> dict[str, object]:
    """Return what an audit takes the images for, and the multiply-adds that they took."""
    module, train = load_method(job.method), job.dataset.train
    if job.recipe:
        macs = count_distillation(job.recipe, train, job.images_per_class)
    else:
        macs = module.count_macs(train) if hasattr(module, "count_macs") else 0.0
    kind = getattr(module, "KIND", "distilled" if job.recipe else "coreset")
    return {"kind": kind, "macs": macs}


def _checkpoint(folder: Path) -> Path:
    return folder / "checkpoint.safetensors"


def _distil(
    job: Condensation, recipe: Recipe, folder: Path, device: torch.device, share: Share
) -> tuple[Tensor, float]:
    """Return the distilled pixels at 0..1 (K * M, C, H, W) on the CPU, and the seconds."""
    matching, to_pixels = _matching(job, recipe, device, share)

    def draw_preview(images: Tensor) -> None:
        save_preview(to_pixels(images), job.dataset.num_classes, folder / PREVIEW)

    with Progress(job.name, total=recipe.steps, unit="step") as progress:
        images, seconds = distill(
            matching,
            job.images_per_class,
            checkpoint=_checkpoint(folder),
            watch=_watcher(progress, draw_preview),
        )
    return to_pixels(images), seconds


def _matching(
    job: Condensation, recipe: Recipe, device: torch.device, share: Share
) -> tuple[Matching, Callable[[Tensor], Tensor]]:
    """Return what is matched, and the way back from images in that space to pixels at 0..1."""
    train = job.dataset.train
    real = job.dataset.normalization(train.pixels.to(device))
    zca = _whitening(train.digest, real) if recipe.whiten else None
    matching = Matching(
        real=zca(real) if zca else real,
        class_indices=train.class_indices(),
        describe=load_method(job.method).describe,
        recipe=recipe,
        seed=derive_seed(job.seed, "distil"),
        share=share,
        job=digest(job.identity),
    )

    def to_pixels(images: Tensor) -> Tensor:
        return job.dataset.normalization.invert(zca.invert(images) if zca else images).cpu()

    return matching, to_pixels


_whitenings: dict[tuple[str, torch.device], ZCA] = {}


def _whitening(train_digest: str, real: Tensor) -> ZCA:
    """Return the whitening of the training images `real`; the last is kept, as it takes seconds."""
    key = train_digest, real.device
    if key not in _whitenings:
        zca = ZCA.fit(real)
        _whitenings.clear()
        _whitenings[key] = zca
    return _whitenings[key]


def _watcher(
    progress: Progress, draw_preview: Callable[[Tensor], None]
) -> Callable[[int, Tensor, Tensor], None]:
    """Return what tells of every step, and now and then of the loss, and draws the images."""
    shown = drawn = time.perf_counter()

    def watch(step: int, loss: Tensor, images: Tensor) -> None:
        nonlocal shown, drawn
        now = time.perf_counter()
        if now - shown > LOSS_SECONDS:
            progress.show(loss=f"{loss.item():.3g}")
            shown = now
        if now - drawn > PREVIEW_SECONDS:
            draw_preview(images)
            drawn = now
        progress.reach(step)

    return watch
