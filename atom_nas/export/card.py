"""The model card of an export: what its metrics.json and preprocessing.json say, in sentences."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

RETRAINED_FROM = "retrained_from"
"""The key in metrics.json that a net chosen on other data has: the name of the export it was."""

JOINT = {
    "combined_ranks": "the mean rank by free scores and {}",
    "combined_model": "a model of free scores and of {}",
}
"""What chose in place of the proxy, in words about it."""

SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def model_card(folder: Path) -> str:
    """Return the Markdown section on the export whose files are in `folder`.

    What the files do not say is said to be not known; a wrong kind of value counts as none.
    """
    metrics = read_metrics(folder)
    names = json.loads((folder / "preprocessing.json").read_bytes())["class_names"]
    lines = [
        f"- Data: {_data(metrics, names)}",
        f"- Chosen by: {_choice(metrics)}",
        f"- Accuracy: {_accuracy(metrics)}",
        f"- Cost: {_cost(metrics)}",
        f"- Training: {_training(metrics)}",
    ]
    return "## Model card\n\n" + "\n".join(lines) + "\n"


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return what the metrics.json of the export in `folder` holds."""
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_bytes())
    return metrics


def is_retrained(folder: Path) -> bool:
    """Say whether the export in `folder` is of a net that was chosen on other data."""
    try:
        return RETRAINED_FROM in read_metrics(folder)
    except (OSError, ValueError, TypeError):
        return False


def _data(metrics: Mapping[str, Any], names: list[str]) -> str:
    images = metrics.get("images")
    counts = images if isinstance(images, dict) else {}
    shown = [f"{counts[split]:,} {words}" for split, words in SPLITS.items() if _has(counts, split)]
    name = _text(metrics, "dataset") or "not known by name"
    parts = [name, *([" + ".join(shown) + " images"] if shown else [])]
    classes = plain_markdown(shorten(", ".join(names), 200, placeholder=" ..."))
    licence = _text(metrics, "about") or "Licence not known"
    return f"{', '.join(parts)}, {len(names)} classes ({classes}). {licence}."


def _choice(metrics: Mapping[str, Any]) -> str:
    proxy, joint = _text(metrics, "proxy"), JOINT.get(_text(metrics, "chosen_by"))
    found = metrics.get("chosen_by_spearman" if joint else "proxy_spearman")
    if not proxy:
        return "not known."
    chosen_on = _text(metrics, "chosen_on") or _text(metrics, "dataset") or "its data"
    start = f"{proxy}, a small stand-in for {chosen_on}"
    if _has(metrics, "model_fitted_on"):
        number = metrics["model_fitted_on"]
        start += f" (in turn with a model of it and free scores, fitted on {number} trained nets)"
    if joint:
        start = joint.format(start)
    needed = ("value", "low", "high", "n")
    if not (isinstance(found, dict) and all(_has(found, key) for key in needed)):
        return f"{start}; how well it ranks nets is not known, as no audit was made."
    value, low, high = (f"{found[key]:.2f}" for key in needed[:3])
    return (
        f"{start}, which ranks {found['n']} nets with Spearman {value} (95% interval {low} to "
        f"{high}) against training on the full data."
    )


def _accuracy(metrics: Mapping[str, Any]) -> str:
    known = [
        f"{metrics[key]:.1%} on the {split} images"
        for split in ("validation", "test")
        if _has(metrics, key := f"{split}_accuracy")
    ]
    if not known:
        return "not known."
    return ", ".join(known) + "; the validation images chose among nets and epochs, the test none."


def _cost(metrics: Mapping[str, Any]) -> str:
    known = [
        f"{metrics[key]:,} {words}"
        for key, words in (("num_params", "parameters"), ("macs", "multiply-adds an image"))
        if _has(metrics, key)
    ]
    if _has(metrics, "latency_ms") and _has(metrics, "latency_batch"):
        on, count = _text(metrics, "latency_device") or "a device not known", "latency_batch"
        known.append(f"{metrics['latency_ms']:.3g} ms for a batch of {metrics[count]} on {on}")
    return ", ".join(known) + "." if known else "not known."


def _training(metrics: Mapping[str, Any]) -> str:
    known = []
    if _has(metrics, "epochs"):
        known.append(f"{metrics['epochs']:,} epochs")
    for unit, keys in (("steps", ("steps", "full_steps")), ("s", ("seconds", "full_seconds"))):
        known += [f"{metrics[key]:,.0f} {unit}" for key in keys if _has(metrics, key)]
    if _has(metrics, "best_epoch"):
        known.append(f"the weights are those of epoch {metrics['best_epoch']:,}")
    came_from = _text(metrics, RETRAINED_FROM)
    start = f"from fresh weights, with the architecture of the export {came_from}; "
    return (start if came_from else "") + (", ".join(known) or "not known") + "."


def _has(values: Mapping[str, Any], key: str) -> bool:
    """Say whether `values` has a number for `key`."""
    return type(values.get(key)) in (int, float)


def _text(values: Mapping[str, Any], key: str) -> str:
    found = values.get(key)
    return plain_markdown(found) if isinstance(found, str) else ""


_MARKUP = re.compile(r"([\\`*|\[\]~]|(?<!\w)_|_(?!\w)|^[-+#](?=\s))")


def plain_markdown(text: str) -> str:
    """Return `text` as one line in which nothing is read as markup, of Markdown or HTML."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", text)
