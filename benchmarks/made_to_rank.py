"""Do training images that were chosen to rank known candidates rank other candidates better?

    python benchmarks/made_to_rank.py

The ConvNets of the box's truth, trained once on 500 random images, have answered 10,000 training
images that they had not seen (measured_images.py). rank_ipc10 has of each class the 10 images whose
answers, right or wrong, go most with the full-data accuracies of the first `--known` candidates;
alike_ipc10 has for each of these another image of its class that as many of the nets know, so that
what it lacks is the choice and not the difficulty. The other candidates are trained on these sets
and on random ones, and judged by test accuracies, which the choice has not seen. Rows lie in
<out>/scores.csv, where the same command goes on; the table is <out>/results.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import command
import measured_images
import numpy as np
import torch
from intervals import interval
from trained_sample import MEASURES, TrainedSample, by

from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import spearman
from atom_nas.data.images import ImageSet
from atom_nas.distillation.proxy import Proxy
from atom_nas.scoring.estimator import Array, Estimator
from atom_nas.storage.files import write_atomically

STEPS = 240
RANK, ALIKE = "rank", "alike"


@dataclass(frozen=True, kw_only=True)
class Settings(measured_images.Settings):
    """What is measured."""

    sets: tuple[str, ...] = (
        *("random_ipc10", "rank_ipc10", "alike_ipc10"),
        *("random_ipc50", "rank_ipc50"),
    )
    known: int = 40
    """Candidates whose full-data accuracies the choice sees."""
    draws: int = 1
    out: Path = measured_images.RESULTS / "made-to-rank"


class Choice:
    """Training images chosen by what trained candidates answered."""

    def __init__(self, images: ImageSet, is_right: Array, truth: Array) -> None:
        """`is_right` (n, m) is what n candidates answered of the m `images`; `truth` is (n,)."""
        self._images = images
        self._goes_with = measured_images.goes_with(is_right, truth)
        self._share_right = is_right.mean(0)

    def proxy(self, name: str) -> Proxy:
        """Return rank_ipc<N> or alike_ipc<N>."""
        method, images_per_class = name.split("_ipc")
        picked = []
        for indices in self._images.class_indices():
            members = indices.numpy()
            order = members[np.argsort(-self._goes_with[members], kind="stable")]
            best, rest = np.split(order, [int(images_per_class)])
            picked.append(best if method == RANK else self._alike(best, rest))
        images = self._images.select(torch.from_numpy(np.concatenate(picked)))
        about = {"proxy": name, "kind": "coreset", "seed": 0, "macs": 0.0, "seconds": 0.0}
        digests = {"digest": images.digest, "images_digest": images.digest}
        return Proxy(images=images, manifest={**about, **digests})

    def _alike(self, best: Array, rest: Array) -> Array:
        """Return of `rest` one image for each of `best`, as nearly as can be as easy."""
        left = list(np.random.default_rng(0).permutation(rest))
        found = []
        for index in best:
            distance = abs(self._share_right[left] - self._share_right[index])
            found.append(left.pop(int(np.argmin(distance))))
        return np.array(found)


def main(settings: Settings) -> None:
    first = TrainedSample(replace(settings, n=settings.known))
    asked = measured_images.Settings(more=settings.more, data_dir=settings.data_dir)
    answers = measured_images.answers(first, asked)
    _, images = measured_images.measured_on(first, settings.more)
    validation = np.array([np.mean(each.validation) for each in first.full])
    choice = Choice(images, answers.is_right[:, -len(images) :], validation)
    first.close()

    others = TrainedSample(replace(settings, skip=settings.known))
    found: dict[str, Estimator] = {}
    for name in settings.sets:
        if name.startswith((RANK, ALIKE)):
            found[name] = others.estimate_made(name, lambda name, _: choice.proxy(name), STEPS)
        else:
            found[name] = others.estimate(name, STEPS)
        text = to_markdown(found, others.truth, settings.known)
        write_atomically(settings.out / "results.md", text)
        print(text.splitlines()[-1], flush=True)
    others.close()


def to_markdown(found: Mapping[str, Estimator], truth: Array, known: int) -> str:
    """Return the table."""
    measures = " | ".join(MEASURES)
    lines = [
        f"# Training images made to rank\n\nChosen by {known} ConvNets, judged on {len(truth)} "
        f"others by the test accuracy of full trainings; {STEPS} steps, one draw; Spearman [95% "
        "interval], then the difference to as many random images by each measure.\n",
        f"| set | {measures} | mean accuracy | {measures} |",
        "|---" * (2 + 2 * len(MEASURES)) + "|",
    ]
    for name, estimator in found.items():
        views = [by(measure, estimator) for measure in MEASURES]
        cells = [interval(spearman(each.ranked, truth)) for each in views]
        cells.append(f"{np.nanmean(views[1].scores):.1%}")
        random = found.get(f"random_ipc{name.split('_ipc')[1]}")
        for measure, ours in zip(MEASURES, views, strict=True):
            if random is None or random is estimator:
                cells.append("")
                continue
            theirs = by(measure, random)
            cells.append(interval(compare(ours.ranked, theirs.ranked, truth).difference, "+"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
