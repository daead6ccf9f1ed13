"""At one cost, is a candidate trained better once for long, or on several draws for less?

    python benchmarks/draws_or_steps.py --max-macs 5000000 --n 60 \
        --truth benchmarks/results/box-cifar10/truth/truth.csv

Each of `--variants`, as 2x120, is so many draws of the set, each trained on for so many steps; the
score is the mean over draws. All are compared with the first, in pairs on the same candidates. The
rows lie in <out>/scores.csv, where the same command goes on, the table in <out>/results.md.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import command
import numpy as np
from intervals import interval
from trained_sample import MEASURES, SampleOptions, TrainedSample, by

from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import spearman
from atom_nas.errors import UserError
from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.storage.files import write_atomically


@dataclass(frozen=True, kw_only=True)
class Settings(SampleOptions):
    """What is measured."""

    variants: tuple[str, ...] = ("1x240", "2x120", "4x60")
    """Draws times steps."""
    proxy: str = "random_ipc10"
    out: Path = Path("draws_or_steps")

    def __post_init__(self) -> None:
        for each in self.variants:
            if not re.fullmatch("[1-9][0-9]*x[1-9][0-9]*", each):
                raise UserError(f"--variants has {each!r}; give draws times steps, as in 2x120.")


def main(settings: Settings) -> None:
    found: dict[str, Estimator] = {}
    for variant in settings.variants:
        draws, steps = map(int, variant.split("x"))
        trained = TrainedSample(replace(settings, draws=draws))
        found[variant] = trained.estimate(settings.proxy, steps)
        trained.close()
        text = to_markdown(settings, found, trained.truth)
        write_atomically(settings.out / "results.md", text)
        print(text.splitlines()[-1], flush=True)


def to_markdown(settings: Settings, found: dict[str, Estimator], truth: Array) -> str:
    """Return the table."""
    base = next(iter(found.values()))
    lines = [
        f"# Draws or steps?\n\n{settings.space}, {settings.dataset}, truth "
        f"{Path(settings.truth).name}, {settings.proxy}, n = {len(truth)}. Spearman with full data "
        "[95% interval]; differences to the first line are paired.\n",
        "| draws x steps | default measure | minus the first | by accuracy | by last training loss "
        "| one draw, default measure |",
        "|---|---|---|---|---|---|",
    ]
    for variant, each in found.items():
        assert each.repeats is not None
        gap = compare(each.ranked, base.ranked, truth, seed=0).difference
        single = np.mean([spearman(draw, truth).value for draw in each.repeats])
        cells = [
            variant,
            interval(spearman(each.ranked, truth)),
            "" if each is base else interval(gap, "+"),
            *(interval(spearman(by(measure, each).ranked, truth)) for measure in MEASURES[1:]),
            f"{single:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
