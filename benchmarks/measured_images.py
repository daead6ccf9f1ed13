"""On which images is a trained candidate measured, and which of them tell good ones from bad?

    python benchmarks/measured_images.py

Each ConvNet of the box's truth, the first `--n`, is trained once on a random set of 50 images a
class, and then answers the validation images and `--more` training images that were not in the set.
<out>/answers.safetensors keeps for each whether it was right, and the probability of the right
label in steps of 1/255; a net that is there is not trained again. <out>/results.md says how
accuracy on more and more images ranks, and whether images chosen on one half of the first 60
candidates (those the answers to which go most with the truth) rank the other half better than
accuracy on all does; then whether those chosen on the whole 60 rank candidates that came later. The
choice sees full-data accuracies on validation images only, and is judged by those on test images.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
import torch
from intervals import interval
from scipy.stats import rankdata
from torch import nn
from trained_sample import CPU, SampleOptions, TrainedSample

from atom_nas.audit.comparison import compare
from atom_nas.audit.ranking import rank_correlation, spearman
from atom_nas.data.images import ImageSet
from atom_nas.scoring.estimator import Array
from atom_nas.storage.files import write_atomically
from atom_nas.storage.tensors import load_sealed, save_sealed
from atom_nas.training.batches import Examples
from atom_nas.training.fit import EVALUATION_BATCH, fit
from atom_nas.training.layout import in_channels_last
from atom_nas.training.schedule import Training

TRAINED_ON = "random_ipc50"
RESULTS = Path(__file__).parent / "results"
COUNTS = (500, 1_000, 2_000, 5_000)
SHARES = (0.02, 0.1, 0.3)
"""Of the images, how many are chosen."""
FIRST = 60
"""The candidates on which the choice of images was found to help."""
HALVES = 200
"""Ways of halving them."""


@dataclass(frozen=True, kw_only=True)
class Settings(SampleOptions):
    """What is measured."""

    truth: str = str(RESULTS / "box-cifar10" / "first-trainings" / "truth.csv")
    max_macs: int | None = 5_000_000
    n: int = 96
    more: int = 10_000
    """Training images that nets are measured on too."""
    out: Path = RESULTS / "measured-images"


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What n nets say of m images."""

    names: list[str]
    is_right: Array
    """Shape (n, m), 1 where the likeliest label is the right one."""
    probability: Array
    """Shape (n, m), of the right label."""
    likelihood: Array
    """Shape (n,), of a training label, the geometric mean at the end of the training."""

    def part(self, candidates: slice) -> "Answers":
        """Return what some of the nets say."""
        return Answers(
            names=self.names[candidates],
            is_right=self.is_right[candidates],
            probability=self.probability[candidates],
            likelihood=self.likelihood[candidates],
        )


def answers(trained: TrainedSample, settings: Settings) -> Answers:
    """Return what the nets say, training those that are not in the file yet."""
    path = settings.out / "answers.safetensors"
    known = load_sealed(path)[0] if path.exists() else {}
    proxy, dataset = trained.condensed(TRAINED_ON, 0), trained.dataset
    images = Examples.of(proxy.images, dataset.normalization, CPU)
    training = Training(steps=240, flip=dataset.flip)
    asked = measured_on(trained, settings.more)
    for number, (architecture, seed) in enumerate(trained.sample):
        name = trained.names[number]
        if f"{name}/probability" in known:
            continue
        net = trained.space.build(architecture, seed=seed)
        curve = fit(net, images, training, seed=seed)
        found = [answer(net, Examples.of(each, dataset.normalization, CPU)) for each in asked]
        right, probability = (np.concatenate(each) for each in zip(*found, strict=True))
        known[f"{name}/right"] = torch.from_numpy(np.packbits(right))
        known[f"{name}/probability"] = torch.from_numpy(np.round(255 * probability)).byte()
        known[f"{name}/likelihood"] = torch.tensor(math.exp(-curve[-1]))
        save_sealed(path, known, {})
        print(f"{number + 1} of {len(trained.sample)}: {name} {right.mean():.1%}", flush=True)
    probability = np.array([known[f"{name}/probability"].numpy() for name in trained.names]) / 255
    packed = np.array([known[f"{name}/right"].numpy() for name in trained.names])
    return Answers(
        names=trained.names,
        is_right=np.unpackbits(packed, axis=1, count=probability.shape[1]).astype(float),
        probability=probability,
        likelihood=np.array([float(known[f"{name}/likelihood"]) for name in trained.names]),
    )


def measured_on(trained: TrainedSample, more: int) -> tuple[ImageSet, ImageSet]:
    """Return both splits in a random order: `more` training images that are not trained on."""
    validation, train = trained.dataset.validation, trained.dataset.train
    generator = torch.Generator().manual_seed(0)
    asked = validation.select(torch.randperm(len(validation), generator=generator))
    proxy = trained.condensed(TRAINED_ON, 0).images
    order = torch.randperm(len(train), generator=generator)[: more + len(proxy)]
    unseen = without(train.select(order), proxy)
    return asked, unseen.select(torch.arange(len(unseen))[:more])


def without(images: ImageSet, others: ImageSet) -> ImageSet:
    """Return those of `images` that are not among `others`, in their order."""
    known = {pixels.numpy().tobytes() for pixels in others.pixels}
    left = [i for i, pixels in enumerate(images.pixels) if pixels.numpy().tobytes() not in known]
    return images.select(torch.tensor(left))


@torch.inference_mode()
def answer(net: nn.Module, examples: Examples) -> tuple[Array, Array]:
    """Return whether `net` is right about each image (m,), and its probability of the label."""
    net.to(memory_format=torch.channels_last).eval()
    parts = examples.images.split(EVALUATION_BATCH)
    with in_channels_last(net):
        logits = [net(part.contiguous(memory_format=torch.channels_last)) for part in parts]
    chances = torch.cat(logits).softmax(1)
    right = chances.argmax(1) == examples.labels
    own = chances.gather(1, examples.labels[:, None])[:, 0]
    return right.numpy().astype(np.uint8), own.numpy().astype(float)


def goes_with(answers: Array, truth: Array) -> Array:
    """Return how far the answers (n, m) to each image go with the truth (n,): Spearman times a
    constant, shape (m,)."""
    ranks = rankdata(answers, axis=0)
    ranks = (ranks - ranks.mean(0)) / np.maximum(ranks.std(0), 1e-9)
    found: Array = ((rankdata(truth) - (len(truth) + 1) / 2) @ ranks) / len(truth)
    return found


def chosen(answers: Array, truth: Array, share: float) -> Array:
    """Return the images, so large a share, whose answers (n, m) go most with the truth (n,)."""
    count = round(share * answers.shape[1])
    best: Array = np.argsort(-goes_with(answers, truth))[:count]
    return best


def in_halves(found: Answers, validation: Array, test: Array, share: float) -> Array:
    """Return the Spearman (halves, 3) of unseen candidates.

    By accuracy on all images, by accuracy on chosen ones, and by the probability on chosen ones.
    """
    generator, rows = np.random.default_rng(0), []
    for _ in range(HALVES):
        order = generator.permutation(len(validation))
        fitted, unseen = np.array_split(order, 2)
        scores = [found.is_right[unseen].mean(1)]
        for answers in (found.is_right, found.probability):
            images = chosen(answers[fitted], validation[fitted], share)
            scores.append(answers[unseen][:, images].mean(1))
        rows.append([rank_correlation(each, test[unseen]) for each in scores])
    return np.array(rows)


def to_markdown(found: Answers, validation: Array, test: Array) -> str:
    """Return the tables."""
    whole = found.is_right.shape[1]
    first = found.part(slice(FIRST))
    lines = [
        f"# Measured on which images?\n\n{len(found.names)} ConvNets, one training each on 500 "
        "random images of CIFAR-10; Spearman with the test accuracy of full trainings [95% "
        "interval].\n",
        "| images | accuracy | mean probability of the label | accuracy times likelihood |",
        "|---|---|---|---|",
    ]
    for count in (*COUNTS, whole):
        accuracy = found.is_right[:, :count].mean(1)
        scores = (accuracy, found.probability[:, :count].mean(1), accuracy * found.likelihood)
        rho = [spearman(each, test) for each in scores]
        cells = [interval(each) for each in rho]
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    lines += [
        f"\nImages chosen by half of the first {len(first.names)}, Spearman of the other half "
        f"({HALVES} halvings, medians and quartiles):\n",
        "| share | accuracy on all | on chosen | minus all | probability on chosen | minus all |",
        "|---|---|---|---|---|---|",
    ]
    for share in SHARES:
        whole_set, *by_chosen = in_halves(first, validation[:FIRST], test[:FIRST], share).T
        columns = [whole_set]
        for each in by_chosen:
            columns += [each, each - whole_set]
        cells = [
            "{1:.2f} ({0:.2f} to {2:.2f})".format(*np.percentile(each, (25, 50, 75)))
            for each in columns
        ]
        lines.append(f"| {share:.0%} | {' | '.join(cells)} |")
    if len(test) > FIRST:
        lines += confirmed(first, found.part(slice(FIRST, None)), validation[:FIRST], test[FIRST:])
    return "\n".join(lines) + "\n"


def confirmed(first: Answers, later: Answers, validation: Array, test: Array) -> Iterator[str]:
    """Yield the table of how images chosen on the first candidates rank the later ones."""
    yield (
        f"\nImages chosen by all of the first {len(first.names)}, Spearman of the "
        f"{len(later.names)} that came later [95% interval]:\n"
    )
    yield "| share | accuracy on all | on chosen | minus all | probability on chosen | minus all |"
    yield "|---|---|---|---|---|---|"
    everywhere = later.is_right.mean(1)
    for share in SHARES:
        cells = [interval(spearman(everywhere, test))]
        for ours, theirs in (
            (first.is_right, later.is_right),
            (first.probability, later.probability),
        ):
            scores = theirs[:, chosen(ours, validation, share)].mean(1)
            difference = compare(scores, everywhere, test).difference
            cells += [interval(spearman(scores, test)), interval(difference, "+")]
        yield f"| {share:.0%} | {' | '.join(cells)} |"


def main(settings: Settings) -> None:
    trained = TrainedSample(settings)
    found = answers(trained, settings)
    validation = np.array([np.mean(each.validation) for each in trained.full])
    text = to_markdown(found, validation, trained.truth)
    write_atomically(settings.out / "results.md", text)
    print(text)
    trained.close()


if __name__ == "__main__":
    command.run(main, Settings, __file__, __doc__)
