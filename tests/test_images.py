"""Image sets, their normalization and their splits."""

from dataclasses import replace
from itertools import chain

import pytest
import torch

from atom_nas.data import splits
from atom_nas.data.images import ImageSet, Normalization
from atom_nas.data.splits import Source
from atom_nas.errors import UserError

COUNTS = (40, 20, 12)


def make(counts=COUNTS, *, seed=0, shape=(2, 4, 5)):
    """Images whose first pixel values number them, in shuffled class order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    pixels = torch.randint(256, (len(labels), *shape), generator=generator, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.arange(len(labels))
    return ImageSet(
        pixels=pixels, labels=labels, class_names=tuple(f"class {k}" for k in range(len(counts)))
    )


def numbers(image_set):
    return image_set.pixels[:, 0, 0, 0].tolist()


def class_counts(image_set):
    return image_set.labels.bincount(minlength=image_set.num_classes).tolist()


def test_image_set_knows_its_shape_and_classes():
    image_set = make()
    assert len(image_set) == sum(COUNTS)
    assert image_set.image_shape == (2, 4, 5)
    assert image_set.num_classes == 3
    for k, indices in enumerate(image_set.class_indices()):
        assert len(indices) == COUNTS[k]
        assert (image_set.labels[indices] == k).all()


def test_image_set_of_one_class_is_refused():
    with pytest.raises(UserError, match="1 class; at least 2"):
        make((5,))


def test_bytes_and_floats_join_as_the_same_pictures():
    pixels = torch.tensor([[0, 255]], dtype=torch.uint8).reshape(1, 1, 1, 2)
    labels = torch.tensor([0])
    bytes_ = ImageSet(pixels=pixels, labels=labels, class_names=("a", "b"))
    floats = ImageSet(pixels=pixels / 255 + 0.5, labels=labels, class_names=("a", "b"))
    assert bytes_.join(floats).pixels.flatten().tolist() == [0, 1, 0.5, 1.5]


def test_select_keeps_the_order_asked_for_and_join_appends():
    image_set = make()
    first, second = image_set.select(torch.tensor([7, 3])), image_set.select(torch.tensor([5]))
    assert numbers(first) == [7, 3]
    assert numbers(first.join(second)) == [7, 3, 5]
    assert first.join(second).labels.tolist() == image_set.labels[[7, 3, 5]].tolist()


def test_digest_is_of_the_content():
    assert make().digest == make().digest
    other_storage = replace(make(), pixels=make().pixels.transpose(2, 3).clone().transpose(2, 3))
    assert other_storage.digest == make().digest


def change_pixel(image_set):
    pixels = image_set.pixels.clone()
    pixels[-1, -1, -1, -1] ^= 1
    return replace(image_set, pixels=pixels)


def change_label(image_set):
    return replace(image_set, labels=(image_set.labels + 1) % 3)


def change_name(image_set):
    return replace(image_set, class_names=("a", "b", "c"))


def change_shape(image_set):
    return replace(image_set, pixels=image_set.pixels.reshape(-1, 2, 5, 4))


def change_dtype(image_set):
    return replace(image_set, pixels=image_set.pixels.view(torch.int8))


@pytest.mark.parametrize(
    "change", [change_pixel, change_label, change_name, change_shape, change_dtype]
)
def test_digest_changes_with(change):
    assert change(make()).digest != make().digest


def test_normalization_standardises_each_channel():
    image_set = make()
    standardised = Normalization.fit(image_set)(image_set.pixels).double()
    assert standardised.mean((0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert standardised.std((0, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_normalization_fit_against_numpy():
    image_set = make()
    normalization = Normalization.fit(image_set)
    pixels = image_set.pixels.numpy().astype("float64") / 255
    assert normalization.mean == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-5)
    assert normalization.std == pytest.approx(pixels.std((0, 2, 3), ddof=1), rel=1e-5)


def test_normalization_round_trip():
    image_set = make()
    normalization = Normalization.fit(image_set)
    pictures = normalization.invert(normalization(image_set.pixels))
    assert torch.equal((pictures * 255).round().to(torch.uint8), image_set.pixels)


def test_normalization_takes_pictures_in_bytes_and_in_floats_alike():
    image_set = make()
    normalization = Normalization(mean=(0.25, 0.5), std=(0.5, 2.0))
    in_floats = normalization(image_set.pixels.double() / 255)
    torch.testing.assert_close(normalization(image_set.pixels), in_floats)
    assert in_floats.dtype == torch.float32
    assert normalization(torch.ones(1, 2, 1, 1)).flatten().tolist() == [1.5, 0.25]


def test_normalization_of_a_constant_channel_stays_finite():
    image_set = replace(make(), pixels=torch.full((72, 1, 2, 2), 9, dtype=torch.uint8))
    assert Normalization.fit(image_set)(image_set.pixels).abs().max() < 1e-3


def test_split_is_disjoint_complete_and_stratified():
    source = Source(train=make(), flip=False)
    dataset = splits.split("some", source, seed=3)
    parts = [numbers(part) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sorted(chain(*parts)) == list(range(sum(COUNTS)))
    assert class_counts(dataset.test) == [10, 5, 3]
    assert class_counts(dataset.validation) == [6, 3, 2]
    assert class_counts(dataset.train) == [24, 12, 7]
    assert (dataset.name, dataset.flip, dataset.image_shape) == ("some", False, (2, 4, 5))
    for part in (dataset.train, dataset.validation, dataset.test):
        assert torch.equal(part.labels, source.train.labels[numbers(part)])


def test_split_depends_on_the_seed_alone():
    first, again, other = (
        splits.split("some", Source(train=make()), seed=seed) for seed in (3, 3, 4)
    )
    for part in ("train", "validation", "test"):
        assert getattr(first, part).digest == getattr(again, part).digest
        assert getattr(first, part).digest != getattr(other, part).digest


def test_split_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    splits.split("some", Source(train=make()), seed=3)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("given", [("validation",), ("test",), ("validation", "test")])
def test_given_splits_are_kept(given):
    parts = {name: make((4, 4, 4), seed=len(name)) for name in given}
    dataset = splits.split("some", Source(train=make(), **parts), seed=3)
    for name, split in parts.items():
        assert getattr(dataset, name) is split
    rest = {"train", "validation", "test"} - set(given)
    drawn = chain.from_iterable(numbers(getattr(dataset, name)) for name in rest)
    assert sorted(drawn) == list(range(sum(COUNTS)))


def test_validation_has_a_limit(monkeypatch):
    monkeypatch.setattr(splits, "MAX_VALIDATION", 6)
    source = Source(train=make((30, 30)), test=make((2, 2)))
    assert class_counts(splits.split("some", source, seed=0).validation) == [3, 3]


def test_validation_of_many_classes_keeps_the_limit(monkeypatch):
    monkeypatch.setattr(splits, "MAX_VALIDATION", 8)
    source = Source(train=make((20, 30, 30, 30)), test=make((2, 2, 2, 2)))
    assert class_counts(splits.split("some", source, seed=0).validation) == [1, 2, 2, 2]
    crowded = Source(train=make((10,) * 5), test=make((2,) * 5))
    monkeypatch.setattr(splits, "MAX_VALIDATION", 3)
    assert class_counts(splits.split("some", crowded, seed=0).validation) == [1] * 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test": make(shape=(2, 4, 6))}, "test split has the image_shape (2, 4, 6) and the train"),
        ({"test": replace(make(), class_names=tuple("cba"))}, "test split has the class_names"),
        ({"validation": make().select(torch.arange(0))}, "validation split has no image"),
        ({"validation": replace(make(), labels=make().labels + 1)}, "labels 1..3; they must be"),
        ({"train": replace(make(), class_names=tuple("aba"))}, "two classes are called 'a'"),
        ({"train": make((9, 0, 9)), "test": make()}, "train split has no image of class 'class 1'"),
    ],
)
def test_splits_that_do_not_fit_each_other_are_refused(changes, reason):
    with pytest.raises(UserError) as caught:
        Source(**{"train": make(), **changes})
    assert reason in str(caught.value)


@pytest.mark.parametrize(("counts", "left"), [((1, 9), 1), ((9, 2), 1)])
def test_class_too_small_to_split_is_named(counts, left):
    culprit = counts.index(min(counts))
    with pytest.raises(UserError, match=f"'class {culprit}' has too few images.* {left} left"):
        splits.split("some", Source(train=make(counts)), seed=0)


def test_smallest_class_that_splits_has_one_image_in_each():
    dataset = splits.split("some", Source(train=make((3, 30))), seed=0)
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [class_counts(part)[0] for part in parts] == [1, 1, 1]


def test_hold_out_always_keeps_an_image_of_each_class():
    kept, held = splits.hold_out(make((2, 40)), 0.99, torch.Generator())
    assert class_counts(kept) == [1, 1]
    assert class_counts(held) == [1, 39]
