import gzip
import importlib
import io
import pickle
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from PIL import Image
from sklearn.datasets import load_digits

from atom_nas import plugins
from atom_nas.datasets import folder, npz, open_dataset
from atom_nas.errors import UserError
from atom_nas.images import Normalization, Source

PLUGINS = sorted(plugins.available("atom_nas.datasets"))
CIFAR10_FILE = Path("~/.cache/atom_nas/cifar10.npz").expanduser()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network\nin tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def module_of(name):
    return importlib.import_module(f"atom_nas.datasets.{name}")


def arrays(num_classes=3, *, per_class=6, splits=("train", "test"), shape=(8, 8, 3)):
    """MedMNIST's keys, random pixels, labels 0, 1, .., K-1, 0, 1, ..."""
    generator = np.random.default_rng(0)
    made = {}
    for split in splits:
        labels = np.tile(np.arange(num_classes, dtype=np.uint8), per_class)
        made[f"{split}_labels"] = labels[:, None]
        made[f"{split}_images"] = generator.integers(0, 256, (len(labels), *shape), np.uint8)
    return made


def save_images(root, classes=("cat", "dog"), *, per_class=6, size=(10, 9), mode="RGB"):
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            colour = (40 * k + i) if mode == "L" else (40 * k + i, 100, 200)
            Image.new(mode, size, colour).save(root / name / f"{i}.png")
    return root


def prepared(name, root):
    """Return (the argument of --dataset, the argument of load) with the plug-in's files made."""
    if name == "folder":
        save_images(root / "pets")
        return str(root / "pets"), root / "pets"
    if name == "npz":
        np.savez(root / "mine.npz", **arrays())
        return str(root / "mine.npz"), root / "mine.npz"
    if name != "digits":
        np.savez(root / f"{name}.npz", **arrays(len(module_of(name).CLASS_NAMES)))
    return name, root


def one_line(caught, *culprits):
    message = str(caught.value)
    assert "\n" not in message
    for culprit in culprits:
        assert str(culprit) in message
    return message


# Contract: every plug-in found


@pytest.mark.parametrize("name", PLUGINS)
def test_plugin_describes_itself_in_one_sentence(name):
    line = plugins.available("atom_nas.datasets")[name]
    assert line.endswith((".", ";", "_*."))
    assert 10 < len(line) < 100


@pytest.mark.parametrize("name", PLUGINS)
def test_plugin_loads_a_valid_source(name, tmp_path):
    source = module_of(name).load(prepared(name, tmp_path)[1])
    assert isinstance(source, Source)
    for split in filter(None, (source.train, source.validation, source.test)):
        assert split.pixels.dtype == torch.uint8
        assert split.pixels.is_contiguous()
        assert split.image_shape == source.train.image_shape
        assert split.class_names == source.train.class_names
        assert split.labels.min() >= 0
        assert split.labels.max() < split.num_classes
    assert all(len(indices) for indices in source.train.class_indices())
    assert len(set(source.train.class_names)) == source.train.num_classes


@pytest.mark.parametrize("name", PLUGINS)
def test_plugin_opens_with_three_splits_the_same_each_time(name, tmp_path):
    given = prepared(name, tmp_path)[0]
    first, again = (open_dataset(given, tmp_path, seed=5) for _ in range(2))
    assert first.name == (name if given == name else Path(given).stem)
    for part in ("train", "validation", "test"):
        assert len(getattr(first, part)) > 0
        assert getattr(first, part).digest == getattr(again, part).digest
    other = open_dataset(given, tmp_path, seed=6)
    assert other.validation.digest != first.validation.digest


@pytest.mark.parametrize(
    ("name", "flip"),
    [
        ("cifar10", True),
        ("cifar100", True),
        ("digits", False),
        ("fashion_mnist", True),
        ("folder", True),
        ("mnist", False),
        ("npz", True),
        ("svhn", False),
    ],
)
def test_flip(name, flip, tmp_path):
    assert open_dataset(prepared(name, tmp_path)[0], tmp_path, seed=0).flip is flip


# Names


def test_bare_path_plugins_ask_for_a_path(tmp_path):
    for name in ("folder", "npz"):
        with pytest.raises(UserError, match=f"'{name}' needs a path") as caught:
            open_dataset(name, tmp_path, seed=0)
        one_line(caught)


def test_unknown_name_suggests_the_nearest(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'fashion_mnist'") as caught:
        open_dataset("fashion-mnist", tmp_path, seed=0)
    assert "path" not in one_line(caught)


def test_path_that_is_not_there_says_that_paths_work(tmp_path):
    with pytest.raises(UserError, match=r"folder or of a \.npz file works too") as caught:
        open_dataset("./digitz", tmp_path, seed=0)
    one_line(caught, "./digitz", "'digits'")


def test_absent_npz_and_python_files_are_named(tmp_path):
    for name in ("gone.npz", "gone.py"):
        with pytest.raises(UserError) as caught:
            open_dataset(str(tmp_path / name), tmp_path, seed=0)
        one_line(caught, tmp_path / name)


def test_folder_may_be_relative(tmp_path, monkeypatch):
    save_images(tmp_path / "pets")
    monkeypatch.chdir(tmp_path / "pets")
    assert open_dataset(".", tmp_path, seed=0).name == "pets"


def test_python_file_of_the_user(tmp_path):
    file = tmp_path / "my_data.py"
    file.write_text(
        "from atom_nas.datasets import npz\ndef load(path):\n    return npz.load(path / 'x.npz')\n"
    )
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "x.npz", **arrays())
    dataset = open_dataset(str(file), tmp_path / "data", seed=0)
    assert (dataset.name, dataset.num_classes) == ("my_data", 3)


def test_python_file_that_returns_something_else(tmp_path):
    file = tmp_path / "my_data.py"
    file.write_text("def load(path):\n    return [1]\n")
    with pytest.raises(UserError, match="returned list; it must return") as caught:
        open_dataset(str(file), tmp_path, seed=0)
    one_line(caught, file)


# Digits


def test_digits_are_those_of_scikit_learn(tmp_path):
    train = module_of("digits").load(tmp_path).train
    reference = load_digits()
    assert train.pixels.shape == (1797, 1, 8, 8)
    assert (train.pixels.min(), train.pixels.max()) == (0, 255)
    assert np.abs(train.pixels[:, 0].numpy() / 255 * 16 - reference.images).max() < 0.04
    assert train.labels.tolist() == reference.target.tolist()
    assert train.class_names == tuple("0123456789")


# Torchvision


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist", "mnist", "svhn"])
def test_failed_download_says_what_is_expected_where(name, tmp_path):
    expected = {
        "cifar10": "cifar-10-batches-py",
        "cifar100": "cifar-100-python",
        "fashion_mnist": "FashionMNIST/raw",
        "mnist": "MNIST/raw",
        "svhn": "train_32x32.mat",
    }
    with pytest.raises(UserError, match="download failed") as caught:
        open_dataset(name, tmp_path, seed=0)
    one_line(caught, tmp_path, "no network in tests", f"{name}.npz", expected[name])


def save_cifar(root, cls, monkeypatch):
    key = "labels" if cls is torchvision.datasets.CIFAR10 else "fine_labels"
    num_classes = 10 if key == "labels" else 100
    made = arrays(num_classes, per_class=1, shape=(32, 32, 3))
    (root / cls.base_folder).mkdir(parents=True)
    for split, file in (("train", "some_batch"), ("test", "other_batch")):
        rows = made[f"{split}_images"].transpose(0, 3, 1, 2).reshape(num_classes, -1)
        batch = {"data": rows, key: made[f"{split}_labels"].ravel().tolist()}
        (root / cls.base_folder / file).write_bytes(pickle.dumps(batch))
        monkeypatch.setattr(cls, f"{split}_list", [[file, None]])
    names = [f"torchvision {k}" for k in range(num_classes)]
    (root / cls.base_folder / "names").write_bytes(pickle.dumps({"names": names}))
    monkeypatch.setattr(cls, "meta", {"filename": "names", "key": "names", "md5": None})
    return made


def save_idx(root, cls, monkeypatch):
    made = arrays(10, per_class=1, shape=(28, 28))
    raw = root / cls.__name__ / "raw"
    raw.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        for part, rank in (("images", 3), ("labels", 1)):
            array = made[f"{split}_{part}"].squeeze()
            header = bytes([0, 0, 8, rank]) + np.array(array.shape, ">i4").tobytes()
            file = raw / f"{prefix}-{part}-idx{rank}-ubyte"
            file.write_bytes(header + array.tobytes())
    return made


def save_svhn(root, cls, monkeypatch):
    made = arrays(10, per_class=1, shape=(32, 32, 3))
    root.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        labels = made[f"{split}_labels"]
        scipy.io.savemat(
            root / f"{split}_32x32.mat",
            {
                "X": made[f"{split}_images"].transpose(1, 2, 3, 0),
                "y": np.where(labels == 0, 10, labels),
            },
        )
    unchecked = {split: ["", f"{split}_32x32.mat", None] for split in ("train", "test", "extra")}
    monkeypatch.setattr(cls, "split_list", unchecked)
    return made


TORCHVISION = [
    ("cifar10", "CIFAR10", save_cifar),
    ("cifar100", "CIFAR100", save_cifar),
    ("fashion_mnist", "FashionMNIST", save_idx),
    ("mnist", "MNIST", save_idx),
    ("svhn", "SVHN", save_svhn),
]


@pytest.mark.parametrize("subfolder", ["", "torchvision"])
@pytest.mark.parametrize(("name", "cls", "save"), TORCHVISION)
def test_torchvision_files_are_read(name, cls, save, subfolder, tmp_path, monkeypatch):
    made = save(tmp_path / subfolder, getattr(torchvision.datasets, cls), monkeypatch)
    source = module_of(name).load(tmp_path)
    for split in ("train", "test"):
        image_set = getattr(source, split)
        expected = made[f"{split}_images"]
        expected = expected[..., None] if expected.ndim == 3 else expected
        assert np.array_equal(image_set.pixels.permute(0, 2, 3, 1).numpy(), expected)
        assert image_set.labels.tolist() == made[f"{split}_labels"].ravel().tolist()
    assert source.validation is None


def test_npz_comes_before_torchvision_files(tmp_path, monkeypatch):
    save_idx(tmp_path, torchvision.datasets.MNIST, monkeypatch)
    np.savez(tmp_path / "mnist.npz", **arrays(10, shape=(9, 9)))
    assert module_of("mnist").load(tmp_path).train.image_shape == (1, 9, 9)


@pytest.mark.parametrize("size", [0, 10, 500])
def test_damaged_torchvision_files_are_named(size, tmp_path, monkeypatch):
    save_idx(tmp_path, torchvision.datasets.MNIST, monkeypatch)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UserError, match="damaged") as caught:
        module_of("mnist").load(tmp_path)
    one_line(caught, tmp_path, "MNIST/raw")


def test_cifar10_npz_has_the_ten_names(tmp_path):
    dataset = open_dataset(prepared("cifar10", tmp_path)[0], tmp_path, seed=0)
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    assert " ".join(dataset.train.class_names) == names


def test_named_npz_lacking_a_class_is_refused(tmp_path):
    np.savez(tmp_path / "cifar10.npz", **arrays(9))
    with pytest.raises(UserError, match=r"no image of class 9 \('truck'\)") as caught:
        open_dataset("cifar10", tmp_path, seed=0)
    one_line(caught, tmp_path / "cifar10.npz")


@pytest.mark.skipif(
    not CIFAR10_FILE.exists(),
    reason=f"real CIFAR-10 is not at {CIFAR10_FILE}; fetch it there as .npz with MedMNIST's keys",
)
def test_real_cifar10():
    source = module_of("cifar10").load(CIFAR10_FILE.parent)
    assert source.train.pixels.shape == (50_000, 3, 32, 32)
    assert source.test.pixels.shape == (10_000, 3, 32, 32)
    assert source.train.labels.bincount().tolist() == [5_000] * 10
    assert source.test.labels.bincount().tolist() == [1_000] * 10
    published = Normalization(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
    measured = Normalization.fit(source.train)
    assert measured.mean == pytest.approx(published.mean, abs=2e-4)
    assert measured.std == pytest.approx(published.std, abs=2e-4)


# The .npz file


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


@pytest.mark.parametrize("content", [b"hello", pickle.dumps([1]), npy_bytes(), gzip.compress(b"")])
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


# The folder


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
