"""A trained net as a folder that works without this package; every file is loaded again and
compared with the net before the folder appears."""

import copy
import runpy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atom_nas.data.images import Normalization
from atom_nas.errors import DamagedError, UserError, explain
from atom_nas.export.graphs import FORMATS, Predict, missing_packages, trace
from atom_nas.export.portable import portable_source, readme
from atom_nas.storage.files import (
    check_files,
    file_digest,
    read_json,
    tell_made_again,
    write_atomically,
    write_json,
    write_plain_json,
)
from atom_nas.storage.tensors import save_tensors

TOLERANCE = 1e-4
CHECKED_BATCHES = (1, 3)
VERIFICATION = "verification.json"
"""In an export: how every file was checked, and the digests of all."""

Check = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainedNet:
    """A trained candidate with all that is needed to use it elsewhere."""

    space_code: bytes
    """The source of the module that defines `Architecture` and `build`."""
    architecture: Any
    """The frozen dataclass that the net was built from."""
    net: nn.Module
    """(B, C, H, W) -> logits (B, num_classes), on any device, in any layout; left as it is."""
    image_shape: tuple[int, int, int]
    """(C, H, W)."""
    class_names: tuple[str, ...]
    """One for each logit, in order."""
    normalization: Normalization
    """What the net was trained with."""


def export_model(trained: TrainedNet, folder: Path, *, metrics: Mapping[str, object]) -> Path:
    """Write `trained` to `folder` and return it; the same export already there, whole, is kept.

    The folder has model.py, architecture.json, weights.safetensors, preprocessing.json,
    metrics.json, model.pt2 (torch.export), model.onnx, verification.json and README.md, and
    appears when it is whole. A graph that cannot be written (a missing package, an operation that
    the format lacks) is left out; verification.json says why.

    Raises RuntimeError where a file does not load, or its logits are off by more than 1e-4 of the
    largest one; UserError where `folder` holds something else, or where the space defines a name
    that model.py needs.
    """
    refuse_foreign(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        net = _portable_copy(trained.net)
        _write_sources(trained, net, partial, metrics)
        if not _is_exported(folder, partial):
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                skipped = _write_graphs(net, trained.image_shape, partial)
                files = _verify_files(trained, net, partial)
            verification = {
                "tools": _tools(),
                "tolerance": TOLERANCE,
                "batch_sizes": CHECKED_BATCHES,
                "files": files,
                "skipped": skipped,
            }
            write_atomically(partial / "README.md", readme(folder.name, partial))
            write_json(partial / VERIFICATION, {**verification, "digests": _digests(partial)})
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def refuse_foreign(folder: Path) -> None:
    """Raise UserError where `folder` holds something else than an export."""
    is_filled = any(folder.iterdir()) if folder.is_dir() else folder.exists()
    if is_filled and not (folder / VERIFICATION).exists():
        raise UserError(f"{folder} holds what is not an export; move it or use another folder.")


def _portable_copy(net: nn.Module) -> nn.Module:
    twin = copy.deepcopy(net).to("cpu", torch.float32)
    return twin.to(memory_format=torch.contiguous_format).requires_grad_(False).eval()


def _write_sources(
    trained: TrainedNet, net: nn.Module, folder: Path, metrics: Mapping[str, object]
) -> None:
    preprocessing = {
        "image_shape": trained.image_shape,
        "layout": "(batch, channels, height, width); 3 channels are RGB, 1 is grey",
        "value_range": [0, 255],
        "formula": "(pixels / 255 - mean) / std, by channel",
        **asdict(trained.normalization),
        "resize": "the central part of the aspect ratio of image_shape, bilinear, antialiased",
        "class_names": trained.class_names,
    }
    write_atomically(folder / "model.py", portable_source(trained.space_code))
    write_plain_json(folder / "architecture.json", trained.architecture)
    save_tensors(folder / "weights.safetensors", net.state_dict())
    write_plain_json(folder / "preprocessing.json", preprocessing)
    write_plain_json(folder / "metrics.json", metrics)


def _is_exported(folder: Path, sources: Path) -> bool:
    """Say whether `folder` is a whole export of the files in `sources` with the present tools."""
    if not (folder / VERIFICATION).exists():
        return False
    try:
        found = read_json(folder / VERIFICATION)
        check_files(folder, found["digests"])
    except DamagedError as damage:
        tell_made_again(damage)
        return False
    is_of_these = _digests(sources).items() <= found["digests"].items()
    return is_of_these and bool(found["tools"] == _tools())


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: file_digest(path) for path in sorted(folder.iterdir())}


def _tools() -> dict[str, object]:
    return {"torch": torch.__version__, "missing": missing_packages()}


def _write_graphs(
    net: nn.Module, image_shape: tuple[int, int, int], folder: Path
) -> dict[str, str]:
    """Write what can be written and return name -> reason of what cannot."""
    preprocessing = (folder / "preprocessing.json").read_text(encoding="utf-8")
    try:
        program = trace(net, image_shape)
    except Exception as error:  # whatever the Python of a user's net leads to
        return dict.fromkeys(FORMATS, explain(error, 300))
    skipped = {}
    for name, graph in FORMATS.items():
        try:
            graph.write(program, preprocessing, folder / name)
        except OSError:
            raise
        except Exception as error:
            (folder / name).unlink(missing_ok=True)
            skipped[name] = explain(error, 300)
    return skipped


def _verify_files(trained: TrainedNet, net: nn.Module, folder: Path) -> dict[str, Check]:
    generator = torch.Generator().manual_seed(0)
    pixels = [
        torch.randint(256, (batch, *trained.image_shape), dtype=torch.uint8, generator=generator)
        for batch in CHECKED_BATCHES
    ]
    images = [trained.normalization(batch) for batch in pixels]
    logits = [net(batch) for batch in images]
    files = {"model.py": _verify(folder / "model.py", _load_source, pixels, logits)}
    for name, graph in FORMATS.items():
        if (folder / name).exists():
            files[name] = _verify(folder / name, graph.load, images, logits)
    return files


def _verify(
    path: Path, load: Callable[[Path], Predict], inputs: list[Tensor], logits: list[Tensor]
) -> Check:
    expected = torch.cat(logits)
    try:
        predict = load(path)
        difference = (torch.cat([predict(batch) for batch in inputs]) - expected).abs().max().item()
    except Exception as error:
        raise RuntimeError(f"the exported {path.name} does not run again: {error}") from error
    scale = expected.abs().max().item()
    if not difference <= TOLERANCE * scale:
        raise RuntimeError(
            f"the logits of the exported {path.name} are off by {difference:.3g}; "
            f"those of the trained net reach {scale:.3g}."
        )
    return {"max_abs_difference": difference, "max_abs_logit": scale}


def _load_source(path: Path) -> Predict:
    module = runpy.run_path(str(path), run_name="_exported_model")
    model, preprocess = module["load_model"](), module["preprocess"]
    return lambda pixels: model(preprocess(pixels))
