"""A made run folder for the tests of the report, and readers of its pages."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np

from atom_nas.storage import file_digest, read_csv, read_json, write_csv, write_json

FIGURES = (
    *("proxy_vs_truth", "ranks", "correlation_vs_fraction"),
    *("search_history", "proxy_images", "cost_vs_correlation"),
)
NAMES = [f"net-{index}" for index in range(14)]
NAMES[9] = "<b>bold</b>|x"
NUM_AUDITED, FAILED = 9, 4
ACCURACY = [0.5 + 0.03 * index for index in range(14)]


def correlations(value: float, cost: dict[str, float | None]) -> dict:
    return {
        "n": NUM_AUDITED - 1,
        "spearman": {"value": value, "low": value - 0.3, "high": value + 0.1},
        "kendall": {"value": value - 0.2, "low": -0.5, "high": value},
        "top": {"k": 3, "overlap": 2 / 3},
        "top_fraction": {
            "fraction": 0.2,
            "n": 2,
            "spearman": {"value": value - 0.4, "low": -0.9, "high": 0.95},
            "kendall": {"value": value - 0.5, "low": -0.9, "high": 0.95},
        },
        "precision_at_10": 0.25,
        "rank_of_best": 4,
        "regret_points": 1.25,
        "seconds": cost,
    }


def cost(distill: float | None, per_candidate: float | None) -> dict[str, float | None]:
    return {
        "distill": distill,
        "proxy_per_candidate": per_candidate,
        "full_per_candidate": 90.0,
    }


def combined(value: float, over: str, verdict: str) -> dict:
    return {
        **correlations(value, cost(30.0, 2.5)),
        "over": over,
        "base": correlations(value - 0.06, cost(0.0, 0.5)),
        "uplift": {"value": 0.06, "low": -0.01, "high": 0.12},
        "verdict": verdict,
    }


AUDIT = {
    "dataset": "digits",
    "space": "convnet",
    "proxy": "atom_ipc50",
    **correlations(0.8, cost(30.0, 2.0)),
    "baselines": {
        "random_ipc50": {
            **correlations(0.7, cost(0.0, 2.0)),
            "difference": {"value": 0.1, "low": -0.04, "high": 0.25},
        },
        "num_params": {
            **correlations(-0.3, cost(None, None)),
            "difference": {"value": 1.1, "low": 0.6, "high": 1.5},
        },
    },
    "verdict": {"random_ipc50": "undecided", "num_params": "better"},
    "reliability": {"seeds": 3, "between_seeds": 0.72, "one_seed": 0.66},
    "ceiling": {"all": 0.96, "top": 0.41},
    "variants": {
        "loss": {"value": 0.85, "low": 0.6, "high": 0.93},
        "training_loss": {"value": 0.3, "low": 0.1, "high": 0.5},
    },
    "decision": "yes",
    "combined": {
        "combined_model": combined(0.81, "free_model", "undecided"),
        "combined_ranks": combined(0.86, "free_average", "better"),
    },
    "by_fraction": [
        {
            "fraction": fraction,
            "n": round(8 * fraction),
            "ceiling": None if fraction < 0.7 else fraction,
            "spearman": {
                "atom_ipc50": fraction - 0.2,
                "random_ipc50": fraction - 0.3,
                "num_params": -0.3,
                "macs": 0.5,
                "combined_model": 0.81,
                "combined_ranks": fraction - 0.14,
            },
        }
        for fraction in (0.6, 0.8, 1.0)
    ],
    "plan": {"width": 0.2, "more_candidates": 37, "seconds": 5400.0},
    "sentences": ["Searching on atom_ipc50 & co ranks <better> than counting.", "Else undecided."],
}


def write_rows(path: Path, rows: list[dict]) -> None:
    write_csv(path, list(rows[0]), [row.values() for row in rows])


def write_proxy(run: Path, name: str, **manifest: object) -> None:
    folder = run / "proxies" / f"{name}-0123abcd"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).random((68, 134, 3))
    matplotlib.image.imsave(folder / "preview.png", pixels)
    files = {"preview.png": file_digest(folder / "preview.png")}
    write_json(folder / "manifest.json", {"proxy": name, "files": files, **manifest})


def make_run(run: Path) -> Path:
    run.mkdir(exist_ok=True)
    write_json(run / "settings.json", {"dataset": "digits", "max_macs": None})
    write_json(run / "audit.json", AUDIT)
    failed = {"state": "FAIL", "proxy_accuracy": "", "seconds": "", "reason": "loss | not <finite>"}
    write_rows(
        run / "candidates.csv",
        [
            {
                "candidate": name,
                "state": "COMPLETE",
                "width": 32,
                "pool_ing": "max",
                "proxy_accuracy": ACCURACY[index],
                "num_params": 1000 * index + 532,
                "macs": 2_340_000,
                "seconds": 1.5,
                "uniform": int(index < NUM_AUDITED),
                "reason": "",
                **(failed if index == FAILED else {}),
            }
            for index, name in enumerate(NAMES)
        ],
    )
    audited = [index for index in range(NUM_AUDITED) if index != FAILED]
    write_rows(
        run / "audit.csv",
        [
            {
                "candidate": NAMES[index],
                "test_accuracy": 0.6 + 0.3 * math.sin(index),
                "atom_ipc50": ACCURACY[index],
                "random_ipc50": 0.5,
                "num_params": 1000 * index + 532,
            }
            for index in audited
        ],
    )
    write_rows(
        run / "truth.csv",
        [
            {"candidate": NAMES[index], "seed": seed, "test_accuracy": 0.7 + seed, "seconds": 90}
            for index in [*audited, 12, 13]
            for seed in (0, 0.1)
        ],
    )
    write_proxy(run, "atom_ipc50", class_names=["zero", "one"])
    write_proxy(run, "random_ipc50")
    for rank, accuracy in ((2, 0.81), (10, 0.79), (1, 0.823)):
        folder = run / "export" / f"{rank}-net-{rank}"
        folder.mkdir(parents=True)
        (folder / "architecture.json").write_text('{"width": 32, "kernels": [3, 5]}')
        (folder / "metrics.json").write_text(json.dumps({"test_accuracy": accuracy}))
        digests = {path.name: file_digest(path) for path in folder.iterdir()}
        write_json(folder / "verification.json", {"digests": digests})
    return run


def edit_csv(path: Path, change) -> None:
    write_rows(path, change(read_csv(path)))


def edit_json(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes})


NEW = ("reliability", "ceiling", "variants", "decision", "combined", "by_fraction", "plan")


def old_file(run):
    """What audit.json was before it had these figures."""
    path = run / "audit.json"
    old = {key: value for key, value in read_json(path).items() if key not in NEW}
    for figures in (old, *old["baselines"].values()):
        for key in ("top_fraction", "precision_at_10", "rank_of_best"):
            del figures[key]
    write_json(path, old)


class Page(HTMLParser):
    VOID = frozenset(("meta", "link", "img", "br"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "b"), tag
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(" ".join(data.split()))


def tables(markdown: str) -> list[list[list[str]]]:
    """Return the cells of each table, its header first."""
    found = []
    for block in re.split(r"\n(?!\|)", markdown):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        if rows:
            cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
            assert len({len(row) for row in cells}) == 1, block
            found.append([[cell.strip() for cell in row] for row in (cells[0], *cells[2:])])
    return found
