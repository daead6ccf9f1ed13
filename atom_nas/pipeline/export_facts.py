"""What every export says of itself, whether a search found it or it was retrained."""

from typing import Any

from torch import nn

from atom_nas.data.splits import Dataset
from atom_nas.export.folder import TrainedNet
from atom_nas.scoring.space import Space, candidate_name
from atom_nas.training.cost import Cost


def facts(
    architecture: Any, dataset: Dataset, cost: Cost, *, validation: float, test: float, seed: int
) -> dict[str, Any]:
    """Return the metrics of a net of `architecture` trained on `dataset`, accuracies fractions."""
    return {
        "candidate": candidate_name(architecture),
        "dataset": dataset.name,
        "about": dataset.about,
        "images": {name: len(getattr(dataset, name)) for name in ("train", "validation", "test")},
        "validation_accuracy": validation,
        "test_accuracy": test,
        "num_params": cost.num_params,
        "macs": cost.macs,
        "seed": seed,
    }


def to_export(space: Space, architecture: Any, net: nn.Module, dataset: Dataset) -> TrainedNet:
    """Return the trained `net` of `architecture` with all that its export needs of `dataset`."""
    return TrainedNet(
        space_code=space.code,
        architecture=architecture,
        net=net,
        image_shape=dataset.image_shape,
        class_names=dataset.train.class_names,
        normalization=dataset.normalization,
    )
