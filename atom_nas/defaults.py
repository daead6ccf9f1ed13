"""What options leave open: how long things take, decided by the device and the data."""

from dataclasses import replace

import torch

from atom_nas.data.splits import Dataset
from atom_nas.distillation.condense import Condensation
from atom_nas.distillation.names import is_distilled, parse_name
from atom_nas.distillation.ready import Ready
from atom_nas.distillation.recipes import RECIPES, adjust, parse_adjust
from atom_nas.errors import UserError
from atom_nas.options import DistillOptions, Options
from atom_nas.storage.files import derive_seed
from atom_nas.training.schedule import Training

SMALL_STEPS = 300
"""Default steps of a distillation where there is no GPU, unless the data set knows better; the
recipe's own where there is one."""

CANDIDATE_STEPS = 240
"""Default steps of a candidate on a proxy: 30 epochs of 500 images (docs/audit.md), whatever the
size of the proxy."""

FULL_EPOCHS, SMALL_FULL_EPOCHS = 30, 5
"""Default epochs of a candidate on the full data with a GPU and without, at least 240 steps; the
pipeline then doubles what is too short."""

AUDITED, AUDITED_BY_TABLE = 30, 60
"""Default candidates of an audit: where a table holds the truth, they cost no full training."""


def condensation(
    options: DistillOptions, dataset: Dataset, device: torch.device, *, number: int = 0
) -> Condensation | Ready:
    """Return the job that makes the proxy of `options`, before which `number` others are made.

    Raises UserError where the data set is an excerpt, which is not condensed, and lacks the proxy.
    """
    method, images_per_class = parse_name(options.proxy)
    seed = derive_seed(options.seed, "proxy", number) if number else options.seed
    if dataset.excerpt and is_distilled(method):
        _require_ready(options, dataset, number)
        return Ready(dataset=dataset, name=options.proxy, seed=seed)
    recipe = None
    parse_adjust(options.adjust)  # a recipe beside images that are selected is to exist
    if is_distilled(method):
        recipe = RECIPES[options.recipe](dataset, images_per_class)
        if options.steps or device.type != "cuda":
            steps = options.steps or dataset.defaults.distil_steps or SMALL_STEPS
            recipe = replace(recipe, steps=steps)
        recipe = adjust(recipe, options.adjust)
    return Condensation(
        dataset=dataset,
        method=method,
        images_per_class=images_per_class,
        seed=seed,
        recipe=recipe,
        device_type=device.type,
    )


def require_recipe_used(options: DistillOptions) -> None:
    """Raise UserError where settings of a distillation are given for images that are selected."""
    method, images_per_class = parse_name(options.proxy)
    if (given := _given_of_recipe(options)) and not is_distilled(method):
        raise UserError(
            f"--{given[0]} changes nothing of {options.proxy}, which selects real images; leave it "
            f"out, or distil, as --proxy atom_ipc{images_per_class} does."
        )


def _given_of_recipe(options: DistillOptions) -> list[str]:
    defaults = DistillOptions()
    return [
        name
        for name in ("steps", "recipe", "adjust")
        if getattr(options, name) != getattr(defaults, name)
    ]


def _require_ready(options: DistillOptions, dataset: Dataset, number: int) -> None:
    """Refuse what only all the images could be condensed to."""
    assert dataset.excerpt is not None
    problem = ""
    if options.proxy not in dataset.excerpt.sets:
        problem = f"does not hold {options.proxy}; it holds {', '.join(dataset.excerpt.sets)}"
    elif number:
        problem = f"holds one {options.proxy}; take --proxy-seeds 1"
    elif given := _given_of_recipe(options):
        problem = f"holds {options.proxy} ready made, which --{given[0]} does not change"
    if problem:
        raise UserError(
            f"{dataset.name} {problem}; with --dataset {dataset.excerpt.of} sets are condensed as "
            "you ask."
        )


def proxy_training(options: Options, dataset: Dataset) -> Training:
    """Return how a candidate is trained on a proxy."""
    training = Training(steps=options.proxy_steps or CANDIDATE_STEPS, flip=dataset.flip)
    if options.proxy_epochs:
        num_images = parse_name(options.proxy)[1] * dataset.num_classes
        training = replace(training, steps=training.steps_in(options.proxy_epochs, num_images))
    return training


def full_training(options: Options, dataset: Dataset, device: torch.device) -> Training:
    """Return how a candidate is trained on the full data."""
    training = Training(steps=options.full_steps or CANDIDATE_STEPS, flip=dataset.flip)
    num_images = len(dataset.train)
    if options.full_epochs:
        return replace(training, steps=training.steps_in(options.full_epochs, num_images))
    if options.full_steps:
        return training
    if steps := dataset.defaults.full_steps:
        return replace(training, steps=steps)
    epochs = FULL_EPOCHS if device.type == "cuda" else SMALL_FULL_EPOCHS
    return replace(training, steps=max(training.steps, training.steps_in(epochs, num_images)))
