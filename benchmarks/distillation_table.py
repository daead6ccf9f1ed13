"""What the rows of benchmarks/distillation.py amount to: summaries, and their Markdown table."""

import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from atom_nas.errors import UserError
from atom_nas.storage.files import read_json, write_atomically, write_plain_json
from atom_nas.storage.row_log import RowLog

PAPER_EPOCHS = 1000

CONVNET_PAPERS = {
    ("cifar10", "atom"): ((34.8, 57.9, 68.8), "recalled"),
    ("cifar10", "datadam"): ((32.0, 54.2, 67.0), "table"),
    ("cifar10", "dm"): ((26.0, 48.9, 63.0), "table"),
    ("cifar10", "herding"): ((21.5, 31.6, 40.4), "table"),
    ("cifar10", "random"): ((14.4, 26.0, 43.4), "table"),
    ("cifar100", "atom"): ((18.1, 35.7, 50.2), "recalled"),
    ("cifar100", "datadam"): ((14.5, 34.8, 49.4), "table"),
    ("cifar100", "dm"): ((11.4, 29.7, 43.6), "table"),
    ("cifar100", "herding"): ((8.4, 17.3, 33.7), "table"),
    ("cifar100", "random"): ((4.2, 14.6, 30.0), "table"),
}
"""Accuracy in % at 1, 10 and 50 images per class, and how surely it is known."""

CONVNETS = ("convnet3", "convnet3_batch")
"""The papers name the first; DataDAM's released code has the second."""

OTHER_NETS = ("alexnet", "vgg11", "resnet18", "vit")
OTHER_NETS_PAPERS = {
    "dm": (60.1, 57.4, 52.9, 45.2),
    "datadam": (63.9, 64.8, 60.2, 48.2),
    "atom": (64.1, 66.4, 64.5, 49.5),
}
"""The same of OTHER_NETS, CIFAR-10, 50 images per class, all recalled."""

COLUMNS = (
    *("dataset", "method", "images_per_class", "recipe", "settings", "full_steps", "whiten"),
    *("proxy", "seed", "net", "net_seed", "epochs", "batch_size"),
    *("accuracy", "evaluation_seconds"),
    *("distillation_seconds", "peak_memory_bytes", "hardware", "torch", "commit"),
)
GROUP = (
    *("method", "images_per_class", "net", "settings", "full_steps", "epochs", "batch_size"),
    "hardware",
)


def summarize(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return a dictionary for each group of `rows` that differ in nothing but seeds."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[column] for column in GROUP)].append(row)
    return sorted(
        map(summary, groups.values()),
        key=lambda s: (s["net"], s["images_per_class"], s["steps"] == 0, -s["accuracy"]),
    )


def summary(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Return mean, spread, cost and origin of `rows`, the measurements of one group."""
    first = rows[0]
    accuracies = [float(row["accuracy"]) for row in rows]
    n = len(rows)
    sd = stdev(accuracies) if n > 1 else math.nan
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n) if n > 1 else math.nan
    proxies = {row["proxy"]: row for row in rows}.values()
    seconds = fmean(float(row["distillation_seconds"]) for row in proxies)
    steps = json.loads(first["settings"])["steps"] if first["settings"] else 0
    ipc = int(first["images_per_class"])
    figure, mark = paper_figure(first["dataset"], first["method"], first["net"], ipc)
    is_full = steps >= int(first["full_steps"]) and int(first["epochs"]) >= PAPER_EPOCHS
    return {
        "dataset": first["dataset"],
        "method": first["method"],
        "images_per_class": ipc,
        "net": first["net"],
        "accuracy": fmean(accuracies),
        "sd": sd,
        "interval": [fmean(accuracies) - half, fmean(accuracies) + half],
        "n": n,
        "distillation_seeds": len(proxies),
        "is_paper_length": is_full,
        "recipe": first["recipe"],
        "settings": json.loads(first["settings"]) if first["settings"] else None,
        "steps": steps,
        "full_steps": int(first["full_steps"]),
        "epochs": int(first["epochs"]),
        "batch_size": int(first["batch_size"]),
        "whiten": first["whiten"] == "True",
        "distillation_seconds": seconds,
        "steps_per_second": steps / seconds if steps else None,
        "evaluation_seconds": fmean(float(row["evaluation_seconds"]) for row in rows),
        "peak_memory_bytes": max(int(row["peak_memory_bytes"]) for row in proxies),
        "paper_percent": figure,
        "paper_mark": mark,
        "hardware": first["hardware"],
        "torch": sorted({row["torch"] for row in rows}),
        "commits": sorted({row["commit"] for row in rows}),
    }


def paper_figure(dataset: str, method: str, net: str, ipc: int) -> tuple[float | None, str]:
    """Return the published accuracy in % and its mark, (None, "") where none is known."""
    figures, mark = CONVNET_PAPERS.get((dataset, method), (None, ""))
    if net in CONVNETS and figures and ipc in (1, 10, 50):
        return figures[(1, 10, 50).index(ipc)], mark
    if dataset == "cifar10" and net in OTHER_NETS and method in OTHER_NETS_PAPERS and ipc == 50:
        return OTHER_NETS_PAPERS[method][OTHER_NETS.index(net)], "recalled"
    return None, ""


def render(summaries: list[dict[str, Any]], split: str = "test") -> str:
    """Return the summaries as Markdown, runs of the papers' length apart from short ones."""
    what = f"{split.capitalize()} accuracy of fresh networks at the last iterate"
    what += ", nothing chosen by it" if split == "test" else ""
    parts = [
        "# Accuracy of networks trained on condensed images\n",
        f"{what}: hard labels, "
        "DSA, SGD at 0.01, a tenth of it in the second half. All methods are measured in the "
        "space of the recipe (ZCA-whitened for CIFAR). ± is the standard deviation and the 95% "
        "t-interval takes all n = distillation seeds x networks as independent; with one seed it "
        "says nothing about another distillation. Memory is the peak of the process, the data set "
        "included, or what was allocated on a GPU. Papers' figures: *table* was seen in a table, "
        "*recalled* is from memory; they are for 8,000 steps or more.\n",
    ]
    for is_full, title in (
        (True, f"Papers' length: all the recipe's steps, {PAPER_EPOCHS:,} epochs or more"),
        (False, "Short runs: not comparable with the papers' figures"),
    ):
        chosen = [s for s in summaries if is_full in lengths(s, summaries)]
        for machine in sorted({s["hardware"] for s in chosen}):
            here = [s for s in chosen if s["hardware"] == machine]
            origin = sorted({f"torch {v}" for s in here for v in s["torch"]})
            origin += sorted({f"commit {v}" for s in here for v in s["commits"]})
            parts.append(f"## {title}\n\n{machine}; {', '.join(origin)}\n")
            parts.append("\n".join([*HEADER, *map(line, here)]) + "\n")
    return "\n".join(parts)


def lengths(s: dict[str, Any], summaries: list[dict[str, Any]]) -> set[bool]:
    """Return where `s` is shown: by its length, or a selection beside what was distilled with it.

    Beside means on the same machine and judged for as many epochs.
    """
    beside = {
        other["is_paper_length"]
        for other in summaries
        if other["steps"] and all(other[key] == s[key] for key in ("epochs", "hardware"))
    }
    return beside if beside and not s["steps"] else {s["is_paper_length"]}


HEADER = (
    "| net | images per class | method | accuracy, % | 95% interval | n | recipe | steps "
    "| epochs | batch | distillation, s | steps/s | memory, GB | paper, % |",
    "|---|--:|---|--:|---|---|---|--:|--:|--:|--:|--:|--:|---|",
)


def line(s: dict[str, Any]) -> str:
    """Return the row of one summary in the Markdown table."""
    low, high = s["interval"]
    settings = s["settings"] or {}
    knobs = "-"
    if settings:
        knobs = f"{s['recipe']}, {settings['norm']} norm, loss x{settings['loss_scale']:g}"
    networks = s["n"] / s["distillation_seeds"]
    figure = f"{s['paper_percent']} ({s['paper_mark']})" if s["paper_percent"] else "-"
    spread = f" ± {100 * s['sd']:.1f}" if s["n"] > 1 else ""
    columns = (
        s["net"],
        s["images_per_class"],
        s["method"],
        f"{100 * s['accuracy']:.1f}{spread}",
        f"{100 * low:.1f} to {100 * high:.1f}" if s["n"] > 1 else "-",
        f"{s['n']} ({s['distillation_seeds']} x {networks:g})",
        knobs,
        f"{s['steps']:,} of {s['full_steps']:,}" if s["steps"] else "-",
        s["epochs"],
        s["batch_size"],
        f"{s['distillation_seconds']:.0f}",
        f"{s['steps_per_second']:.2f}" if s["steps"] else "-",
        f"{s['peak_memory_bytes'] / 1e9:.1f}",
        figure,
    )
    return f"| {' | '.join(map(str, columns))} |"


def write_tables(folder: Path) -> None:
    """Write results.json and results.md from the rows of results.csv in `folder`.

    Its settings say on which split they were measured. Raises UserError where there are no rows.
    """
    rows = RowLog(folder / "results.csv", COLUMNS).rows
    if not rows:
        raise UserError(f"{folder} holds no results.csv with rows; give another --out.")
    summaries = summarize(rows)
    write_plain_json(folder / "results.json", summaries)
    settings = folder / "settings.json"
    made_with = read_json(settings) if settings.exists() else {}
    text = render(summaries, made_with.get("measured_on", "test"))
    write_atomically(folder / "results.md", text)
