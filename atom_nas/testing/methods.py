"""The contracts of a proxy method: of one that selects real images, and of one that distils."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from atom_nas.data.images import ImageSet
from atom_nas.data.sources import open_dataset
from atom_nas.data.splits import Dataset, Source, split
from atom_nas.distillation import embedding
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.names import is_distilled
from atom_nas.distillation.recipes import Recipe

PER_CLASS = 20
"""Images of each of ten classes that there are to condense."""

RECIPE = Recipe(steps=3, learning_rate=1.0, real_batch=8, width=8, flip=False)


def make(
    method: str, dataset: Dataset, folder: Path, images_per_class: int = 2, seed: int = 0
) -> ImageSet:
    """Return the images that `method` condenses `dataset` to, in three steps where it distils."""
    job = Condensation(
        dataset=dataset,
        method=method,
        images_per_class=images_per_class,
        seed=seed,
        recipe=RECIPE if is_distilled(method) else None,
    )
    return condense(job, folder, torch.device("cpu")).images


class _MethodContract:
    @pytest.fixture
    def method(self) -> str:
        raise NotImplementedError("override the fixture `method`")

    @pytest.fixture
    def dataset(self) -> Dataset:
        return few_digits()

    @pytest.fixture(autouse=True)
    def _embed_briefly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedding, "NUM_IMAGES", 200)

    @pytest.mark.parametrize("images_per_class", [1, 2])
    def test_as_many_images_of_each_class_as_asked_for(
        self, method: str, dataset: Dataset, tmp_path: Path, images_per_class: int
    ) -> None:
        images = make(method, dataset, tmp_path, images_per_class)
        assert images.pixels.shape == (10 * images_per_class, 1, 8, 8)
        assert images.labels.tolist() == sorted([*range(10)] * images_per_class)
        assert torch.isfinite(images.pixels.float()).all()

    def test_same_seed_same_images_and_another_seed_others(
        self, method: str, dataset: Dataset, tmp_path: Path
    ) -> None:
        before = dataset.train.pixels.clone()
        made = []
        for number, seed in enumerate((5, 5, 2**64 - 1)):
            torch.manual_seed(number)
            made.append(make(method, dataset, tmp_path / str(number), seed=seed).pixels)
        first, again, other = made
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.equal(dataset.train.pixels, before)


class CoresetContract(_MethodContract):
    """What every method with `select` keeps.

    A subclass overrides the fixture `method`: the name of one, or a file's path.
    """

    def test_images_are_distinct_training_images_of_their_class(
        self, method: str, dataset: Dataset, tmp_path: Path
    ) -> None:
        chosen, train = make(method, dataset, tmp_path, PER_CLASS - 5), dataset.train
        assert chosen.pixels.dtype == train.pixels.dtype
        assert len(set(_contents(chosen.pixels))) == 10 * (PER_CLASS - 5)
        for label, indices in enumerate(train.class_indices()):
            own = _contents(chosen.pixels[chosen.labels == label])
            assert set(own) <= set(_contents(train.pixels[indices]))

    def test_all_images_of_a_class_can_be_asked_for(
        self, method: str, dataset: Dataset, tmp_path: Path
    ) -> None:
        chosen = make(method, dataset, tmp_path, PER_CLASS)
        assert sorted(_contents(chosen.pixels)) == sorted(_contents(dataset.train.pixels))


class DistillationContract(_MethodContract):
    """What every method with `describe` keeps.

    A subclass overrides the fixture `method`: the name of one, or a file's path.
    """

    def test_every_image_has_moved_from_the_real_ones(
        self, method: str, dataset: Dataset, tmp_path: Path
    ) -> None:
        images = make(method, dataset, tmp_path).pixels
        assert images.dtype == torch.float32
        real = dataset.train.pixels.float() / 255
        assert torch.cdist(images.flatten(1), real.flatten(1)).min() > 1e-3


def few_digits() -> Dataset:
    """Return the digits with `PER_CLASS` training images of each class, in mixed order."""
    digits = open_dataset("digits", Path(), seed=0)
    few = torch.cat([indices[:PER_CLASS] for indices in digits.train.class_indices()])
    mixed = few[torch.randperm(len(few), generator=torch.Generator().manual_seed(0))]
    source = Source(
        train=digits.train.select(mixed), validation=digits.validation, test=digits.test, flip=False
    )
    return split("few", source, seed=0)


def _contents(pixels: Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in pixels]
