"""ATOM: spatial and channel attention, and embedding means (Khaki et al., 2024)."""

import math

from torch import Tensor

from atom_nas.attention import channel_attention, spatial_attention
from atom_nas.recipes import Recipe


def describe(maps: list[Tensor], embedding: Tensor, recipe: Recipe) -> list[Tensor]:
    """Return both attentions of every layer but the last, and sqrt(lambda) times the embedding."""
    return [
        *(spatial_attention(layer, recipe.spatial_power) for layer in maps),
        *(channel_attention(layer, recipe.channel_power) for layer in maps),
        math.sqrt(recipe.embedding_weight) * embedding.float(),
    ]
