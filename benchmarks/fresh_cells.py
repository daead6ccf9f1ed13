"""Do all scores put together rank cells of NAS-Bench-201 that had no part in anything here?

    python benchmarks/fresh_cells.py --n 100

The model of an audit is fitted on the 100 cells of the committed one (one draw of a set, free
scores, and the table's accuracies), and then orders `--n` uniform draws of which nothing was known:
these have their free scores taken and are trained on `--sets` as long as those were. Rows lie in
<out>/free.csv and scores.csv, where the same command goes on; <out>/results.md says how each score
ranks, over all and in the best fifth, what it costs, what the images add to a model of the free
scores alone, and how the sets differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
from recompute_audits import RESULTS
from search_rows import nas_bench_201
from trained_sample import CPU, MEASURES, SampleOptions, TrainedSample, by, split

from atom_nas.audit.combination import fit_predictor
from atom_nas.audit.comparison import compare
from atom_nas.audit.figures import figures_of
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.ranking import Estimate
from atom_nas.audit.truth import Truth
from atom_nas.scoring.estimator import Estimator
from atom_nas.storage.files import CACHE, write_atomically

STEPS = 240
SHRINK = {"cells_per_stage": 1}
BASE = "model of the free scores"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    n: int = 100
    """Cells."""
    sets: tuple[str, ...] = ("random_ipc50", "atom_ipc50:box")
    """By name, as trained_sample.py reads them; those of the committed audit."""
    workers: str = "auto"
    data_dir: Path = CACHE
    out: Path = RESULTS / "fresh-cells"


def main(settings: Settings) -> None:
    options = SampleOptions(
        space="nas_bench_201",
        is_fresh=True,
        n=settings.n,
        draws=1,
        workers=settings.workers,
        data_dir=settings.data_dir,
        out=settings.out,
    )
    trained = TrainedSample(options)
    scores = FreeScores(
        settings.out / "free.csv", space=trained.space, dataset=trained.dataset, seed=0, device=CPU
    )
    free = scores.estimators([cell for cell, _ in trained.sample])
    truth = Truth(
        validation=tuple(each.validation for each in trained.full),
        macs=float(np.mean([each.macs for each in trained.full])),
    )
    on: list[Estimator] = []
    for name in settings.sets:
        on.append(trained.estimate(name, STEPS, shrink=SHRINK))
        text = to_markdown(on, free, truth)
        write_atomically(settings.out / "results.md", text)
    trained.close()
    print(text)


def models(on: Sequence[Estimator], free: Sequence[Estimator]) -> Iterator[tuple[str, Estimator]]:
    """Yield by name what models that are fitted on the committed cells say of the fresh ones.

    `on` are the fresh cells' trainings on sets, `free` their free scores. The first model has the
    free scores alone.
    """
    pool = nas_bench_201()
    known = np.array([np.mean(each) for each in pool.trainings])
    fitted, own = ([e for e in each if e.kind != "rank_average"] for each in (pool.free, free))
    predict = fit_predictor(fitted[0], fitted[1:], known)
    yield BASE, joined(own[1:], own[0], predict(own[0], own[1:]))
    for each in on:
        first, *_ = pool.proxies[split(each.name)[0]]
        assert list(first.variants) == list(each.variants)
        predict = fit_predictor(first, fitted, known)
        yield f"model of these and {each.name}", joined(own, each, predict(each, own))


def joined(free: Sequence[Estimator], proxy: Estimator, scores: np.ndarray) -> Estimator:
    """Return the estimator of a model that takes all of these."""
    macs = sum(each.macs_per_candidate for each in (*free, proxy))
    return Estimator(name="model", kind="model", scores=scores, macs_per_candidate=macs)


def to_markdown(on: Sequence[Estimator], free: Sequence[Estimator], truth: Truth) -> str:
    """Return the table."""
    combined = dict(models(on, free))
    rows = {**{each.name: each for each in (*on, *free)}, **combined}
    lines = [
        "# Do all scores put together rank fresh cells?",
        "",
        f"NAS-Bench-201, CIFAR-10: {len(truth.mean)} uniformly drawn cells without those of the "
        "committed audit, on which the models were fitted; trained once on each set for "
        f"{STEPS} steps, one cell a stage. The truth is the table's (mean validation accuracy "
        "after 200 epochs; in the best fifth one training chooses and the others judge). Spearman "
        "[95% interval]; differences are paired. Cost is that of a candidate, in full trainings.",
        "",
        f"| scores | all | best fifth | regret, points | cost | minus the {BASE} | in the best "
        "fifth |",
        "|---|---|---|---|---|---|---|",
    ]
    base = combined[BASE]
    for name, each in rows.items():
        found = figures_of(each, truth, 0)
        cells = [
            name,
            shown(found.spearman),
            shown(found.spearman_top),
            f"{found.regret_points:.2f}",
            f"{each.macs_per_candidate / truth.macs:.4%}",
            "" if each is base else gap(each, base, truth.mean),
            "" if each is base else gap_in_the_best(each, base, truth),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    first, *others = on
    for other in others:
        gaps = [f"{gap(by(m, other), by(m, first), truth.mean)} by {m}" for m in MEASURES]
        lines += ["", f"{other.name} minus {first.name}: {', '.join(gaps)}."]
    return "\n".join(lines) + "\n"


def gap(one: Estimator, other: Estimator, truth: np.ndarray) -> str:
    """Return how much better the first ranks, with the paired interval."""
    found = compare(one.ranked, other.ranked, truth).difference
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def gap_in_the_best(one: Estimator, other: Estimator, truth: Truth) -> str:
    """Return the same in the best fifth, the mean over the trainings that choose it."""
    found = [
        compare(one.ranked[top.is_in], other.ranked[top.is_in], top.accuracies[top.is_in])
        for top in truth.tops(0.2)
    ]
    three = [(f.difference.value, f.difference.low, f.difference.high) for f in found]
    value, low, high = np.mean(three, axis=0)
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def shown(estimate: Estimate) -> str:
    """Return it with its interval."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
