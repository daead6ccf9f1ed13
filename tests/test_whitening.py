"""Whitening and its inversion."""

import pytest
import torch
from torch import Tensor

from atom_nas.data import whitening as whiten
from atom_nas.data.whitening import ZCA

SHAPE = (3, 4, 5)


def correlated_images(num_images: int = 500, dtype: torch.dtype = torch.float64) -> Tensor:
    """Images with a mean, and with eigenvalues from far below eps to far above."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(num_images, 60, generator=generator, dtype=torch.float64)
    mixing = torch.randn(60, 60, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(mixing).Q
    flat = noise * torch.logspace(-2, 1, 60, dtype=torch.float64) @ basis + 2 * basis[0]
    return flat.view(num_images, *SHAPE).to(dtype)


@pytest.mark.parametrize("eps", [0.1, 1e-3])
def test_whitened_covariance_is_the_shrunk_spectrum(eps):
    images = correlated_images()
    spectrum = torch.linalg.eigvalsh(images.flatten(1).T.cov())
    whitened = ZCA.fit(images, eps)(images)
    result = torch.linalg.eigvalsh(whitened.flatten(1).T.cov())
    torch.testing.assert_close(result, spectrum / (spectrum + eps))
    torch.testing.assert_close(whitened.mean(0), torch.zeros(SHAPE, dtype=torch.float64))


def test_whitening_does_not_turn_the_axes():
    """Unlike PCA whitening: the matrix is a multiple of I where the data is isotropic."""
    generator = torch.Generator().manual_seed(0)
    flat = torch.linalg.qr(torch.randn(200, 61, generator=generator, dtype=torch.float64)).Q
    ones = torch.full((200, 1), 200**-0.5, dtype=torch.float64)
    isotropic = torch.linalg.qr(torch.cat([ones, flat], 1)).Q[:, 1:61] * (4 * 199) ** 0.5
    zca = ZCA.fit(isotropic.view(200, *SHAPE), 0.1)
    torch.testing.assert_close(zca.matrix, torch.eye(60, dtype=torch.float64) / 4.1**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inversion_restores_the_images(dtype):
    images = correlated_images(dtype=dtype)
    zca = ZCA.fit(images)
    whitened = zca(images)
    assert (whitened.shape, whitened.dtype) == (images.shape, dtype)
    torch.testing.assert_close(zca.invert(whitened), images, rtol=0, atol=1e-4)
    torch.testing.assert_close(zca.matrix @ zca.inverse, torch.eye(60, dtype=dtype))


def test_inversion_holds_for_fewer_images_than_pixels():
    images = correlated_images(20, torch.float32)
    zca = ZCA.fit(images)
    unseen = correlated_images(dtype=torch.float32)
    torch.testing.assert_close(zca.invert(zca(unseen)), unseen, rtol=0, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 499, 500])
def test_chunks_equal_one_pass(monkeypatch, chunk):
    images = correlated_images()
    once = ZCA.fit(images)
    monkeypatch.setattr(whiten, "CHUNK", chunk)
    pieces = ZCA.fit(images)
    for name in ("mean", "matrix", "inverse"):
        torch.testing.assert_close(getattr(pieces, name), getattr(once, name))


def test_float32_fit_agrees_with_float64():
    exact, rounded = ZCA.fit(correlated_images()), ZCA.fit(correlated_images(dtype=torch.float32))
    for name in ("mean", "matrix", "inverse"):
        torch.testing.assert_close(
            getattr(rounded, name).double(), getattr(exact, name), rtol=1e-5, atol=5e-5
        )


def test_whitening_is_differentiable_and_symmetric():
    images = correlated_images()
    zca = ZCA.fit(images)
    few = images[:2].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(zca(few).sum(), few)
    expected = zca.matrix.sum(1).view(SHAPE).expand_as(few)
    torch.testing.assert_close(gradient, expected)
