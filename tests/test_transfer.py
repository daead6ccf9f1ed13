"""Tensors in one pack come out of it as they went in."""

import torch

from atom_nas.data.transfer import _pack, _unpack, move


def test_a_pack_holds_every_tensor():
    tensors = [
        torch.rand(3),
        torch.tensor([[True], [False]]),
        torch.arange(12).view(3, 4).T,
        torch.empty(0, 2, dtype=torch.int32),
        torch.rand(1, 5, dtype=torch.float64),
        torch.tensor(0.5, dtype=torch.bfloat16),
    ]
    for got, sent in zip(_unpack(_pack(tensors, pin_memory=False), tensors), tensors, strict=True):
        assert got.dtype == sent.dtype
        assert torch.equal(got, sent)


def test_on_the_cpu_nothing_is_copied():
    tensor = torch.rand(3)
    assert move([tensor], torch.device("cpu"))[0] is tensor
