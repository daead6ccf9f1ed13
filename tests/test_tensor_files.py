"""Tensors on disk are read back as they were written, or not at all."""

import hashlib

import pytest
import torch

from atom_nas.errors import DamagedError
from atom_nas.storage.tensors import load_sealed, load_tensors, save_sealed, save_tensors


def tensors():
    whole = torch.arange(12.0).view(3, 4)
    return {
        "whole": whole,
        "turned": whole.t(),
        "part": whole[1:],
        "number": torch.tensor(7),
        "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
        "mask": torch.tensor([True, False]),
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0, equal_nan=True)


def changes(data):
    yield b""
    yield data[: len(data) // 2]
    yield data + b"\0"
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        yield bytes(changed)


def test_tensors_that_share_memory_come_back_under_their_digest(tmp_path):
    path = tmp_path / "t.safetensors"
    digest = save_tensors(path, tensors())
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert_same(load_tensors(path, digest), tensors())
    for data in changes(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(DamagedError, match=r"t\.safetensors is damaged"):
            load_tensors(path, digest)
    path.unlink()
    with pytest.raises(DamagedError, match=r"t\.safetensors is missing"):
        load_tensors(path, digest)


def test_a_sealed_file_proves_its_tensors_and_notes(tmp_path):
    path = tmp_path / "t.safetensors"
    save_sealed(path, tensors(), {"step": "3"})
    found, notes = load_sealed(path)
    assert_same(found, tensors())
    assert notes == {"step": "3"}
    for data in changes(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(DamagedError, match=r"t\.safetensors is damaged"):
            load_sealed(path)
