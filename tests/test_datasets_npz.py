"""A .npz file as a data set."""

import gzip
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from made_data import arrays, one_line

from atom_nas.data.sources import npz, open_dataset
from atom_nas.errors import UserError


def test_npz_pixels_labels_and_names(tmp_path):
    made = arrays(3, splits=("train", "val", "test"))
    made["val_labels"] = made["val_labels"].ravel().astype(np.int64)
    np.savez_compressed(tmp_path / "a.npz", **made, class_names=np.array(["x", "y", "zebra"]))
    source = npz.load(tmp_path / "a.npz")
    for key, split in (("train", source.train), ("val", source.validation), ("test", source.test)):
        pixels = split.pixels.permute(0, 2, 3, 1).numpy()
        assert np.array_equal(pixels, made[f"{key}_images"])
        assert split.labels.tolist() == made[f"{key}_labels"].ravel().tolist()
        assert split.class_names == ("x", "y", "zebra")


def test_npz_of_grey_images_and_training_alone(tmp_path):
    made = arrays(2, splits=("train",), shape=(5, 7))
    np.savez(tmp_path / "a.npz", **made)
    source = npz.load(tmp_path / "a.npz")
    assert source.train.class_names == ("0", "1")
    assert (source.validation, source.test) == (None, None)
    assert np.array_equal(source.train.pixels[:, 0].numpy(), made["train_images"])


BAD_ARRAYS = [
    ("lacks train_labels", {"train_labels": None}),
    ("it has nothing", dict.fromkeys(arrays())),
    ("lacks test_images", {"test_images": None}),
    ("lacks val_labels", {"val_images": arrays()["test_images"]}),
    ("train_images is float64", {"train_images": np.zeros((18, 8, 8, 3))}),
    ("train_images is of shape (18, 3, 8, 8)", {"train_images": np.zeros((18, 3, 8, 8), "u1")}),
    ("train_images is of shape (18, 8)", {"train_images": np.zeros((18, 8), "u1")}),
    ("train_images is of shape (0, 8, 8)", {"train_images": np.zeros((0, 8, 8), "u1")}),
    ("test_images holds images of shape (9, 9)", {"test_images": np.zeros((18, 9, 9), "u1")}),
    ("train_labels is float32", {"train_labels": np.zeros(18, "f4")}),
    ("train_labels is <U1", {"train_labels": np.array(["a"] * 18)}),
    ("train_labels is of shape (17,)", {"train_labels": np.zeros(17, "u1")}),
    ("train_labels is of shape (18, 2)", {"train_labels": np.zeros((18, 2), "u1")}),
    ("train_images is of shape ()", {"train_images": np.uint8(1)}),
    ("train_labels is of shape (0,)", {"train_labels": np.zeros(0, "u1")}),
    ("train_labels is of shape ()", {"train_labels": np.uint8(1)}),
    ("train_labels has the label -1", {"train_labels": np.repeat([-1, 0, 1], 6)}),
    ("no image of class 1 ('1')", {"train_labels": np.repeat([0, 2, 3], 6)}),
    ("train_labels has the label 9000000", {"train_labels": np.repeat([0, 1, 9_000_000], 6)}),
    ("1 class; at least 2", {"train_labels": np.zeros(18, int), "test_labels": np.zeros(18, int)}),
    ("test_labels has the label 3", {"test_labels": np.repeat([0, 1, 3], 6)}),
    ("train_labels has the label 2", {"class_names": np.array(["a", "b"])}),
    ("no image of class 3 ('d')", {"class_names": np.array(list("abcd"))}),
    ("class_names is int64", {"class_names": np.arange(3)}),
    ("class_names is <U1 of shape (1, 3)", {"class_names": np.array([list("abc")])}),
]


@pytest.mark.parametrize(("reason", "change"), BAD_ARRAYS, ids=[case[0] for case in BAD_ARRAYS])
def test_bad_npz_is_refused(reason, change, tmp_path):
    made = {key: array for key, array in (arrays() | change).items() if array is not None}
    np.savez(tmp_path / "bad.npz", **made)
    with pytest.raises(UserError) as caught:
        open_dataset(str(tmp_path / "bad.npz"), tmp_path, seed=0)
    one_line(caught, tmp_path / "bad.npz", reason)


def test_a_named_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"cannot be read .* no regular file") as caught:
        open_dataset(str(tmp_path / "a.npz"), tmp_path, seed=0)
    one_line(caught, tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_npz_is_refused(kept, save, tmp_path):
    file = tmp_path / "cut.npz"
    save(file, **arrays())
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match="cannot be read") as caught:
        npz.load(file)
    one_line(caught, file)


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_a_flipped_byte_is_refused(compressed, tmp_path):
    file = tmp_path / "bad.npz"
    (np.savez_compressed if compressed else np.savez)(file, **arrays())
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        content[archive.getinfo("train_images.npy").header_offset + 900] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read") as caught:
        npz.load(file)
    one_line(caught, file)


def npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [b"hello", pickle.dumps([1]), npy_bytes(), gzip.compress(b"", mtime=0)]
)
def test_other_files_named_npz_are_refused(content, tmp_path):
    file = tmp_path / "fake.npz"
    file.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read") as caught:
        npz.load(file)
    one_line(caught, file)


def test_pickled_arrays_are_not_loaded(tmp_path):
    made = arrays() | {"class_names": np.array(["a", "b", "c"], dtype=object)}
    np.savez(tmp_path / "bad.npz", **made)
    with pytest.raises(UserError, match="cannot be read"):
        npz.load(tmp_path / "bad.npz")


def test_arrays_that_are_called_otherwise_are_said_to_be_left_out(tmp_path, capsys):
    made = {"train_images": np.zeros((4, 8, 8), np.uint8), "train_labels": np.array([0, 0, 1, 1])}
    np.savez(tmp_path / "a.npz", **made, valid_images=made["train_images"])
    npz.load(tmp_path / "a.npz")
    assert "these arrays are left out: valid_images." in capsys.readouterr().err
