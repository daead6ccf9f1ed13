"""ATOM: spatial and channel attention, and embedding means (Khaki et al., 2024)."""

import math

from torch import Tensor

from atom_nas.distillation.attention import both_attentions, widen
from atom_nas.distillation.recipes import Recipe


def describe(maps: list[Tensor], embedding: Tensor, recipe: Recipe) -> list[Tensor]:
    """Return both attentions of every layer but the last, and sqrt(lambda) times the embedding."""
    attentions = (
        both_attentions(layer, recipe.spatial_power, recipe.channel_power) for layer in maps
    )
    return [
        *(attention for pair in attentions for attention in pair),
        math.sqrt(recipe.embedding_weight) * widen(embedding),
    ]
