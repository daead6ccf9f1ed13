"""A made run folder for the tests of the report, and readers of its pages."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np

from atom_nas.audit.comparison import Comparison
from atom_nas.audit.ranking import Estimate
from atom_nas.audit.record import Audit, Combined, Figures, Plan, Region, Rival, Seeds
from atom_nas.audit.truth import Ceiling
from atom_nas.scoring.estimator import Kind
from atom_nas.storage.files import file_digest, read_csv, read_json, write_csv, write_json

FIGURES = (
    *("proxy_vs_truth", "ranks", "correlation_vs_fraction"),
    *("search_history", "param_importances", "pareto_front"),
    *("proxy_images", "cost_vs_correlation"),
)
OF_A_SEARCH = ("search_history", "param_importances", "pareto_front", "proxy_images")
"""Of these, the figures that need no audit."""
NAMES = [f"net-{index}" for index in range(14)]
NAMES[9] = "<b>bold</b>|x"
NUM_AUDITED, FAILED = 9, 4
ACCURACY = [0.5 + 0.03 * index for index in range(14)]
AUDITED = [index for index in range(NUM_AUDITED) if index != FAILED]
FULL_MACS, FULL_SECONDS = 1e12, 90.0


def around(value: float, below: float, above: float) -> Estimate:
    return Estimate(value=value, low=value - below, high=value + above)


def compared(value: float, low: float, high: float) -> Comparison:
    difference = Estimate(value=value, low=low, high=high)
    return Comparison(difference=difference, p_better=0.1, p_worse=0.9, n=30)


def figures(name: str, kind: Kind, rho: float, *, setup: float = 0, each: float = 0) -> Figures:
    """Of an estimator that costs so many seconds, and a thousand million times as many MACs."""
    return Figures(
        name=name,
        kind=kind,
        scores=tuple(ACCURACY[index] for index in AUDITED),
        spearman=around(rho, 0.3, 0.1),
        spearman_top=Estimate(value=rho - 0.4, low=-0.9, high=0.95),
        spearman_test=rho - 0.01,
        kendall=Estimate(value=rho - 0.2, low=-0.5, high=rho),
        top_k=3,
        overlap=2 / 3,
        precision=0.25,
        rank_of_best=4,
        regret_points=1.25,
        setup_macs=1e9 * setup,
        macs_per_candidate=1e9 * each,
        cost=1e9 * (each + setup / 100),
        setup_seconds=setup,
        seconds_per_candidate=each,
        seconds=each + setup / 100,
    )


def rival(found: Figures, difference: Comparison) -> Rival:
    return Rival(figures=found, comparison=difference, is_fair=True, p_worse_corrected=1.0)


def combined(name: str, rho: float, base: str, uplift: Comparison) -> Combined:
    kind: Kind = "model" if name == "combined_model" else "rank_average"
    return Combined(
        figures=figures(name, kind, rho, setup=30, each=2.5),
        base=figures(base, kind, rho - 0.06, each=0.5),
        uplift=uplift,
    )


def region(share: float) -> Region:
    ceiling = replace(CEILING, value=None if share < 0.7 else share)
    rho = {
        "atom_ipc50": share - 0.2,
        "random_ipc50": share - 0.3,
        "num_params": -0.3,
        "macs": 0.5,
        "combined_model": 0.81,
        "combined_ranks": share - 0.14,
    }
    return Region(fraction=share, n=round(8 * share), ceiling=ceiling, spearman=rho)


CEILING = Ceiling(value=0.97, agreement=0.89, trainings=2.0, reason="")
AUDIT = Audit(
    dataset="digits",
    space="convnet",
    candidates=tuple(NAMES[index] for index in AUDITED),
    truth=tuple(0.6 + 0.3 * math.sin(index) for index in AUDITED),
    test=tuple(0.6 + 0.29 * math.sin(index) for index in AUDITED),
    full_macs=FULL_MACS,
    full_seconds=FULL_SECONDS,
    measure="accuracy",
    proxy=figures("atom_ipc50", "distilled", 0.8, setup=30, each=2),
    rivals=(
        rival(figures("random_ipc50", "random", 0.7, each=2), compared(0.1, -0.04, 0.25)),
        rival(figures("num_params", "size", -0.3), compared(1.1, 0.6, 1.5)),
    ),
    combined=(
        combined("combined_model", 0.81, "free_model", compared(0.06, -0.01, 0.12)),
        combined("combined_ranks", 0.86, "free_average", compared(0.06, 0.01, 0.12)),
    ),
    regions=tuple(region(share) for share in (0.6, 0.8, 1.0)),
    ceiling=CEILING,
    ceiling_top=replace(CEILING, value=0.41),
    variants={
        "loss": Estimate(value=0.85, low=0.6, high=0.93),
        "training_loss": Estimate(value=0.3, low=0.1, high=0.5),
    },
    seeds=Seeds(count=3, between=0.72, one=0.66, signal_to_noise=3.21, signal_to_noise_half=0.94),
    plan=Plan(width=0.2, more_candidates=37, macs=3.7e13, seconds=5400.0),
    decision="yes",
    sentences=("Searching on atom_ipc50 & co ranks <better> than counting.", "Else undecided."),
)


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
    settings = {"dataset": "digits", "space": "convnet", "proxy": "atom_ipc50", "max_macs": None}
    write_json(run / "settings.json", settings)
    write_json(run / "options.json", {"objective": "accuracy"})
    write_json(run / "audit.json", json.loads(AUDIT.to_json()))
    shares = {"width": 0.61, "pool_ing": 0.17}
    write_json(run / "importances.json", {"trials": 13, "shares": shares, "reason": ""})
    failed = {
        "state": "FAIL",
        "objective": "",
        "proxy_accuracy": "",
        "seconds": "",
        "reason": "loss | not <finite>",
    }
    write_rows(
        run / "candidates.csv",
        [
            {
                "candidate": name,
                "state": "COMPLETE",
                "width": 32,
                "pool_ing": "max",
                "objective": ACCURACY[index],
                "proxy_accuracy": ACCURACY[index],
                "num_params": 1000 * index + 532,
                "macs": 2_340_000 * (index + 1) // 14,
                "seconds": 1.5,
                "uniform": int(index < NUM_AUDITED),
                "reason": "",
                **(failed if index == FAILED else {}),
            }
            for index, name in enumerate(NAMES)
        ],
    )
    write_rows(
        run / "truth.csv",
        [
            {
                "candidate": NAMES[index],
                "seed": seed,
                "validation_accuracy": 0.7 + seed,
                "test_accuracy": 0.6 + seed,
                "seconds": FULL_SECONDS,
                "failure": "",
            }
            for index in [*AUDITED, 12, 13]
            for seed in (0, 0.1)
        ],
    )
    write_proxy(run, "atom_ipc50", class_names=["zero", "one"])
    write_proxy(run, "random_ipc50")
    for rank, accuracy in ((2, 0.81), (10, 0.79), (1, 0.823)):
        folder = run / "export" / f"{rank}-net-{rank}"
        folder.mkdir(parents=True)
        (folder / "architecture.json").write_text('{"width": 32, "kernels": [3, 5]}')
        metrics = {
            "dataset": "some",
            "images": {"train": 1500},
            "validation_accuracy": accuracy + 0.01,
            "test_accuracy": accuracy,
            "num_params": 1000 * rank + 500,
            "macs": 150_000 * rank,
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
        digests = {path.name: file_digest(path) for path in folder.iterdir()}
        write_json(folder / "verification.json", {"digests": digests})
    return run


def edit_csv(path: Path, change) -> None:
    write_rows(path, change(read_csv(path)))


def edit_json(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes})


def edit_audit(run: Path, **changes: object) -> None:
    path = run / "audit.json"
    audit = Audit.from_json(json.dumps(read_json(path)))
    write_json(path, json.loads(replace(audit, **changes).to_json()))


def only_searched(run: Path) -> None:
    """What there is after a search alone."""
    for name in ("audit.json", "truth.csv"):
        (run / name).unlink()
    (run / "export").rename(run / "elsewhere")


class Page(HTMLParser):
    """What a reader of a page sees of it, and where its links lead."""

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
        assert tag != "b", tag
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["script"], ["style"]):
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
