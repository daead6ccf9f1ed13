"""With which recipe does a net that is exported learn most?

    python benchmarks/final_recipe.py                             # on the 1,500 images of the box
    python benchmarks/final_recipe.py --data all --epochs 8 --recipes plain smoothing-norms

Trains `--nets` by each recipe, and measures them on validation images of CIFAR-10 that had no part
in the choice of the best epoch: of the 5,000, 2,000 are the box's and choose it, the others judge.
All of CIFAR-10 must be at hand. Rows lie in <out>/rows.csv, where the same command goes on; the
table, of means over the seeds [standard error] and the mean gain over plain, is <out>/results.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import command
import torch
from measured_images import without
from recompute_audits import RESULTS
from search_convnets import net_of

from atom_nas.data.sources import open_dataset
from atom_nas.distillation.ready import Ready
from atom_nas.scoring.space import load_space
from atom_nas.storage.files import CACHE, write_atomically
from atom_nas.storage.row_log import RowLog
from atom_nas.training.batches import Examples
from atom_nas.training.final import fit_to_best
from atom_nas.training.fit import evaluate
from atom_nas.training.memory import keep_freed_memory
from atom_nas.training.schedule import Training

CPU = torch.device("cpu")
KEY = ("data", "epochs", "net", "recipe", "seed")
COLUMNS = (*KEY, "accuracy", "loss", "epoch", "seconds")
SOFT = {"label_smoothing": 0.1, "decays_norms": False}
ALL = {**SOFT, "warm_up": 0.05}
RECIPES: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "norms": {"decays_norms": False},
    "warm-up": {"warm_up": 0.05},
    "smoothing-norms": SOFT,
    "all": ALL,
    "all-rate-0.05": {**ALL, "learning_rate": 0.05},
    "all-rate-0.2": {**ALL, "learning_rate": 0.2},
}
"""What differs from the training of a candidate."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    data: str = "box"
    """What is trained on: box, its real and condensed images, or all of CIFAR-10."""
    epochs: int = 20
    recipes: tuple[str, ...] = tuple(RECIPES)
    nets: tuple[str, ...] = ("32-4-leaky_relu-batch-max", "32-3-leaky_relu-group-max")
    seeds: int = 3
    data_dir: Path = CACHE
    out: Path = RESULTS / "final-recipe"


def main(settings: Settings) -> None:
    keep_freed_memory(CPU)
    torch.set_num_threads(1)
    whole = open_dataset("cifar10", settings.data_dir, seed=0)
    box = open_dataset("cifar10_box", settings.data_dir, seed=0)
    space = load_space("convnet", whole.image_shape, whole.num_classes)
    judging = without(whole.validation, box.validation)
    if settings.data == "box":
        images = box.train.join(Ready(dataset=box, name="atom_ipc50", seed=0).images)
        chosen_on, normalization = box.validation, box.normalization
    else:
        images, chosen_on, normalization = whole.train, box.validation, whole.normalization
    train, choosing, held = (
        Examples.of(each, normalization, CPU) for each in (images, chosen_on, judging)
    )
    table = RowLog(settings.out / "rows.csv", COLUMNS, key=KEY)
    settings.out.mkdir(parents=True, exist_ok=True)
    for seed, net, recipe in product(range(settings.seeds), settings.nets, settings.recipes):
        key = (settings.data, str(settings.epochs), net, recipe, str(seed))
        if table.find(key):
            continue
        training = Training(steps=1, flip=whole.flip)
        steps = training.steps_in(settings.epochs, len(images))
        training = replace(training, steps=steps, **RECIPES[recipe])
        built = space.build(net_of(space, net), seed=seed)
        checkpoint = settings.out / "checkpoint.safetensors"
        best, seconds = fit_to_best(
            built,
            train,
            choosing,
            training,
            seed=seed,
            checkpoint=checkpoint,
            watch=lambda *_: None,
        )
        checkpoint.unlink()
        built.load_state_dict(best.weights)
        found = evaluate(built, held)
        table.append(
            dict(zip(KEY, key, strict=True))
            | {"accuracy": found.accuracy, "loss": found.loss, "epoch": best.epoch}
            | {"seconds": seconds}
        )
        print(f"{' '.join(key)}: {found.accuracy:.1%}", flush=True)
        write_atomically(settings.out / "results.md", to_markdown(table.rows, len(held.labels)))


def to_markdown(rows: Sequence[Mapping[str, str]], num_judging: int) -> str:
    """Return the tables, one for each data and number of epochs."""
    found: dict[tuple[str, str], dict[tuple[str, str], dict[str, float]]] = {}
    for row in rows:
        cells = found.setdefault((row["data"], row["epochs"]), {})
        by_seed = cells.setdefault((row["recipe"], row["net"]), {})
        by_seed[row["seed"]] = 100 * float(row["accuracy"])
    lines = [
        f"# Which recipe do exported nets learn by?\n\nAccuracy in % on {num_judging:,} validation "
        "images, mean over seeds ± standard error; gain over plain, paired by net and seed.\n"
    ]
    for (data, epochs), cells in found.items():
        nets = list(dict.fromkeys(net for _, net in cells))
        lines += [
            f"\n## {data}, {epochs} epochs\n",
            f"| recipe | {' | '.join(nets)} | gain | pairs |",
        ]
        lines.append("|---" * (len(nets) + 3) + "|")
        for recipe in dict.fromkeys(recipe for recipe, _ in cells):
            texts = [in_words(list(cells.get((recipe, net), {}).values())) for net in nets]
            pairs = [
                ours - cells["plain", net][seed]
                for net in nets
                for seed, ours in cells.get((recipe, net), {}).items()
                if seed in cells.get(("plain", net), {})
            ]
            lines.append(f"| {recipe} | {' | '.join(texts)} | {in_words(pairs)} | {len(pairs)} |")
    return "\n".join(lines) + "\n"


def in_words(values: list[float]) -> str:
    """Return the mean and its standard error."""
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else ""
    return f"{fmean(values):.2f} ± {stdev(values) / len(values) ** 0.5:.2f}"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
