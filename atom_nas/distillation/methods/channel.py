"""ATOM without its spatial half: channel attention and embedding means."""

import math

from torch import Tensor

from atom_nas.distillation.attention import channel_attention, widen
from atom_nas.distillation.recipes import Recipe


def describe(maps: list[Tensor], embedding: Tensor, recipe: Recipe) -> list[Tensor]:
    """Return the channel attention of every layer but the last, and sqrt(lambda) * embedding."""
    return [
        *(channel_attention(layer, recipe.channel_power) for layer in maps),
        math.sqrt(recipe.embedding_weight) * widen(embedding),
    ]
