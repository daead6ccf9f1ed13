"""What a condensation costs, counted in multiply-adds (MACs): the same on every machine."""

from math import prod

from atom_nas.data.images import ImageSet
from atom_nas.distillation.embedding import NUM_IMAGES, WIDTH
from atom_nas.distillation.recipes import Recipe
from atom_nas.training.convnet import ConvNet, FeatureNet
from atom_nas.training.cost import measure_cost
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, FORWARD_TO_IMAGES


def count_distillation(recipe: Recipe, train: ImageSet, images_per_class: int) -> float:
    """Return the MACs of a distillation.

    A step shows a frozen net the real batch of every class forward, and the synthetic images
    forward and backward. Whitening takes the covariance of the N training images of D pixels and
    transforms them: 2 N D^2.
    """
    net = measure_cost(
        lambda: FeatureNet(
            train.image_shape, width=recipe.width, depth=recipe.depth, norm=recipe.norm
        ),
        train.image_shape,
    )
    passes = FORWARD * recipe.real_batch + FORWARD_TO_IMAGES * images_per_class
    whitening = 2 * len(train) * prod(train.image_shape) ** 2 if recipe.whiten else 0
    return float(recipe.steps * train.num_classes * passes * net.macs + whitening)


def count_embedding(train: ImageSet) -> float:
    """Return the MACs of the embeddings by which coresets choose: a net trained, then all shown."""
    net = measure_cost(
        lambda: ConvNet(train.image_shape, train.num_classes, width=WIDTH), train.image_shape
    )
    shown = max(NUM_IMAGES, len(train))
    return float((FORWARD_BACKWARD * shown + FORWARD * len(train)) * net.macs)
