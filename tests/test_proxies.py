"""Contracts that every proxy method keeps, and one of a user's own."""

import pytest
import torch

from atom_nas import plugins
from atom_nas.distillation.condense import Condensation
from atom_nas.distillation.names import is_distilled, parse_name
from atom_nas.errors import UserError
from atom_nas.testing.methods import (
    PER_CLASS,
    CoresetContract,
    DistillationContract,
    few_digits,
    make,
)

METHODS = sorted(plugins.available("atom_nas.distillation.methods"))


class TestCoresets(CoresetContract):
    @pytest.fixture(params=[name for name in METHODS if not is_distilled(name)])
    def method(self, request):
        return request.param


class TestDistilledSets(DistillationContract):
    @pytest.fixture(params=[name for name in METHODS if is_distilled(name)])
    def method(self, request):
        return request.param


@pytest.fixture(scope="module")
def dataset():
    return few_digits()


def test_the_methods_of_the_papers_are_there():
    assert {"atom", "datadam", "dm", "random", "herding", "kmeans"} <= set(METHODS)


@pytest.mark.parametrize("method", ["random", "dm"])
def test_more_images_per_class_than_there_are(dataset, tmp_path, method):
    with pytest.raises(UserError, match="take at most 20") as caught:
        make(method, dataset, tmp_path / "p", PER_CLASS + 1)
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
    images = make(method, dataset, tmp_path / "proxy", images_per_class)
    firsts = torch.cat([indices[:2] for indices in dataset.train.class_indices()])
    assert torch.equal(images.pixels, dataset.train.pixels[firsts])


def test_a_users_own_distilling_method_is_a_file(dataset, tmp_path):
    file = tmp_path / "pixels.py"
    file.write_text(
        "def describe(maps, embedding, recipe):\n    return [maps[0].float().mean(1).flatten(1)]\n"
    )
    images = make(str(file), dataset, tmp_path / "proxy")
    assert images.pixels.dtype == torch.float32


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
