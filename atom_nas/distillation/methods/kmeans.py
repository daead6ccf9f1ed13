"""k-means: the real images nearest to the centres of each class's clusters of embeddings."""

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from atom_nas.data.images import ImageSet
from atom_nas.distillation.embedding import embed
from atom_nas.distillation.macs import count_embedding as count_macs

__all__ = ["count_macs", "select"]


def select(train: ImageSet, images_per_class: int, *, seed: int, device: torch.device) -> Tensor:
    """Return the positions of the image nearest to each of `images_per_class` centres a class."""
    embeddings = embed(train, seed=seed, device=device)
    return torch.cat(
        [
            indices[_nearest_to_centres(embeddings[indices], images_per_class, seed)]
            for indices in train.class_indices()
        ]
    )


def _nearest_to_centres(points: Tensor, count: int, seed: int) -> Tensor:
    """Return `count` distinct row numbers of `points` (N, D), one a cluster."""
    clusters = KMeans(n_clusters=count, n_init=1, random_state=seed % 2**32).fit(points.numpy())
    distances = torch.cdist(torch.from_numpy(clusters.cluster_centers_).to(points), points)
    chosen = []
    for row in distances:
        best = int(row.argmin())
        distances[:, best] = torch.inf
        chosen.append(best)
    return torch.tensor(chosen)
