"""ZCA whitening of normalised images, invertible."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

CHUNK = 4096
"""Images whose covariance is taken at once."""


@dataclass(frozen=True, kw_only=True)
class ZCA:
    """z = (x - mean) U diag(S + eps)^(-1/2) U^T of flattened images, D = C H W.

    U and S are the eigenvectors and eigenvalues of the covariance of the training images. Used on
    CIFAR by the methods of the dataset condensation family, with eps = 0.1.
    """

    mean: Tensor
    """(D,)."""
    matrix: Tensor
    """(D, D), symmetric."""
    inverse: Tensor
    """(D, D), the inverse of `matrix`."""

    @classmethod
    def fit(cls, images: Tensor, eps: float = 0.1) -> Self:
        """Measure the covariance of `images` (N, C, H, W), N >= 2, divided by N - 1.

        Beside `images` this takes memory for a chunk of them and, in float64 on the CPU, a few
        (D, D) matrices; time grows with N D^2 + D^3.
        """
        assert images.ndim == 4 and len(images) > 1, images.shape
        flat = images.flatten(1)
        total = torch.zeros(flat.shape[1], dtype=torch.float64)
        for chunk in torch.split(flat, CHUNK):
            total += chunk.sum(0).cpu()
        mean = (total / len(flat)).to(flat.dtype).to(flat.device)
        scatter = torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64)
        for chunk in torch.split(flat, CHUNK):
            centred = chunk - mean
            scatter += (centred.T @ centred).cpu()
        eigenvalues, basis = torch.linalg.eigh(scatter / (len(flat) - 1))
        deviation = (eigenvalues.clamp_min(0) + eps).sqrt()
        return cls(
            mean=mean,
            matrix=((basis / deviation) @ basis.T).to(flat.dtype).to(flat.device),
            inverse=((basis * deviation) @ basis.T).to(flat.dtype).to(flat.device),
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Return `images` (N, C, H, W) whitened."""
        offset = -(self.mean @ self.matrix)
        return torch.addmm(offset, images.flatten(1), self.matrix).view_as(images)

    def invert(self, images: Tensor) -> Tensor:
        """Return whitened `images` (N, C, H, W) to the space in which the fit was made."""
        return torch.addmm(self.mean, images.flatten(1), self.inverse).view_as(images)
