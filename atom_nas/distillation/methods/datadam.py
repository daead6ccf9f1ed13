"""DataDAM: spatial attention and embedding means (Sajedi et al., 2023)."""

import math

from torch import Tensor

from atom_nas.distillation.attention import spatial_attention, widen
from atom_nas.distillation.recipes import Recipe


def describe(maps: list[Tensor], embedding: Tensor, recipe: Recipe) -> list[Tensor]:
    """Return the spatial attention of every layer but the last, and sqrt(lambda) * embedding."""
    return [
        *(spatial_attention(layer, recipe.spatial_power) for layer in maps),
        math.sqrt(recipe.embedding_weight) * widen(embedding),
    ]
