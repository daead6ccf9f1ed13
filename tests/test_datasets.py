"""Data sets by name: what every plug-in keeps, and those of torchvision and scikit-learn."""

import importlib
import pickle
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torchvision.datasets
from made_data import arrays, one_line, save_images
from sklearn.datasets import load_digits

from atom_nas import plugins
from atom_nas.data.images import Normalization
from atom_nas.data.sources import open_dataset
from atom_nas.errors import UserError
from atom_nas.testing.sources import SourceContract

PLUGINS = sorted(plugins.available("atom_nas.data.sources"))
CIFAR10_FILE = Path("~/.cache/atom_nas/cifar10.npz").expanduser()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network\nin tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def module_of(name):
    return importlib.import_module(f"atom_nas.data.sources.{name}")


def prepared(name, root):
    """Return (the argument of --dataset, the argument of load) with the plug-in's files made."""
    if name == "folder":
        save_images(root / "pets")
        return str(root / "pets"), root / "pets"
    if name == "npz":
        np.savez(root / "mine.npz", **arrays())
        return str(root / "mine.npz"), root / "mine.npz"
    if name not in ("digits", "cifar10_box"):
        np.savez(root / f"{name}.npz", **arrays(len(module_of(name).CLASS_NAMES)))
    return name, root


class TestSources(SourceContract):
    @pytest.fixture(params=PLUGINS)
    def given(self, request, tmp_path):
        return prepared(request.param, tmp_path)[0], tmp_path


@pytest.mark.parametrize(
    ("name", "flip", "whiten"),
    [
        ("cifar10", True, True),
        ("cifar100", True, True),
        ("digits", False, False),
        ("fashion_mnist", True, False),
        ("folder", True, False),
        ("mnist", False, False),
        ("npz", True, False),
        ("svhn", False, False),
    ],
)
def test_flip_and_whiten(name, flip, whiten, tmp_path):
    dataset = open_dataset(prepared(name, tmp_path)[0], tmp_path, seed=0)
    assert (dataset.flip, dataset.whiten) == (flip, whiten)


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("digits", "UCI/scikit-learn digits, CC BY 4.0"),
        ("cifar10", "CIFAR-10, Krizhevsky 2009; no licence stated, cite the technical report"),
        ("npz", ""),
    ],
)
def test_whose_data_it_is(name, about, tmp_path):
    assert open_dataset(prepared(name, tmp_path)[0], tmp_path, seed=0).about == about


def test_a_files_name_does_not_decide_on_whitening(tmp_path):
    np.savez(tmp_path / "cifar10.npz", **arrays(10))
    assert open_dataset("cifar10", tmp_path, seed=0).whiten
    assert not open_dataset(str(tmp_path / "cifar10.npz"), tmp_path, seed=0).whiten


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
    with pytest.raises(UserError, match=r"the path of a folder or of a \.npz file") as caught:
        open_dataset("./digitz", tmp_path, seed=0)
    one_line(caught, "./digitz", "digits,")


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
        "from atom_nas.data.sources import npz\n"
        "def load(path):\n    return npz.load(path / 'x.npz')\n"
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
    assert source.whiten is name.startswith("cifar")


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
