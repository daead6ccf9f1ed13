"""How accurate do nets become on a set at each stage of its distillation?

    python benchmarks/distillation_stages.py --folder benchmarks/results/paper_steps/atom_ipc10

The folder is one of `atom-nas distill`, also of one that is still under way: what its checkpoint
holds is kept under <folder>/stages as the set that a distillation of so many steps gives, which it
is, as no setting follows the step. Fresh nets are trained on every stage by the papers' protocol
and measured on validation images, which were not condensed. Each is a row of stages.csv; the same
command adds the stage of now. <folder>/stages.md is the table.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import command
import numpy as np
import torch
from distillation_table import PAPER_EPOCHS
from machine import hardware

from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.paper_nets import NETS
from atom_nas.distillation.paper_protocol import PaperAccuracy, Protocol
from atom_nas.distillation.proxy import Proxy, load_proxy
from atom_nas.distillation.recipes import Recipe
from atom_nas.storage.files import CACHE, digest, write_atomically
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.tensors import load_sealed, save_sealed
from atom_nas.training.devices import resolve_device
from atom_nas.training.memory import keep_freed_memory

JUDGE = ("net", "epochs", "batch_size")
KEY = ("steps", *JUDGE, "net_seed")
COLUMNS = ("proxy", "seed", *KEY, "accuracy", "hardware")
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    folder: Path
    """Of the distillation."""
    net: str = "convnet3"
    networks: int = 3
    """Fresh nets for each stage."""
    epochs: int = PAPER_EPOCHS
    batch_size: int = Protocol.batch_size
    data_dir: Path = CACHE
    device: str = "auto"


def keep_stage(folder: Path, dataset: Dataset, device: torch.device) -> None:
    """Keep what the checkpoint in `folder` holds as a finished set under its stages."""
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        return
    about = json.loads((folder / "settings.json").read_text())
    tensors, notes = load_sealed(checkpoint)
    job = Condensation(
        dataset=dataset,
        method=about["method"],
        images_per_class=about["images_per_class"],
        seed=about["seed"],
        recipe=replace(Recipe(**about["recipe"]), steps=int(notes["step"])),
        device_type=about.get("device_type", "cpu"),
    )
    stage = job.folder(folder / "stages")
    if load_proxy(stage) is None:
        stage.mkdir(parents=True, exist_ok=True)
        save_sealed(stage / CHECKPOINT, tensors, {**notes, "job": digest(job.identity)})
        condense(job, stage, device)


def stages(folder: Path) -> Iterator[Proxy]:
    """Yield the sets of `folder`, the fewest steps first."""
    found = [load_proxy(path) for path in (folder, *(folder / "stages").glob("*"))]
    yield from sorted((each for each in found if each), key=steps_of)


def steps_of(proxy: Proxy) -> int:
    """Return the steps of a distillation."""
    return int(proxy.manifest["recipe"]["steps"])


def to_markdown(rows: list[dict[str, str]]) -> str:
    """Return accuracies by steps."""
    lines = [
        "Validation accuracy in % of fresh nets (mean, standard deviation of n nets on one set).\n",
        "| set | steps | net | epochs | batch | accuracy | n |",
        "|---|---|---|---|---|---|---|",
    ]

    def key_of(row: dict[str, str]) -> tuple[str, ...]:
        return (row["proxy"], row["steps"], *(row[column] for column in JUDGE))

    keys = dict.fromkeys(map(key_of, rows))
    for key in sorted(keys, key=lambda key: (key[0], int(key[1]), *key[2:])):
        own = [100 * float(row["accuracy"]) for row in rows if key_of(row) == key]
        spread = f" ± {np.std(own, ddof=1):.1f}" if len(own) > 1 else ""
        lines.append(f"| {' | '.join(key)} | {np.mean(own):.1f}{spread} | {len(own)} |")
    return "\n".join(lines) + "\n"


def main(settings: Settings) -> None:
    device, folder = resolve_device(settings.device), settings.folder
    keep_freed_memory(device)
    about = json.loads((folder / "settings.json").read_text())
    dataset = open_dataset(about["dataset"], settings.data_dir, seed=0)
    keep_stage(folder, dataset, device)
    accuracy_of = PaperAccuracy(
        dataset=replace(dataset, test=dataset.validation),
        whiten=about["recipe"]["whiten"],
        device=device,
        batch_size=settings.batch_size,
    )
    table = RowLog(folder / "stages.csv", COLUMNS, key=KEY)
    for proxy in stages(folder):
        for net_seed in range(settings.networks):
            judge = (settings.net, settings.epochs, settings.batch_size)
            key = tuple(map(str, (steps_of(proxy), *judge, net_seed)))
            if table.find(key):
                continue
            accuracy = accuracy_of.measure(
                proxy.images, NETS[settings.net], epochs=settings.epochs, seed=net_seed
            )
            row: dict[str, Any] = dict(zip(KEY, key, strict=True))
            row |= {"proxy": proxy.name, "seed": proxy.seed, "hardware": hardware(device)}
            table.append({**row, "accuracy": accuracy})
            print(f"{proxy.name}, {key[0]} steps, net {net_seed}: {accuracy:.1%}", flush=True)
    text = to_markdown(table.rows)
    write_atomically(folder / "stages.md", text)
    print(text)


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
