"""A run opened by its options, and its stages as functions for a program of your own."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from atom_nas.audit.record import Audit
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.audit.truth_table import TruthTable
from atom_nas.audit.worth import sizes_up_to
from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset, whole_of
from atom_nas.defaults import condensation, full_training, proxy_training
from atom_nas.distillation.condense import Condensation
from atom_nas.distillation.ready import Ready
from atom_nas.options import AUTO, DistillOptions, Options
from atom_nas.parsing import parse_settings
from atom_nas.pipeline.auto import choose
from atom_nas.pipeline.budget import open_budget
from atom_nas.pipeline.deadline import Deadline
from atom_nas.pipeline.lengths import Lengths
from atom_nas.pipeline.place import InFolder, open_shared
from atom_nas.pipeline.refusals import refuse_what_changes_nothing, refuse_what_needs_all
from atom_nas.pipeline.run import Run
from atom_nas.pipeline.stages import Pipeline
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.space import Space, load_space
from atom_nas.scoring.trainer import Trainer
from atom_nas.search.candidate import Candidate
from atom_nas.storage.files import read_csv, write_json
from atom_nas.storage.progress import note, tell
from atom_nas.storage.run_folder import open_run
from atom_nas.training.devices import resolve_device


def run_search(**options: Any) -> list[Candidate]:
    """Condense and search with the fields of `Options`; return the candidates in order.

    Raises UserError where options do not fit, and OutOfReach where the database of `storage`, if
    one is given, stays away.
    """
    with open_pipeline(Options(**options)) as pipeline:
        return pipeline.search()


def run_audit(**options: Any) -> Audit:
    """Audit the proxy with the fields of `Options`, after a search in their folder or without.

    Raises the same as `run_search`.
    """
    with open_pipeline(Options(**options)) as pipeline:
        return pipeline.audit()


@contextmanager
def open_pipeline(options: Options) -> Iterator[Pipeline]:
    """Load what `options` name and open the run folder, alone in it.

    Raises UserError before anything is written where an option does not fit the data.
    """
    asked, deadline = options, Deadline(options.hours)
    if asked.chooses_proxy:  # the others are compared with the default
        options = replace(options, proxy=DistillOptions.proxy)
    device = resolve_device(options.device)
    dataset = open_dataset(options.dataset, options.data_dir, seed=options.seed)
    space = load_space(options.space, dataset.image_shape, dataset.num_classes)
    job = condensation(options, dataset, device)
    shrink = parse_settings("--shrink", options.shrink)
    shrunk = space.shrunk(shrink)
    if options.worth:
        sizes_up_to(dataset.train.smallest_class, options.proxy_seeds)
    refuse_what_needs_all(options, dataset)
    table = _open_table(options, dataset, space)
    refuse_what_changes_nothing(options, dataset, table)
    data = _to_train_on(dataset, job, options.seed)
    proxy, full = proxy_training(options, dataset), full_training(options, data, device)
    is_proxy_open = not (options.proxy_steps or options.proxy_epochs)
    is_full_open = not (options.full_steps or options.full_epochs or data.defaults.full_steps)
    name = asked.folder.resolve().name
    settings = {
        **_identity(options, job, dataset, space),
        "shrink": shrink,
        "proxy_steps": None if is_proxy_open else proxy.steps,
        "full_steps": full.steps if options.full_steps or options.full_epochs else None,
        **({"proxy": AUTO} if asked.chooses_proxy else {}),
        # candidates draw other random numbers on a GPU
        **({"device_type": device.type} if device.type != "cpu" else {}),
        **({"storage": name} if options.storage is not None else {}),
    }
    trainer = Trainer(dataset.normalization, device, workers=options.workers)
    with (
        open_shared(options.storage, name, settings) as shared,
        open_run(asked.folder, settings, is_shared=shared is not None) as folder,
        closing(trainer),
    ):
        place = shared or InFolder(folder)
        if not (folder / "options.json").exists():
            write_json(folder / "options.json", asked.kept)
            tell(dataset.in_words)
        _note_what_holds(options, dataset, data)
        run = Run(
            options=options,
            folder=folder,
            place=place,
            device=device,
            dataset=dataset,
            space=space,
            budget=open_budget(options, folder, dataset, space, device, place.table),
            scores=ProxyScores(
                folder / "scores.csv",
                space=shrunk,
                dataset=dataset,
                trainer=trainer,
                open_table=place.table,
                known=read_csv(dataset.excerpt.scores) if dataset.excerpt else (),
            ),
            lengths=Lengths(
                folder / "lengths.json",
                proxy=proxy,
                full=full,
                is_proxy_open=is_proxy_open,
                is_full_open=is_full_open,
                once=place.once,
            ),
            trained=TrainedTruth(
                folder,
                space=space,
                dataset=data,
                training=full,
                trainer=trainer,
                open_table=place.table,
            ),
            table=table,
        )
        yield Pipeline(run=choose(run) if asked.chooses_proxy else run, deadline=deadline)
        place.copy()


def _identity(
    options: Options, job: Condensation | Ready, dataset: Dataset, space: Space
) -> dict[str, object]:
    """Return what the rows of a run depend on: a folder is of one such identity."""
    found = {
        **job.identity,
        "validation_digest": dataset.validation.digest,
        "test_digest": dataset.test.digest,
        "space": space.name,
        "space_digest": space.digest,
        "sampler": options.sampler,
        "max_params": options.max_params,
        "max_macs": options.max_macs or dataset.defaults.max_macs,
    }
    if options.max_latency_ms is None:
        return found
    timed = {"max_latency_ms": options.max_latency_ms, "latency_batch": options.latency_batch}
    return found | timed


def _note_what_holds(options: Options, dataset: Dataset, data: Dataset) -> None:
    """Say what was decided by the data set; nets that are exported are trained on `data`."""
    if (macs := dataset.defaults.max_macs) and not options.max_macs:
        note(
            f"candidates have at most {macs:,} multiply-adds on {dataset.name}; --max-macs "
            "changes that."
        )
    if dataset.excerpt:
        note(f"candidates that {dataset.name} has scores of are not trained again on the proxy.")
    if data.excerpt:
        note(
            f"nets are exported with weights from the {len(data.train):,} images of {data.name}; "
            f"put all of {data.excerpt.of} under {options.data_dir} for better ones."
        )


def _open_table(options: Options, dataset: Dataset, space: Space) -> TruthTable | None:
    """Return the table that holds the truth, or None where candidates are trained for it."""
    name = options.truth
    if name == "auto":
        name = dataset.excerpt.truth if dataset.excerpt else "training"
    return None if name == "training" else TruthTable.open(name, space, dataset.name)


def _to_train_on(dataset: Dataset, job: Condensation | Ready, seed: int) -> Dataset:
    """Return what the nets that are exported are trained on: all the images, if they are at hand.

    Of an excerpt else what it holds: the real images and the condensed ones.
    """
    if whole := whole_of(dataset, seed=seed):
        return whole
    if isinstance(job, Ready):
        train, name = dataset.train.join(job.images), f"{dataset.name} and {job.name}"
        return replace(dataset, train=train, name=name)
    return dataset
