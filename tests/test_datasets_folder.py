"""A folder of image files as a data set."""

import os

import numpy as np
import pytest
from made_data import one_line, save_images
from PIL import Image

from atom_nas.data.sources import folder, open_dataset
from atom_nas.errors import UserError


def test_folder_classes_and_sizes(tmp_path):
    save_images(tmp_path, ("dog", "ant"), per_class=3, size=(30, 17))
    (tmp_path / "ant" / "deeper").mkdir()
    Image.new("RGB", (30, 17), (1, 2, 3)).save(tmp_path / "ant" / "deeper" / "X.JPG")
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / "ant" / "._0.png").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    source = folder.load(tmp_path)
    assert source.train.class_names == ("ant", "dog")
    assert source.train.labels.tolist() == [0] * 4 + [1] * 3
    assert source.train.pixels.shape == (7, 3, 16, 16)
    assert source.train.pixels[4:, :, 8, 8].tolist() == [[i, 100, 200] for i in range(3)]
    assert (source.validation, source.test) == (None, None)


@pytest.mark.parametrize(
    ("shorter", "side"),
    [(1, 8), (12, 8), (13, 16), (22, 16), (23, 28), (32, 32), (57, 64), (97, 96), (500, 128)],
)
def test_folder_side_is_the_nearest_of_the_stated(shorter, side, tmp_path):
    save_images(tmp_path, per_class=1, size=(shorter + 5, shorter))
    assert folder.load(tmp_path).train.image_shape == (3, side, side)


def test_folder_side_is_that_of_the_median_image(tmp_path):
    save_images(tmp_path, ("a", "b"), per_class=2, size=(32, 32))
    save_images(tmp_path, ("c",), per_class=1, size=(2, 300))
    assert folder.load(tmp_path).train.image_shape == (3, 32, 32)


def test_folder_measures_an_even_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_SAMPLED", 3)
    save_images(tmp_path, ("a", "b"), per_class=4, size=(64, 64))
    for k, i in (("a", 0), ("a", 3), ("b", 2)):
        Image.new("L", (16, 16)).save(tmp_path / k / f"{i}.png")
    assert folder.load(tmp_path).train.image_shape == (1, 16, 16)


def test_folder_keeps_the_central_square_antialiased(tmp_path):
    save_images(tmp_path, per_class=1, size=(32, 32), mode="L")
    stripes = np.zeros((64, 128), np.uint8)
    stripes[:, 32:96:2] = 200
    stripes[:, :32] = 255
    Image.fromarray(stripes).save(tmp_path / "cat" / "1.png")
    pixels = folder.load(tmp_path).train.pixels
    assert pixels.shape == (3, 1, 32, 32)
    assert pixels[1, :, :, 1:-1].unique().tolist() == [100]
    assert pixels[0].unique().tolist() == [0]
    assert pixels[2].unique().tolist() == [40]


def test_a_folder_within_a_class_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    save_images(tmp_path, ("a", "b"), per_class=1)
    (tmp_path / "b" / "more").mkdir()

    def scan(path, scandir=os.scandir):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(UserError) as caught:
        folder.load(tmp_path)
    one_line(caught, tmp_path / "b" / "more", "cannot be read (Permission denied)")


@pytest.mark.parametrize(
    ("modes", "channels"), [("LL", 1), (("L", "RGB"), 3), (("RGBA", "L"), 3), ("PP", 3)]
)
def test_folder_is_grey_only_if_all_images_are(modes, channels, tmp_path):
    for name, mode in zip(("a", "b"), modes, strict=True):
        (tmp_path / name).mkdir()
        Image.new(mode, (8, 8)).save(tmp_path / name / "0.png")
    assert folder.load(tmp_path).train.image_shape == (channels, 8, 8)


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_folder_splits_are_used(validation, tmp_path):
    for k, split in enumerate(("train", validation, "test")):
        save_images(tmp_path / split, ("cat", "dog")[: 3 - k], per_class=4 + k)
    source = folder.load(tmp_path)
    assert [len(s) for s in (source.train, source.validation, source.test)] == [8, 10, 6]
    assert source.test.class_names == ("cat", "dog")
    dataset = open_dataset(str(tmp_path), tmp_path, seed=0)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [8, 10, 6]


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("Training", "Testing"), (8, None, 10)),
        (("train", "valid"), (8, 10, None)),
        (("train", "valid", "test"), (8, 10, 12)),
        (("train",), (8, None, None)),
    ],
)
def test_splits_go_by_their_common_names(tmp_path, names, sizes):
    for k, name in enumerate(names):
        save_images(tmp_path / name, ("cat", "dog"), per_class=4 + k)
    source = folder.load(tmp_path)
    assert source.train.class_names == ("cat", "dog")
    splits = (source.train, source.validation, source.test)
    assert tuple(split and len(split) for split in splits) == sizes


def test_a_split_by_no_common_name_is_no_class(tmp_path, capsys):
    save_images(tmp_path / "train", ("cat", "dog"))
    save_images(tmp_path / "dev", ("cat", "dog"))
    with pytest.raises(UserError, match="has train beside dev; call the splits train, val and te"):
        folder.load(tmp_path)
    save_images(tmp_path / "test", ("cat", "dog"))
    assert folder.load(tmp_path).train.class_names == ("cat", "dog")
    assert "left out: dev." in capsys.readouterr().err


def test_files_that_are_no_images_are_counted(tmp_path, capsys):
    save_images(tmp_path, ("cat", "dog"), per_class=2)
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "0.JFIF")
    for name in ("a.heic", "b.heic", "c.HEIC", "Thumbs"):
        (tmp_path / "dog" / name).write_text("not an image")
    assert len(folder.load(tmp_path).train) == 4
    said = capsys.readouterr().err
    assert "2 of .heic" in said and "1 of .HEIC" in said and "1 of no ending" in said


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    save_images(tmp_path, ("cat", "dog"), per_class=1, size=(8, 8))
    drawing = Image.new("LA", (8, 8), (0, 0))
    drawing.paste((0, 255), (0, 0, 4, 8))
    if mode == "P":
        drawing = drawing.convert("RGBA").quantize()
    drawing.convert(mode).save(tmp_path / "cat" / "0.png")
    pixels = folder.load(tmp_path).train.pixels[0]
    assert pixels[:, :, :4].unique().tolist() == [0] and pixels[:, :, 4:].unique().tolist() == [255]


def test_folder_without_a_test_split_draws_one(tmp_path):
    save_images(tmp_path / "train", per_class=8)
    save_images(tmp_path / "val", per_class=2)
    dataset = open_dataset(str(tmp_path), tmp_path, seed=0)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [12, 4, 4]


def test_folder_labels_follow_the_training_classes(tmp_path):
    save_images(tmp_path / "train", ("a", "b", "c"))
    save_images(tmp_path / "test", ("c",))
    assert folder.load(tmp_path).test.labels.unique().tolist() == [2]


def test_class_folder_may_be_a_link(tmp_path):
    save_images(tmp_path / "elsewhere", ("a", "b"))
    (tmp_path / "linked").mkdir()
    for name in ("a", "b"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "elsewhere" / name)
    assert len(folder.load(tmp_path / "linked").train) == 12


def one_class(root):
    save_images(root, ("only",))
    return "1 class folder", "'only'"


def no_class(root):
    Image.new("L", (8, 8)).save(root / "loose.png")
    return "0 class folder", str(root)


def empty_class(root):
    save_images(root)
    (root / "eel").mkdir()
    return str(root / "eel"), "no image"


def no_images(root):
    for name in ("a", "b"):
        (root / name).mkdir()
        (root / name / "readme.txt").write_text("text")
    return str(root / "a"), "no image"


def stranger_in_test(root):
    save_images(root / "train")
    save_images(root / "test", ("cat", "fox"))
    return str(root / "test" / "fox"), "cat, dog"


def no_class_in_test(root):
    save_images(root / "train")
    (root / "test").mkdir()
    return str(root / "test"), "no class folder; delete it", "cat, dog"


def empty_class_in_test(root):
    save_images(root / "train")
    (root / "test" / "cat").mkdir(parents=True)
    return str(root / "test" / "cat"), "no image"


def named_pipe(root):
    save_images(root)
    os.mkfifo(root / "cat" / "pipe.png")
    return str(root / "cat" / "pipe.png"), "cannot be read", "no regular file"


def text_file(root):
    save_images(root)
    (root / "dog" / "5.png").write_text("hello")
    return str(root / "dog" / "5.png"), "cannot be read"


def empty_file(root):
    save_images(root)
    (root / "dog" / "5.jpg").write_bytes(b"")
    return str(root / "dog" / "5.jpg"), "cannot be read"


def truncated_file(root):
    save_images(root)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(root / "dog" / "x.png")
    whole = (root / "dog" / "x.png").read_bytes()
    (root / "dog" / "x.png").write_bytes(whole[: len(whole) // 2])
    return str(root / "dog" / "x.png"), "cannot be read"


def dangling_link(root):
    save_images(root)
    (root / "cat" / "link.png").symlink_to(root / "gone.png")
    return str(root / "cat" / "link.png"), "cannot be read"


def sixteen_bits(root):
    save_images(root)
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(root / "cat" / "deep.png")
    return str(root / "cat" / "deep.png"), "8 bits"


@pytest.mark.parametrize(
    "spoil",
    [
        one_class,
        no_class,
        empty_class,
        no_images,
        stranger_in_test,
        no_class_in_test,
        empty_class_in_test,
        named_pipe,
        text_file,
        empty_file,
        truncated_file,
        dangling_link,
        sixteen_bits,
    ],
)
def test_bad_folder_is_refused(spoil, tmp_path):
    culprits = spoil(tmp_path)
    with pytest.raises(UserError) as caught:
        open_dataset(str(tmp_path), tmp_path, seed=0)
    one_line(caught, *culprits)


def test_unreadable_file_outside_the_sample_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_SAMPLED", 1)
    culprits = text_file(tmp_path)
    with pytest.raises(UserError) as caught:
        folder.load(tmp_path)
    one_line(caught, *culprits)


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        folder.load(tmp_path / "gone")


@pytest.mark.parametrize("classes", [("val", "test"), ("cat", "dog", "test")])
def test_splits_without_training_images_are_no_classes(tmp_path, classes):
    for name in classes:
        save_images(tmp_path / name if name in ("val", "test") else tmp_path, ("a", "b"))
    with pytest.raises(UserError, match="and no train; put the class folders") as caught:
        folder.load(tmp_path)
    assert "has val and test and no train" in str(caught.value) or "dog" in classes
