"""How to distil: every setting of a distillation, and the published settings by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from atom_nas.data.splits import Dataset
from atom_nas.errors import UserError
from atom_nas.parsing import parse_settings
from atom_nas.training.convnet import NORMS


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a matching distillation; `paper` and `released` make them for a data set."""

    steps: int
    """Updates of the synthetic images, each with a fresh random net."""
    learning_rate: float
    """Of the synthetic pixels, SGD."""
    momentum: float = 0.5
    real_batch: int = 64
    """Real images of each class a step."""
    spatial_power: float = 4
    """p_s, the power to which features are raised in the spatial attention."""
    channel_power: float = 4
    """p_c, the same in the channel attention."""
    embedding_weight: float = 0.01
    """lambda, the weight of the embedding means beside the attention."""
    loss_scale: float = 100.0
    """The factor on the whole loss; with SGD it multiplies the learning rate."""
    width: int = 128
    depth: int = 3
    norm: str = "instance"
    whiten: bool = False
    """Match in ZCA-whitened space."""
    flip: bool = True
    """Let the augmentation mirror images."""

    def __post_init__(self) -> None:
        positive = ("steps", "learning_rate", "real_batch", "loss_scale", "width", "depth")
        for name in (*positive, "spatial_power", "channel_power"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")
        if not 0 <= self.momentum < 1 or self.embedding_weight < 0:
            raise ValueError("momentum must be in [0, 1) and embedding_weight at least 0")
        if self.norm not in NORMS:
            raise ValueError(f"norm is {self.norm!r}; allowed: {', '.join(NORMS)}")


def paper(dataset: Dataset, images_per_class: int) -> Recipe:
    """Return the settings of DataDAM's paper, which ATOM keeps (arXiv 2405.01373, section 4.1).

    The papers do not state `loss_scale`; 100 is what makes their learning rates move the images.
    """
    is_large = min(dataset.image_shape[1:]) >= 64
    return Recipe(
        steps=8_000,
        learning_rate=10.0 if images_per_class > 50 else 1.0,
        embedding_weight=0.02 if is_large else 0.01,
        depth=4 if is_large else 3,
        whiten=dataset.whiten,
        flip=dataset.flip,
    )


def released(dataset: Dataset, images_per_class: int) -> Recipe:
    """Return the settings of DataDAM's released code, which departs from the paper's table."""
    table = paper(dataset, images_per_class)
    return Recipe(
        steps=20_000,
        learning_rate=table.learning_rate,
        spatial_power=1,
        channel_power=1,
        embedding_weight=table.embedding_weight,
        depth=table.depth,
        norm="batch",
        whiten=table.whiten,
        flip=table.flip,
    )


RECIPES: dict[str, Callable[[Dataset, int], Recipe]] = {"paper": paper, "released": released}


def parse_adjust(text: str) -> dict[str, Any]:
    """Return the settings of a recipe in `text`; UserError where there is no such setting."""
    return parse_settings("--adjust", text, get_type_hints(Recipe))


def adjust(recipe: Recipe, text: str) -> Recipe:
    """Return `recipe` with the settings in `text`, as in loss_scale=10,norm=batch.

    Raises UserError where there is no such setting, or it cannot have that value.
    """
    changes = parse_adjust(text)
    try:
        return replace(recipe, **changes)
    except ValueError as error:
        raise UserError(f"--adjust is refused: {error}.") from error
