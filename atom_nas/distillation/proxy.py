"""A proxy on disk: images.safetensors, preview.png, and manifest.json, written last."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from atom_nas.data.images import ImageSet, unit_range
from atom_nas.errors import DamagedError
from atom_nas.storage.files import (
    check_files,
    file_digest,
    read_json,
    tell_made_again,
    write_atomically,
    write_json,
)
from atom_nas.storage.tensors import load_tensors, save_tensors

IMAGES, PREVIEW, MANIFEST = "images.safetensors", "preview.png", "manifest.json"

MAX_PREVIEW_CLASSES, MAX_PREVIEW_IMAGES = 20, 10


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A few images that stand for a data set.

    `images` are sorted by class; `manifest` says how they were made: proxy, method,
    images_per_class, recipe, dataset, train_digest, seed, on a GPU device_type where that matters,
    digest (of all these), images_digest, device, kind, macs, seconds, peak_memory_bytes, versions.
    """

    images: ImageSet
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """`<method>_ipc<N>`."""
        return str(self.manifest["proxy"])

    @property
    def digest(self) -> str:
        """SHA-256 of all that the condensation depended on, 64 hexadecimal digits."""
        return str(self.manifest["digest"])

    @property
    def kind(self) -> str:
        """What an audit takes it for: distilled, random, coreset or full_data."""
        return str(self.manifest["kind"])

    @property
    def macs(self) -> float:
        """The multiply-adds that the condensation took."""
        return float(self.manifest["macs"])

    @property
    def seed(self) -> int:
        """The seed of the condensation."""
        return int(self.manifest["seed"])

    @property
    def seconds(self) -> float:
        """The time that the condensation took."""
        return float(self.manifest["seconds"])


def save_proxy(proxy: Proxy, folder: Path) -> None:
    """Write `proxy` to `folder`, the manifest last: where there is one, all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    images = proxy.images
    tensors = {"pixels": images.pixels, "labels": images.labels}
    digests = {IMAGES: save_tensors(folder / IMAGES, tensors)}
    save_preview(images.pixels, images.num_classes, folder / PREVIEW)
    digests[PREVIEW] = file_digest(folder / PREVIEW)
    about = {"class_names": images.class_names, "files": digests}
    write_json(folder / MANIFEST, {**proxy.manifest, **about})


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return how the proxy in `folder` was made, or None where none was finished.

    Raises DamagedError where that cannot be read.
    """
    path = folder / MANIFEST
    return read_json(path) if path.exists() else None


def load_proxy(folder: Path) -> Proxy | None:
    """Return the proxy in `folder`, or None where none was finished; draw a damaged preview again.

    Raises DamagedError where the manifest cannot be read, or the images are not those it names.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    digests, class_names = manifest.pop("files"), tuple(manifest.pop("class_names"))
    tensors = load_tensors(folder / IMAGES, digests[IMAGES])
    proxy = Proxy(images=ImageSet(**tensors, class_names=class_names), manifest=manifest)
    try:
        check_files(folder, {PREVIEW: digests[PREVIEW]})
    except DamagedError as damage:
        tell_made_again(damage)
        save_proxy(proxy, folder)
    return proxy


def save_preview(pixels: Tensor, num_classes: int, path: Path) -> None:
    """Draw the first images of each class, a row a class, to `path`.

    `pixels` has shape (num_classes * M, C, H, W), sorted by class, at 0..1 or uint8. Small images
    are enlarged; contrast is stretched to the 1st and 99th percentile of each image set.
    """
    grid = unit_range(pixels.detach().cpu()).unflatten(0, (num_classes, -1))
    shown = grid[:MAX_PREVIEW_CLASSES, :MAX_PREVIEW_IMAGES]
    sample = shown.flatten()[:: max(1, shown.numel() // 100_000)]
    low, high = torch.quantile(sample, torch.tensor([0.01, 0.99])).tolist()
    rescaled = ((shown - low) / max(high - low, 1e-6)).clamp(0, 1)
    enlarge = max(1, 64 // rescaled.shape[-1])
    framed = F.pad(
        rescaled.repeat_interleave(enlarge, 3).repeat_interleave(enlarge, 4), [1] * 4, value=1.0
    )
    # (class, image, C, H, W) -> (class, H, image, W, C)
    picture = (255 * framed).byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    if picture.shape[2] != 3:  # grey, or what no picture has: its first channel
        picture = picture[:, :, 0]
    buffer = io.BytesIO()
    Image.fromarray(picture.contiguous().numpy()).save(buffer, "png")
    write_atomically(path, buffer.getvalue())
