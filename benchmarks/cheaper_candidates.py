"""How well do cheaper trainings on a proxy rank, and what does each cost?

    python benchmarks/cheaper_candidates.py --space nas_bench_201 --truth nas_bench_201 \
        --variants steps=240,cells_per_stage=1 steps=120,cells_per_stage=1,image_size=16

A variant is the steps of a training, the draws of the images that it is done on (where they are not
--draws), the steps of the distillation (distil_steps, where the proxy is distilled) and settings of
the space, as --shrink takes them. Each is trained on one kind of images; its rows lie in
<out>/scores.csv, where the same command goes on, and <out>/results.md compares all variants given,
in pairs on the same candidates. Of NAS-Bench-201 they are the cells of ranking_protocols.py, whose
rows of 240 steps come first.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
from intervals import interval
from trained_sample import MEASURES, SampleOptions, TrainedSample

from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import spearman
from atom_nas.parsing import parse_settings
from atom_nas.scoring import objective
from atom_nas.scoring.estimator import Estimator
from atom_nas.storage.files import write_atomically
from atom_nas.training.fit import FORWARD, FORWARD_BACKWARD, Outcome
from atom_nas.training.schedule import Training

PROTOCOLS = Path(__file__).parent / "results" / "nas_bench_201-protocols"
COMMITTED = "steps=240,cells_per_stage=1 (ranking_protocols.py, other hardware)"


@dataclass(frozen=True, kw_only=True)
class Settings(SampleOptions):
    """What is measured."""

    variants: tuple[str, ...] = ("steps=240",)
    """The first is what the others are compared with."""
    proxy: str = "random_ipc50"
    out: Path = Path("cheaper")


def main(settings: Settings) -> None:
    trained = TrainedSample(settings)
    found = {}
    if settings.space == "nas_bench_201":
        shrunk = trained.space.shrunk({"cells_per_stage": 1})
        costs = [shrunk.cost(cell).macs for cell, _ in trained.sample]
        found[COMMITTED] = committed(trained.names, costs)
    for variant in settings.variants:
        shrink = parse_settings("--variants", variant)
        found[variant] = trained.estimate(
            settings.proxy,
            shrink.pop("steps"),
            draws=shrink.pop("draws", None),
            distil_steps=shrink.pop("distil_steps", None),
            shrink=shrink,
        )
        text = to_markdown(settings, found, trained.truth)
        write_atomically(settings.out / "results.md", text)
        print(text.splitlines()[-1], flush=True)
    trained.close()


def committed(names: Sequence[str], costs: Sequence[int]) -> Estimator:
    """Return what ranking_protocols.py measured of the cells `names`: 240 steps, one draw."""
    with open(PROTOCOLS / "random.csv", newline="", encoding="utf-8") as file:
        rows = {row["candidate"]: row for row in csv.DictReader(file)}
    measured = [
        Outcome(
            accuracy=float(rows[name]["accuracy"]),
            loss=float(rows[name]["loss"]),
            curve=tuple(map(float, rows[name]["curve"].split())),
        )
        for name in names
    ]
    scores = {
        key: np.array([objective.MEASURES[key](each) for each in measured]) for key in MEASURES
    }
    shown = FORWARD_BACKWARD * Training(steps=240, flip=True).images_shown(500) + FORWARD * 5000
    return Estimator(
        name=COMMITTED,
        kind="random",
        scores=scores[MEASURES[0]],
        repeats=scores[MEASURES[0]][None],
        measure=MEASURES[0],
        variants=scores,
        macs_per_candidate=float(np.mean(costs)) * shown,
        seconds_per_candidate=float(np.mean([float(rows[name]["seconds"]) for name in names])),
    )


def to_markdown(settings: Settings, found: dict[str, Estimator], truth: np.ndarray) -> str:
    """Return the table."""
    base = next(iter(found.values()))
    lines = [
        "# Which cheaper training ranks best?",
        "",
        f"{settings.space}, {settings.dataset}, truth {Path(settings.truth).name}, "
        f"{settings.proxy}, {settings.draws} draws where a variant names none, n = {len(truth)}. "
        "Spearman with the truth [95% interval]; the difference to the first line is paired. Cost "
        "is counted in multiply-adds; seconds are of one core, whatever else ran.",
        "",
        "| variant | seconds a candidate | cost, to the first | accuracy times likelihood | minus "
        "the first | of one draw | accuracy | last training loss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        assert each.repeats is not None
        gap = compare(each.scores, base.scores, truth, seed=0).difference
        one = np.mean([spearman(draw, truth).value for draw in each.repeats])
        others = [interval(spearman(each.variants[key], truth)) for key in MEASURES[1:]]
        cells = [
            name,
            f"{each.seconds_per_candidate:.1f}",
            f"{each.macs_per_candidate / base.macs_per_candidate:.2f}",
            interval(spearman(each.scores, truth)),
            "" if each is base else interval(gap, "+"),
            f"{one:.2f}",
            *others,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
