"""Distil, train fresh nets on the images, test them: method x images per class, one table.

    python benchmarks/distillation.py --dataset cifar10 --seeds 3 --networks 5

Every measurement is a row of results.csv as soon as it is made; the same command goes on where it
was stopped. results.json and results.md are written from these rows alone.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import command
import torch
from distillation_table import COLUMNS, PAPER_EPOCHS, write_tables
from machine import commit, hardware
from tqdm import tqdm

from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.names import is_distilled, load_method
from atom_nas.distillation.paper_nets import NETS
from atom_nas.distillation.paper_protocol import PaperAccuracy, Protocol
from atom_nas.distillation.proxy import Proxy
from atom_nas.distillation.recipes import RECIPES, adjust
from atom_nas.errors import UserError, unknown
from atom_nas.storage.files import CACHE, canonical_json
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.run_folder import open_run
from atom_nas.training.devices import resolve_device
from atom_nas.training.memory import keep_freed_memory

METHODS = ("atom", "datadam", "channel", "dm", "herding", "kmeans", "random")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured; the defaults are the papers' lengths."""

    dataset: str = "cifar10"
    """A data set by name, or a folder with one sub-folder a class."""
    data_dir: Path = CACHE
    """Where named data sets lie."""
    methods: tuple[str, ...] = METHODS
    ipc: tuple[int, ...] = (1, 10, 50)
    """Images per class."""
    recipe: str = "paper"
    """paper or released."""
    steps: int | None = None
    """Distillation steps; default the recipe's own."""
    adjust: str = ""
    """Other settings of the recipe, as in loss_scale=10,norm=batch."""
    seeds: int = 3
    """Distillations of every method, with the seeds 0, 1, ..."""
    nets: tuple[str, ...] = ("convnet3",)
    """Architectures that are trained on the images."""
    networks: int = 5
    """Fresh networks of every architecture for each distillation."""
    epochs: int = PAPER_EPOCHS
    """Epochs of a fresh network."""
    batch_size: int = Protocol.batch_size
    """Images in a batch of its training."""
    held_out: bool = False
    """Measure on the validation split, which is then not condensed: to choose settings by."""
    device: str = "auto"
    out: Path | None = None
    """Folder of results and proxies; default benchmarks/results/<device>-<dataset>."""
    table_only: bool = False
    """Only write the tables again from results.csv."""

    def __post_init__(self) -> None:
        for method in self.methods:
            load_method(method)
        for kind, name, allowed in (
            ("recipe", self.recipe, RECIPES),
            *(("net", net, NETS) for net in self.nets),
        ):
            if name not in allowed:
                raise unknown(kind, name, allowed)
        for name in ("steps", "seeds", "networks", "epochs", "batch_size"):
            count = getattr(self, name)
            if count is not None and count < 1:
                flag = f"--{name.replace('_', '-')}"
                raise UserError(f"{flag} is {count}; it must be at least 1.")
        if min(self.ipc) < 1:
            raise UserError(f"--ipc is {min(self.ipc)}; it must be at least 1.")

    @property
    def folder(self) -> Path:
        """Where the results go."""
        kind = resolve_device(self.device).type
        default = Path(__file__).parent / "results" / f"{kind}-{Path(self.dataset).stem}"
        return self.out or default


def measure(settings: Settings, folder: Path, dataset: Dataset) -> None:
    """Make every measurement that results.csv in `folder` does not hold yet."""
    device = resolve_device(settings.device)
    keep_freed_memory(device)
    table = RowLog(folder / "results.csv", COLUMNS)
    make_recipe = RECIPES[settings.recipe]
    accuracy_of = PaperAccuracy(
        dataset=dataset,
        whiten=make_recipe(dataset, 1).whiten,
        device=device,
        batch_size=settings.batch_size,
    )
    machine = {
        "hardware": hardware(device),
        "torch": torch.__version__,
        "commit": commit(),
    }
    cells = [
        (seed, ipc, method)
        for seed in range(settings.seeds)
        for ipc in settings.ipc
        for method in settings.methods
    ]
    for seed, ipc, method in (bar := tqdm(cells, unit="proxy")):
        bar.set_description(f"{method}_ipc{ipc} seed {seed}")
        own = make_recipe(dataset, ipc)
        recipe = adjust(replace(own, steps=settings.steps or own.steps), settings.adjust)
        job = Condensation(
            dataset=dataset,
            method=method,
            images_per_class=ipc,
            seed=seed,
            recipe=recipe if is_distilled(method) else None,
            device_type=device.type,
        )
        reset_peak_memory(device)
        proxy = condense(job, job.folder(folder / "proxies"), device)
        about = {
            "dataset": dataset.name,
            "method": job.name.rpartition("_ipc")[0],
            "images_per_class": ipc,
            "recipe": settings.recipe if job.recipe else "",
            "settings": canonical_json(job.recipe) if job.recipe else "",
            "full_steps": own.steps if job.recipe else 0,
            "whiten": accuracy_of.whiten,
            "proxy": proxy.manifest["digest"][:10],
            "seed": seed,
            "distillation_seconds": f"{proxy.seconds:.3f}",
            "peak_memory_bytes": proxy.manifest["peak_memory_bytes"],
            **machine,
        }
        measure_nets(settings, table, accuracy_of, proxy, about)
        write_tables(folder)


def measure_nets(
    settings: Settings,
    table: RowLog,
    accuracy_of: PaperAccuracy,
    proxy: Proxy,
    about: dict[str, Any],
) -> None:
    """Append to `table` the accuracy of every fresh network on `proxy` that it lacks."""
    key = ("proxy", "net", "net_seed", "epochs", "batch_size")
    known = {tuple(row[column] for column in key) for row in table.rows}
    for net in settings.nets:
        for net_seed in range(settings.networks):
            asked = (net_seed, settings.epochs, settings.batch_size)
            if (about["proxy"], net, *map(str, asked)) in known:
                continue
            start = time.perf_counter()
            accuracy = accuracy_of.measure(
                proxy.images, NETS[net], epochs=settings.epochs, seed=net_seed
            )
            fresh = {
                "net": net,
                "net_seed": net_seed,
                "epochs": settings.epochs,
                "batch_size": settings.batch_size,
                "accuracy": accuracy,
                "evaluation_seconds": f"{time.perf_counter() - start:.3f}",
            }
            table.append({**about, **fresh})


def reset_peak_memory(device: torch.device) -> None:
    """Let the peak memory count from now; on a CPU, Linux alone can."""
    switch = Path("/proc/self/clear_refs")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif switch.exists():
        switch.write_text("5")


def main(settings: Settings) -> None:
    if settings.table_only:
        write_tables(settings.folder)
        return
    dataset = open_dataset(settings.dataset, settings.data_dir, seed=0)
    if settings.held_out:
        dataset = replace(dataset, test=dataset.validation)
    else:  # The papers condense all the training images.
        dataset = replace(dataset, train=dataset.train.join(dataset.validation))
    identity = {"dataset": dataset.name, "train_digest": dataset.train.digest}
    if settings.held_out:
        identity["measured_on"] = "validation"
    with open_run(settings.folder, identity) as folder:
        measure(settings, folder, dataset)
    print(f"table: {settings.folder / 'results.md'}")


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
