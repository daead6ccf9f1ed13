"""How long things take by default: what options leave open, decided by the device."""

from dataclasses import replace

import torch

from atom_nas.data.images import Dataset
from atom_nas.distillation.condense import Condensation, is_distilled, parse_name
from atom_nas.distillation.recipes import RECIPES, adjust
from atom_nas.options import DistillOptions, Options

SMALL_STEPS = 300
"""Default steps of a distillation where there is no GPU; the recipe's own where there is one."""

EPOCHS, SMALL_EPOCHS = (30, 30), (6, 5)
"""Default epochs of a candidate on (proxy, full data), with a GPU and without."""


def condensation(options: DistillOptions, dataset: Dataset, device: torch.device) -> Condensation:
    """Return the job that makes the proxy of `options`."""
    method, images_per_class = parse_name(options.proxy)
    recipe = None
    if is_distilled(method):
        recipe = RECIPES[options.recipe](dataset, images_per_class)
        if options.steps or device.type != "cuda":
            recipe = replace(recipe, steps=options.steps or SMALL_STEPS)
        recipe = adjust(recipe, options.adjust)
    return Condensation(
        dataset=dataset,
        method=method,
        images_per_class=images_per_class,
        seed=options.seed,
        recipe=recipe,
    )


def epochs(options: Options, device: torch.device) -> tuple[int, int]:
    """Return the epochs of a candidate on the proxy and on the full data."""
    on_proxy, on_full = EPOCHS if device.type == "cuda" else SMALL_EPOCHS
    return options.proxy_epochs or on_proxy, options.full_epochs or on_full
