"""A run opened by its options, and its stages as functions for a program of your own."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from tqdm import tqdm

from atom_nas.audit.record import Audit
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.audit.truth_table import TruthTable
from atom_nas.data.sources import open_dataset
from atom_nas.defaults import condensation, full_training, proxy_training
from atom_nas.options import Options
from atom_nas.parsing import parse_settings
from atom_nas.pipeline.lengths import Lengths
from atom_nas.pipeline.stages import Pipeline
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.space import load_space
from atom_nas.scoring.trainer import Trainer
from atom_nas.search.candidate import Candidate
from atom_nas.storage.files import write_json
from atom_nas.storage.run_folder import open_run
from atom_nas.training.devices import resolve_device


def run_search(**options: Any) -> list[Candidate]:
    """Condense and search with the fields of `Options`; return the candidates in order."""
    with open_pipeline(Options(**options)) as pipeline:
        return pipeline.search()


def run_audit(**options: Any) -> Audit:
    """Audit the proxy with the fields of `Options`, after a search in their folder or without."""
    with open_pipeline(Options(**options)) as pipeline:
        return pipeline.audit()


@contextmanager
def open_pipeline(options: Options) -> Iterator[Pipeline]:
    """Load what `options` name and open the run folder, alone in it.

    Raises UserError before anything is written where an option does not fit the data.
    """
    device = resolve_device(options.device)
    dataset = open_dataset(options.dataset, options.data_dir, seed=options.seed)
    space = load_space(options.space, dataset.image_shape, dataset.num_classes)
    job = condensation(options, dataset, device)
    shrink = parse_settings("--shrink", options.shrink)
    shrunk = space.shrunk(shrink)
    table = None
    if options.truth != "training":
        table = TruthTable.open(options.truth, space, dataset.name)
    proxy, full = proxy_training(options, dataset), full_training(options, dataset, device)
    is_proxy_open = not (options.proxy_steps or options.proxy_epochs)
    is_full_open = not (options.full_steps or options.full_epochs)
    settings = {
        **job.identity,
        "validation_digest": dataset.validation.digest,
        "test_digest": dataset.test.digest,
        "space": space.name,
        "space_digest": space.digest,
        "sampler": options.sampler,
        "max_params": options.max_params,
        "max_macs": options.max_macs or dataset.max_macs,
        "shrink": shrink,
        "proxy_steps": None if is_proxy_open else proxy.steps,
        "full_steps": None if is_full_open else full.steps,
    }
    if device.type != "cpu":  # candidates draw other random numbers there
        settings["device_type"] = device.type
    trainer = Trainer(dataset.normalization, device, workers=options.workers)
    with open_run(options.folder, settings) as folder, closing(trainer):
        if not (folder / "options.json").exists():
            write_json(folder / "options.json", options)
        if dataset.max_macs and not options.max_macs:
            tqdm.write(
                f"candidates have at most {dataset.max_macs:,} multiply-adds on {dataset.name}; "
                "--max-macs says otherwise."
            )
        yield Pipeline(
            options=options,
            folder=folder,
            device=device,
            dataset=dataset,
            space=space,
            scores=ProxyScores(
                folder / "scores.csv", space=shrunk, dataset=dataset, trainer=trainer
            ),
            lengths=Lengths(
                folder / "lengths.json",
                proxy=proxy,
                full=full,
                is_proxy_open=is_proxy_open,
                is_full_open=is_full_open,
            ),
            trained=TrainedTruth(
                folder, space=space, dataset=dataset, training=full, trainer=trainer
            ),
            table=table,
        )
