"""Plugins by name and by path: found, listed, refused in one line."""

import os
import sys
import types

import pytest

from atom_nas import plugins
from atom_nas.errors import UserError

DATASETS = "atom_nas.data.sources"


def load(name, needs=("load",)):
    return plugins.load(DATASETS, name, kind="data set", needs=needs)


def test_available_lists_the_public_modules_with_their_first_docstring_line():
    found = plugins.available(DATASETS)
    assert {"digits", "cifar10", "folder", "npz"} <= found.keys()
    assert not any(name.startswith("_") for name in found)
    assert found["digits"] == sys.modules.get(f"{DATASETS}.digits", load("digits")).__doc__.strip()


def test_available_imports_nothing(tmp_path, monkeypatch):
    package = tmp_path / "some_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "explosive.py").write_text('"""Goes off.\n\nLater."""\nraise RuntimeError\n')
    (package / "silent.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.available("some_plugins") == {"explosive": "Goes off.", "silent": ""}


@pytest.mark.parametrize(
    "package",
    [
        "search_spaces",
        *(f"atom_nas.{p}" for p in ("data.sources", "distillation.methods", "audit.truths")),
    ],
)
def test_every_plugin_says_in_a_line_what_it_is(package):
    for name, line in plugins.available(package).items():
        assert 10 < len(line) < 100, name
        assert line.endswith((".", ";", "_*.")), name


def test_load_by_name_returns_the_module():
    module = load("digits")
    assert isinstance(module, types.ModuleType)
    assert module.__name__ == f"{DATASETS}.digits"


def test_load_by_path_returns_the_file_as_a_module(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import dataclasses\n\n@dataclasses.dataclass\nclass A:\n    x: int\nload = A\n"
    )
    module = load(str(file))
    assert module.load(3).x == 3
    assert sys.modules[module.__name__] is module


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"load = {folder!r}")
    first, second = (load(str(tmp_path / folder / "mine.py")) for folder in ("a", "b"))
    assert (first.load, second.load) == ("a", "b")
    assert first.__name__ != second.__name__


@pytest.mark.parametrize(
    ("got", "nearest"), [("digit", "digits"), ("cifar01", "cifar10"), ("fashion-mnist", "fashion")]
)
def test_unknown_name_suggests_the_nearest(got, nearest):
    with pytest.raises(UserError, match=f"unknown data set '{got}'. Did you mean '{nearest}"):
        load(got)


def test_unknown_name_without_a_near_one_lists_the_known():
    with pytest.raises(UserError, match=r"'zzz'\. Known: cifar10, .*svhn\.$"):
        load("zzz")


def test_underscore_modules_are_no_plugins():
    with pytest.raises(UserError, match="unknown data set '_torchvision'"):
        load("_torchvision")


def test_missing_functions_are_named(tmp_path):
    file = tmp_path / "half.py"
    file.write_text("def load(path): ...")
    with pytest.raises(UserError, match=r"half\.py' lacks save, close;.* load, save, close\.$"):
        load(str(file), needs=("load", "save", "close"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def load(:", "SyntaxError"),
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise ValueError('one\\ntwo')", "ValueError: one two"),
        ("x = '\udcff'", "SyntaxError"),
    ],
)
def test_file_that_does_not_import_is_one_line(tmp_path, text, reason):
    file = tmp_path / "broken.py"
    file.write_text(text, errors="surrogateescape")
    before = set(sys.modules)
    with pytest.raises(UserError, match=reason) as caught:
        load(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [name for name in set(sys.modules) - before if "broken" in name]


def test_a_named_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "mine.py")
    with pytest.raises(UserError, match=r"mine\.py' is no regular file"):
        load(str(tmp_path / "mine.py"))


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"data set file '.*gone\.py' does not exist"):
        load(str(tmp_path / "gone.py"))
