"""A proxy on disk: images.safetensors, preview.png, and manifest.json, written last."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from atom_nas.data.images import ImageSet, unit_range
from atom_nas.errors import UserError
from atom_nas.storage import write_atomically, write_json

MAX_PREVIEW_CLASSES, MAX_PREVIEW_IMAGES = 20, 10


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A few images that stand for a data set.

    `images` are sorted by class; `manifest` says how they were made: proxy, method,
    images_per_class, recipe, dataset, train_digest, seed, seconds, peak_memory_bytes, versions,
    digest.
    """

    images: ImageSet
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """`<method>_ipc<N>`."""
        return str(self.manifest["proxy"])

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
    tensors = {"pixels": proxy.images.pixels.cpu(), "labels": proxy.images.labels.cpu()}
    write_atomically(folder / "images.safetensors", save(tensors))
    save_preview(proxy.images.pixels, proxy.images.num_classes, folder / "preview.png")
    write_json(
        folder / "manifest.json", {**proxy.manifest, "class_names": proxy.images.class_names}
    )


def load_proxy(folder: Path) -> Proxy | None:
    """Return the proxy in `folder`, or None where there is no whole one.

    Raises UserError where the files are not what the manifest says.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        tensors = load((folder / "images.safetensors").read_bytes())
        images = ImageSet(
            pixels=tensors["pixels"],
            labels=tensors["labels"],
            class_names=tuple(manifest.pop("class_names")),
        )
    except FileNotFoundError:
        return None
    except Exception as error:
        raise UserError(
            f"the proxy in {folder} cannot be read ({error}); delete that folder to make it again."
        ) from error
    return Proxy(images=images, manifest=manifest)


def save_preview(pixels: Tensor, num_classes: int, path: Path) -> None:
    """Draw the first images of each class, a row a class, to `path`.

    `pixels` has shape (num_classes * M, C, H, W), sorted by class, at 0..1 or uint8. Small images
    are enlarged; contrast is stretched to the 1st and 99th percentile of each image set.
    """
    grid = unit_range(pixels.detach().cpu()).unflatten(0, (num_classes, -1))
    shown = grid[:MAX_PREVIEW_CLASSES, :MAX_PREVIEW_IMAGES]
    sample = shown.flatten()[:: max(1, shown.numel() // 100_000)]
    low, high = torch.quantile(sample, torch.tensor([0.01, 0.99])).tolist()
    rescaled = ((shown - low) / max(high - low, 1e-6)).clamp(0, 1).flatten(0, 1)
    enlarge = max(1, 64 // rescaled.shape[-1])
    picture = make_grid(
        rescaled.repeat_interleave(enlarge, 2).repeat_interleave(enlarge, 3),
        nrow=shown.shape[1],
        pad_value=1.0,
    )
    buffer = io.BytesIO()
    to_pil_image(picture).save(buffer, "png")
    write_atomically(path, buffer.getvalue())
