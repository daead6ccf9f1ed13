"""Tensors on disk, written atomically and read back only where they are as they were written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from atom_nas.errors import DamagedError
from atom_nas.storage.files import canonical_json, read_file, write_atomically


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write `tensors`, which may share memory and lie anywhere; return the file's SHA-256."""
    return save_packed(path, pack_tensors(tensors))


def pack_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the file of `tensors`, which may share memory and lie anywhere."""
    return save(_apart(tensors))


def save_packed(path: Path, data: bytes) -> str:
    """Write what `pack_tensors` returned; return the file's SHA-256."""
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def load_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    """Return the tensors in the file with the SHA-256 `digest`, on the CPU.

    Raises DamagedError where the file is missing or has another.
    """
    data = read_file(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise DamagedError(path)
    return load(data)


def save_sealed(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write `tensors` and `notes` to one file that holds its own digest."""
    apart = _apart(tensors)
    write_atomically(path, save(apart, {**notes, "digest": _content_digest(apart, notes)}))


def load_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what `save_sealed` wrote, on the CPU; DamagedError where it is not what is there."""
    data = read_file(path)
    try:
        tensors, header_size = load(data), int.from_bytes(data[:8], "little")
        notes: dict[str, str] = json.loads(data[8 : 8 + header_size])["__metadata__"]
        is_whole = notes.pop("digest") == _content_digest(tensors, notes)
    except Exception as error:  # whatever damaged bytes lead to
        raise DamagedError(path) from error
    if not is_whole:
        raise DamagedError(path)
    return tensors, notes


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies on the CPU, as safetensors takes no tensors that share memory."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _content_digest(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    about = {name: [str(each.dtype), list(each.shape)] for name, each in tensors.items()}
    sha = hashlib.sha256(canonical_json([about, notes]).encode())
    for name in sorted(tensors):
        sha.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()
