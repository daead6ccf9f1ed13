"""Contracts that every proxy method keeps, and one of a user's own."""

from pathlib import Path

import pytest
import torch

from atom_nas import plugins
from atom_nas.data.images import Source, split
from atom_nas.data.sources import open_dataset
from atom_nas.distillation import embedding
from atom_nas.distillation.condense import Condensation, condense, is_distilled, parse_name
from atom_nas.distillation.recipes import Recipe
from atom_nas.errors import UserError

METHODS = sorted(plugins.available("atom_nas.distillation.methods"))
RECIPE = Recipe(steps=3, learning_rate=1.0, real_batch=8, width=8, flip=False)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset():
    digits = open_dataset("digits", Path("unused"), seed=0)
    few = torch.cat([indices[:20] for indices in digits.train.class_indices()])
    shuffled = few[torch.randperm(len(few), generator=torch.Generator().manual_seed(0))]
    source = Source(
        train=digits.train.select(shuffled),
        validation=digits.validation,
        test=digits.test,
        flip=False,
    )
    return split("few", source, seed=0)


@pytest.fixture(autouse=True)
def embed_briefly(monkeypatch):
    monkeypatch.setattr(embedding, "NUM_IMAGES", 200)


def make(dataset, folder, method, images_per_class=2, seed=0):
    job = Condensation(
        dataset=dataset,
        method=method,
        images_per_class=images_per_class,
        seed=seed,
        recipe=RECIPE if is_distilled(method) else None,
    )
    return condense(job, folder, CPU)


def contents(pixels):
    return [image.numpy().tobytes() for image in pixels]


def test_the_methods_of_the_papers_are_there():
    assert {"atom", "datadam", "dm", "random", "herding", "kmeans"} <= set(METHODS)


@pytest.mark.parametrize("images_per_class", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_images_and_labels(dataset, tmp_path, method, images_per_class):
    images = make(dataset, tmp_path, method, images_per_class).images
    assert images.pixels.shape == (10 * images_per_class, 1, 8, 8)
    assert images.labels.tolist() == sorted([*range(10)] * images_per_class)
    assert images.labels.dtype == torch.int64
    assert images.class_names == dataset.train.class_names
    wanted = torch.float32 if is_distilled(method) else dataset.train.pixels.dtype
    assert images.pixels.dtype == wanted
    assert torch.isfinite(images.pixels.float()).all()


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_images_and_another_seed_others(dataset, tmp_path, method):
    first, again, other = (
        make(dataset, tmp_path / name, method, seed=seed).images.pixels
        for name, seed in [("a", 5), ("b", 5), ("c", 6)]
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("method", [m for m in METHODS if not is_distilled(m)])
def test_coresets_hold_distinct_training_images_of_their_class(dataset, tmp_path, method):
    chosen, train = make(dataset, tmp_path, method, 15).images, dataset.train
    assert len(set(contents(chosen.pixels))) == 150
    for label, indices in enumerate(train.class_indices()):
        own = contents(chosen.pixels[chosen.labels == label])
        assert set(own) <= set(contents(train.pixels[indices]))


@pytest.mark.parametrize("method", [m for m in METHODS if not is_distilled(m)])
def test_a_coreset_of_all_images_is_the_class(dataset, tmp_path, method):
    chosen, train = make(dataset, tmp_path, method, 20).images, dataset.train
    assert sorted(contents(chosen.pixels)) == sorted(contents(train.pixels))


@pytest.mark.parametrize("method", [m for m in METHODS if is_distilled(m)])
def test_every_distilled_image_has_moved_from_the_real_ones(dataset, tmp_path, method):
    images = make(dataset, tmp_path, method).images.pixels
    real = dataset.train.pixels.float() / 255
    assert torch.cdist(images.flatten(1), real.flatten(1)).min() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_the_global_generator_does_not_matter_and_the_data_stay(dataset, tmp_path, method):
    before = dataset.train.pixels.clone()
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(make(dataset, tmp_path / str(seed), method).images.pixels)
    assert torch.equal(*results)
    assert torch.equal(before, dataset.train.pixels)


@pytest.mark.parametrize("method", METHODS)
def test_more_images_per_class_than_there_are(dataset, tmp_path, method):
    with pytest.raises(UserError, match="take at most 20") as caught:
        make(dataset, tmp_path / "p", method, 21)
    assert "class '0'" in str(caught.value)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("name", "method"),
    [("atm", "atom"), ("heridng", "herding"), ("DM", "dm"), ("Random", "random")],
)
def test_unknown_methods_suggest_the_nearest(name, method):
    with pytest.raises(UserError, match=f"Did you mean '{method}'"):
        parse_name(f"{name}_ipc10")


@pytest.mark.parametrize(
    "name",
    ["atom", "atom_ipc", "atom_ipc0", "atom_ipc-1", "atom_ipc1.5", "_ipc3", "", "atom_ipc03"],
)
def test_names_that_are_not_of_the_form(name):
    with pytest.raises(UserError, match=r"<method>_ipc<images per class>.*atom_ipc50.*kmeans"):
        parse_name(name)


@pytest.mark.parametrize("images_per_class", [1, 50, 1000])
def test_parsed_names(images_per_class):
    assert parse_name(f"atom_ipc{images_per_class}") == ("atom", images_per_class)


def test_a_users_own_method_is_a_file(dataset, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def select(train, images_per_class, *, seed, device):\n"
        "    return torch.cat([i[:images_per_class] for i in train.class_indices()])\n"
    )
    method, images_per_class = parse_name(f"{file}_ipc2")
    assert (method, images_per_class) == (str(file), 2)
    proxy = make(dataset, tmp_path / "proxy", method, images_per_class)
    assert proxy.name == "mine.py_ipc2"
    firsts = torch.cat([indices[:2] for indices in dataset.train.class_indices()])
    assert torch.equal(proxy.images.pixels, dataset.train.pixels[firsts])


def test_a_users_own_distilling_method_is_a_file(dataset, tmp_path):
    file = tmp_path / "pixels.py"
    file.write_text(
        "def describe(maps, embedding, recipe):\n    return [maps[0].float().mean(1).flatten(1)]\n"
    )
    proxy = make(dataset, tmp_path / "proxy", str(file))
    assert proxy.manifest["recipe"]["steps"] == RECIPE.steps
    assert proxy.images.pixels.dtype == torch.float32


def test_a_changed_method_file_is_another_proxy(dataset, tmp_path):
    file = tmp_path / "mine.py"
    source = "import torch\ndef select(train, n, *, seed, device):\n    return torch.arange(20)\n"
    folders = []
    for text in (source, source.replace("20)", "40)[20:]")):
        file.write_text(text)
        job = Condensation(
            dataset=dataset, method=str(file), images_per_class=2, seed=0, recipe=None
        )
        folders.append(job.folder(tmp_path))
    assert folders[0] != folders[1]


def test_a_method_file_without_its_function_is_a_user_error(tmp_path):
    file = tmp_path / "empty.py"
    file.write_text("")
    with pytest.raises(UserError, match="neither describe nor select"):
        parse_name(f"{file}_ipc2")
