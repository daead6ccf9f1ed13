"""A data set in three splits: those that its files come with, the others drawn by class."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import shorten

import torch

from atom_nas.data.images import ImageSet, Normalization
from atom_nas.errors import UserError

TEST_FRACTION = 0.25
VALIDATION_FRACTION = 0.2
MAX_VALIDATION = 5_000


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """What comes with a few images of a data set in place of all the others."""

    of: str
    """The name of the data set."""
    sets: Mapping[str, Path]
    """The folders of sets that were condensed from all training images, by name."""
    truth: str
    """The table of full-data accuracies, by name."""
    scores: Path
    """Rows of its candidates on some of the sets, as scores.csv of a run has them."""
    whole: "Callable[[], Source | None]"
    """Loads all the images, where they are at hand."""


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What is known to do for a data set: a run takes it where its options leave it open."""

    max_macs: int | None = None
    """Multiply-adds an image that no candidate exceeds: for a set that is for a first look."""
    distil_steps: int | None = None
    """Steps of a distillation that suffice to rank nets where there is no GPU."""
    full_steps: int | None = None
    """Steps of a training on all its images that suffice: a run then does not find it out."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a data set plug-in loads: the splits that its files come with.

    Raises UserError where a split is empty, has images or classes other than those of `train`, or
    a label that is no position in the class names; where two classes share a name, and where
    `train` lacks images of one.
    """

    train: ImageSet
    validation: ImageSet | None = None
    test: ImageSet | None = None
    flip: bool = True
    """Whether a mirrored image keeps its class (false for digits)."""
    whiten: bool = False
    """Whether it is distilled in ZCA-whitened space, as the papers do with CIFAR."""
    defaults: Defaults = Defaults()
    excerpt: Excerpt | None = None
    """Set where the splits are a few of a data set's images."""
    measured: Normalization | None = None
    """The normalisation fitted on `train`, where it was done elsewhere: the last digits of a sum
    depend on the machine, and a training that is kept depends on them."""
    about: str = ""
    """Whose data it is and under which licence, in one line, where that is known."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if (part := getattr(self, name)) is not None:
                self._check(name, part)
        names = self.train.class_names
        if twins := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"two classes are called {twins[0]!r}; give each its own name.")
        counts = self.train.labels.bincount(minlength=self.train.num_classes)
        if not counts.all():
            raise UserError(
                f"the train split has no image of class {names[int(counts.argmin())]!r}; "
                "add some, or leave it out."
            )

    def _check(self, name: str, part: ImageSet) -> None:
        if not len(part):
            raise UserError(f"the {name} split has no image; fill it, or leave it out.")
        for what in ("image_shape", "class_names"):
            if getattr(part, what) != getattr(self.train, what):
                own, other = (shorten(str(getattr(s, what)), 80) for s in (part, self.train))
                raise UserError(
                    f"the {name} split has the {what} {own} and the train split {other}; "
                    "all splits must have the same."
                )
        low, high = int(part.labels.min()), int(part.labels.max())
        if low < 0 or high >= part.num_classes:
            raise UserError(
                f"the {name} split has labels {low}..{high}; "
                f"they must be within 0..{part.num_classes - 1}."
            )


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set split in three: `train` is condensed, candidates are scored on `validation`, and
    `test` chooses nothing (tests/test_structure.py lists who reads it)."""

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    flip: bool
    whiten: bool = False
    defaults: Defaults = Defaults()
    excerpt: Excerpt | None = None
    measured: Normalization | None = None
    about: str = ""

    @cached_property
    def normalization(self) -> Normalization:
        """The normalisation fitted on `train`."""
        return self.measured or Normalization.fit(self.train)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.train.image_shape

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.train.num_classes

    @property
    def in_words(self) -> str:
        """What was found, so that a folder that was misread is noticed."""
        channels, height, width = self.image_shape
        names = shorten(", ".join(self.train.class_names), 80, placeholder=" ...")
        lacking = [
            f"the {split} images lack {shorten(', '.join(absent), 80, placeholder=' ...')}"
            for split, images in (("validation", self.validation), ("test", self.test))
            if (absent := images.absent_classes)
        ]
        return (
            f"{self.name}: {len(self.train):,} training, {len(self.validation):,} validation "
            f"and {len(self.test):,} test images of {channels} x {height} x {width}, "
            f"{self.num_classes} classes ({names}){''.join(f'; {each}' for each in lacking)}."
        )


def split(name: str, source: Source, *, seed: int) -> Dataset:
    """Complete the splits of `source`, stratified by class and drawn from `seed`.

    Where a split is missing, the test takes 25% of the training images, then the validation 20%
    of the rest, at most 5,000 images (more where that many classes need one each).
    """
    generator = torch.Generator().manual_seed(seed)
    train, validation, test = source.train, source.validation, source.test
    if test is None:
        train, test = hold_out(train, TEST_FRACTION, generator)
    if validation is None:
        fraction = min(VALIDATION_FRACTION, MAX_VALIDATION / len(train))
        train, validation = hold_out(train, fraction, generator, limit=MAX_VALIDATION)
    return Dataset(
        name=name,
        train=train,
        validation=validation,
        test=test,
        flip=source.flip,
        whiten=source.whiten,
        defaults=source.defaults,
        excerpt=source.excerpt,
        measured=source.measured,
        about=source.about,
    )


def whole_of(dataset: Dataset, *, seed: int) -> Dataset | None:
    """Return all the images: `dataset` itself, or what it is an excerpt of if that is at hand."""
    excerpt = dataset.excerpt
    if excerpt is None:
        return dataset
    source = excerpt.whole()
    return split(excerpt.of, source, seed=seed) if source else None


def hold_out(
    images: ImageSet, fraction: float, generator: torch.Generator, *, limit: int | None = None
) -> tuple[ImageSet, ImageSet]:
    """Split `images` into (kept, held out), at least one image of each class in both.

    Held out is the `fraction` of each class, rounded; where that makes more than `limit`, one less
    of the largest parts.
    """
    classes = images.class_indices()
    for name, indices in zip(images.class_names, classes, strict=True):
        if len(indices) < 2:
            raise UserError(
                f"class {name!r} has too few images to split: {len(indices)} left, at least 2 are "
                "needed; add images of this class."
            )
    counts = [min(max(1, round(fraction * len(each))), len(each) - 1) for each in classes]
    while limit is not None and sum(counts) > limit and max(counts) > 1:
        counts[counts.index(max(counts))] -= 1
    held = [
        indices[torch.randperm(len(indices), generator=generator)[:count]]
        for indices, count in zip(classes, counts, strict=True)
    ]
    mask = torch.zeros(len(images), dtype=torch.bool)
    mask[torch.cat(held)] = True
    return images.select(torch.nonzero(~mask).flatten()), images.select(
        torch.nonzero(mask).flatten()
    )
