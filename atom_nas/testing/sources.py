"""The contract of a data set."""

from pathlib import Path

import pytest

from atom_nas.data.images import unit_range
from atom_nas.data.sources import load_source, open_dataset

SPLITS = ("train", "validation", "test")


class SourceContract:
    """What every data set keeps.

    A subclass overrides the fixture `given`: what --dataset and --data-dir are given for it.
    """

    @pytest.fixture
    def given(self) -> tuple[str, Path]:
        raise NotImplementedError("override the fixture `given`")

    def test_pictures_are_in_bytes_or_at_0_to_1(self, given: tuple[str, Path]) -> None:
        _, source = load_source(*given)  # its splits are held to one another when it is made
        for name in SPLITS:
            if (part := getattr(source, name)) is not None:
                pictures = unit_range(part.pixels)
                assert 0 <= pictures.min() < pictures.max() <= 1
        assert len(set(source.train.class_names)) == source.train.num_classes

    def test_three_splits_the_same_by_seed(self, given: tuple[str, Path]) -> None:
        title, source = load_source(*given)
        first, again, other = (open_dataset(*given, seed=seed) for seed in (5, 5, 6))
        assert first.name == title
        for name in SPLITS:
            digests = [getattr(dataset, name).digest for dataset in (first, again, other)]
            assert digests[0] == digests[1]
            if name != "train" and getattr(source, name) is None:
                assert digests[0] != digests[2]
