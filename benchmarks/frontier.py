"""Which images, how many of them, shown how often: what ranks candidates best at which cost?

    python benchmarks/frontier.py --space convnet --max-macs 5000000 --n 60 --truth TRUTH.csv

Every set of `--sets` is made, `--draws` of each, and every candidate trained on it for each of
`--steps`; where a set is distilled, it is so for `--distil-steps`, by the paper's recipe but for
what follows its name, as in atom_ipc10:norm=none; atom_ipc10+random_ipc10 has the images of both.
<out>/results.md says how each ranks, and what each that is not random is worth in random images a
class (docs/audit.md) at the same number of steps; <out>/frontier.svg shows it;
<out>/choices.md says which values of `--choices` it overrates. <out>/scores.csv has the rows; what
is there is not trained again, and more sets, steps, draws or candidates join it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import command
import frontier_choices
import frontier_figure
import numpy as np
from intervals import interval
from trained_sample import MEASURES, SampleOptions, TrainedSample, by, method_of, size_of

from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import rank_correlation, spearman
from atom_nas.audit.worth import Worth, measure_worth
from atom_nas.distillation.names import parse_name
from atom_nas.parsing import parse_settings
from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.storage.files import write_atomically

RANDOM = "random"
BY_HEART = 0.2
"""Under such a training loss, in nats, a set is known by heart."""
FEWEST = 10
"""Candidates that are enough for a correlation."""


@dataclass(frozen=True, kw_only=True)
class Settings(SampleOptions):
    """What is measured."""

    sets: tuple[str, ...] = (
        *(f"random_ipc{size}" for size in (1, 2, 5, 10, 20, 50, 100)),
        *(f"atom_ipc{size}" for size in (1, 10, 50)),
    )
    """By name, with settings of the recipe behind a colon."""
    steps: tuple[int, ...] = (240,)
    """Of a training, 64 images each."""
    distil_steps: int = 300
    choices: tuple[str, ...] = ("norm", "depth", "activation", "pooling")
    """Fields of the architectures."""
    shrink: str = ""
    """Settings of the space, as in cells_per_stage=1."""
    out: Path = Path("frontier")


Found = Mapping[tuple[str, int], Estimator]
"""What a set, by its name, and a number of steps say of the candidates."""


def main(settings: Settings) -> None:
    trained = TrainedSample(settings)
    found: dict[tuple[str, int], Estimator] = {}
    for steps in settings.steps:
        for name in settings.sets:
            found[name, steps] = trained.estimate(
                name,
                steps,
                shrink=parse_settings("--shrink", settings.shrink),
                distil_steps=settings.distil_steps,
            )
            report(settings, found, trained)
    trained.close()


def report(settings: Settings, found: Found, trained: TrainedSample) -> None:
    """Write the tables and the figure of what there is so far, and print the last line."""
    views = {
        measure: {key: by(measure, each) for key, each in found.items()} for measure in MEASURES
    }
    text = to_markdown(settings, views, trained.truth)
    write_atomically(settings.out / "results.md", text)
    nets = [architecture for architecture, _ in trained.sample]
    tables = [
        frontier_choices.to_markdown(choice, nets, views, trained.truth)
        for choice in settings.choices
    ]
    write_atomically(settings.out / "choices.md", "\n".join(tables))
    _, svg = frontier_figure.draw(views, trained.truth)
    write_atomically(settings.out / "frontier.svg", svg)
    print(text.splitlines()[-1], flush=True)


def worths_of(found: Found, truth: Array) -> dict[tuple[str, int], str]:
    """Return what each set that is not random is worth by the random ones of as many steps."""
    worths = {}
    for (name, steps), estimator in found.items():
        sets = {
            parse_name(other)[1]: each
            for (other, count), each in found.items()
            if method_of(other) == RANDOM and count == steps
        }
        if method_of(name) != RANDOM and len(sets) > 1:
            worths[name, steps] = in_words(measure_worth(estimator, sets, truth, seed=0))
    return worths


def to_markdown(settings: Settings, views: Mapping[str, Found], truth: Array) -> str:
    """Return the table; `views` are the same trainings by each measure."""
    found, *_ = views.values()
    worths = {measure: worths_of(views[measure], truth) for measure in MEASURES}
    head = (
        *("set", "steps", "Spearman", "by accuracy", "by last training loss"),
        *("by accuracy, learnt by heart", "mean accuracy"),
        *("minus the first", "minus as many random images", "worth", "worth by accuracy"),
        *("worth by last training loss", "cost", "seconds"),
    )
    lines = [
        "# Which images, how many, shown how often?",
        "",
        f"{settings.space}, {settings.dataset}, truth {Path(settings.truth).name}, n = "
        f"{len(truth)}, {settings.draws} draw{'s' * (settings.draws > 1)} of each set; distilled "
        f"ones after {settings.distil_steps} steps. Spearman with full data is of the draws' mean "
        "score by the default measure [95% interval]; the worth is in random images a class at as "
        f"many steps. Learnt by heart: a last training loss under {BY_HEART}. Cost is in "
        "multiply-adds of the random set of 50, or the first, distillation left out; seconds are "
        "of one core, whatever else ran.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    unit = found.get((f"{RANDOM}_ipc50", settings.steps[0]), next(iter(found.values())))
    for key, each in found.items():
        rho, *others = (spearman(views[measure][key].ranked, truth) for measure in MEASURES)
        cells = [
            key[0],
            f"{key[1]}",
            interval(rho),
            *(f"{other.value:.2f}" for other in others),
            by_heart(each, truth),
            f"{np.nanmean(each.variants['accuracy']):.1%}",
            minus(key, settings.sets[0], found, truth),
            minus(key, f"{RANDOM}_ipc{size_of(key[0])}", found, truth),
            *(worths[measure].get(key, "") for measure in MEASURES),
            f"{each.macs_per_candidate / unit.macs_per_candidate:.2f}",
            f"{each.seconds_per_candidate:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def by_heart(estimator: Estimator, truth: Array) -> str:
    """Return how accuracy ranks those candidates that know the set by heart, and their number."""
    own = estimator.variants["final_training_loss"] > -BY_HEART
    if own.sum() < FEWEST:
        return ""
    rho = rank_correlation(estimator.variants["accuracy"][own], truth[own])
    return f"{rho:.2f} (n = {own.sum()})"


def minus(key: tuple[str, int], name: str, found: Found, truth: Array) -> str:
    """Return the Spearman of a set minus that of another after as many steps, if there is one."""
    other = found.get((name, key[1]))
    if other is None or other is found[key]:
        return ""
    return interval(compare(found[key].ranked, other.ranked, truth, seed=0).difference, "+")


def in_words(worth: Worth) -> str:
    """Return the worth with its interval."""
    images = worth.images
    value, low, high = (worth.say(each) for each in (images.value, images.low, images.high))
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
