"""An exported architecture trained from fresh weights on other data, and exported again."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset, whole_of
from atom_nas.errors import DamagedError, UserError, explain
from atom_nas.export.card import RETRAINED_FROM, read_metrics
from atom_nas.export.folder import VERIFICATION, TrainedNet, export_model, refuse_foreign
from atom_nas.export.portable import space_part
from atom_nas.export.reopened import TO_RETRAIN, require_export
from atom_nas.pipeline.export_facts import facts, to_export
from atom_nas.pipeline.export_options import RetrainOptions
from atom_nas.scoring.space import load_space, no_exit
from atom_nas.storage.files import check_files, digest, read_json, tell_made_again, write_atomically
from atom_nas.storage.progress import Progress, note, tell
from atom_nas.storage.run_folder import open_run
from atom_nas.training.batches import Examples
from atom_nas.training.devices import is_device_failure, resolve_device, warm_up
from atom_nas.training.final import BestEpoch, final_training, fit_to_best
from atom_nas.training.fit import evaluate
from atom_nas.training.schedule import Training

EPOCHS, SMALL_EPOCHS, LEAST_STEPS = 100, 20, 1_000
"""Default epochs with a GPU and without, and the steps that they make at least."""

MADE_WITH = "made_with"
"""The key in metrics.json of the digest of all that a retrained net depends on."""

CHOICE = (
    *("proxy", "proxy_spearman", "model_fitted_on", "chosen_by", "chosen_by_spearman"),
    "chosen_on",
)
"""The keys in metrics.json that say how an architecture was chosen: they go with it."""


def retrain(options: RetrainOptions) -> Path:
    """Train the architecture of an export on a data set; return the folder of the new export.

    What is under way lies in a hidden folder beside it, where the next call goes on. The same
    export already there is kept. Raises UserError where an option does not fit the export, the
    data or the folder, and where the net cannot be trained on the data.
    """
    device = resolve_device(options.device)
    require_export(options.export, TO_RETRAIN)
    source = space_part(options.export / "model.py")
    dataset = _open(options)
    training = _training(options, dataset, device)
    folder = (options.out or _beside(options.export, dataset.name)).resolve()
    made_with = {
        "space_digest": hashlib.sha256(source).hexdigest(),
        "architecture": json.loads((options.export / "architecture.json").read_bytes()),
        "dataset": dataset.name,
        "train_digest": dataset.train.digest,
        "validation_digest": dataset.validation.digest,
        "test_digest": dataset.test.digest,
        "epochs": _count_epochs(training, dataset),
        "training_digest": digest(training),
        "seed": options.seed,
    }
    if device.type != "cpu":  # it draws other random numbers there
        made_with["device_type"] = device.type
    if _is_made(folder, digest(made_with)):
        return folder
    with open_run(folder.with_name(f".{folder.name}.training"), made_with) as work:
        tell(dataset.in_words)
        write_atomically(work / "space.py", source)
        trained, metrics = _train(options, dataset, training, device, work)
        metrics[MADE_WITH] = digest(made_with)
        export_model(trained, folder, metrics=metrics)
    shutil.rmtree(work, ignore_errors=True)
    return folder


def _open(options: RetrainOptions) -> Dataset:
    """Return the data set; of an excerpt all the images, where they are at hand."""
    dataset = open_dataset(options.dataset, options.data_dir, seed=options.seed)
    if whole := whole_of(dataset, seed=options.seed):
        return whole
    assert dataset.excerpt is not None
    note(
        f"the net is trained on the {len(dataset.train):,} images of {dataset.name}; "
        f"--dataset {dataset.excerpt.of} has all."
    )
    return dataset


def _training(options: RetrainOptions, dataset: Dataset, device: torch.device) -> Training:
    num_images = len(dataset.train)
    epochs = options.epochs
    if epochs is None:
        in_one = final_training(epochs=1, num_images=num_images, flip=dataset.flip).steps
        default = EPOCHS if device.type == "cuda" else SMALL_EPOCHS
        epochs = max(default, -(-LEAST_STEPS // in_one))
    return final_training(epochs=epochs, num_images=num_images, flip=dataset.flip)


def _count_epochs(training: Training, dataset: Dataset) -> int:
    return training.steps // training.steps_in(1, len(dataset.train))


def _beside(export: Path, name: str) -> Path:
    """Return the path of `export` with -`name` appended; of one of a run, under its retrained/."""
    export = export.resolve()
    is_of_run = export.parent.name == "export"
    folder = export.parent.with_name("retrained") if is_of_run else export.parent
    return folder / f"{export.name}-{name}"


def _is_made(folder: Path, made_with: str) -> bool:
    """Say whether `folder` is the export that is wanted, whole.

    Raises UserError where it is something else, which stays as it is.
    """
    refuse_foreign(folder)
    if not (folder / VERIFICATION).exists():
        return False
    try:
        found = read_metrics(folder).get(MADE_WITH)
    except (OSError, ValueError, AttributeError):
        found = None
    if found != made_with:
        raise UserError(
            f"{folder} is an export of another training; remove it, or use another --out."
        )
    try:
        check_files(folder, read_json(folder / VERIFICATION)["digests"])
    except DamagedError as damage:
        tell_made_again(damage)
        return False
    return True


def _train(
    options: RetrainOptions, dataset: Dataset, training: Training, device: torch.device, work: Path
) -> tuple[TrainedNet, dict[str, Any]]:
    """Return the trained net and its metrics; space.py in `work` is its space."""
    space = load_space(str(work / "space.py"), dataset.image_shape, dataset.num_classes)
    warm_up(device)
    train, validation, test = (
        Examples.of(images, dataset.normalization, device)
        for images in (dataset.train, dataset.validation, dataset.test)
    )
    with _told_in_one_line(dataset), no_exit():
        architecture = space.restore((options.export / "architecture.json").read_text("utf-8"))
        net, cost = space.build(architecture, seed=options.seed), space.cost(architecture)
        with Progress("retrain", total=training.steps, unit="step") as progress:
            best, seconds = fit_to_best(
                net,
                train,
                validation,
                training,
                seed=options.seed,
                checkpoint=work / "checkpoint.safetensors",
                watch=lambda steps, best: _show(progress, steps, best),
            )
        net.load_state_dict(best.weights)
        measured = evaluate(net, test)
    metrics = {
        **facts(
            architecture,
            dataset,
            cost,
            validation=best.outcome.accuracy,
            test=measured.accuracy,
            seed=options.seed,
        ),
        **_choice(read_metrics(options.export)),
        RETRAINED_FROM: options.export.resolve().name,
        "epochs": _count_epochs(training, dataset),
        "best_epoch": best.epoch,
        "steps": training.steps,
        "seconds": seconds,
    }
    return to_export(space, architecture, net, dataset), metrics


def _choice(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of how the architecture was chosen, and on which data."""
    known = {"chosen_on": metrics.get("dataset"), **metrics}
    return {key: known[key] for key in CHOICE if known.get(key) is not None}


def _show(progress: Progress, steps: int, best: BestEpoch | None) -> None:
    if best:
        progress.show(best=f"{best.outcome.accuracy:.1%}", epoch=str(best.epoch))
    progress.reach(steps)


@contextmanager
def _told_in_one_line(dataset: Dataset) -> Iterator[None]:
    """Turn what the code of a net leads to into a UserError; what the device fails at is raised."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        if is_device_failure(error):
            raise
        shape = " x ".join(map(str, dataset.image_shape))
        raise UserError(
            f"the architecture cannot be trained on {dataset.name}, images of {shape} and "
            f"{dataset.num_classes} classes ({explain(error)}); try another export or --seed."
        ) from error
