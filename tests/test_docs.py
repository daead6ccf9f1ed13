"""The examples of docs/library.md and the README run, and say what they say they say."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import atom_nas

ROOT = Path(__file__).parents[1]


def test_the_library_page_is_true():
    found = doctest.testfile(str(ROOT / "docs" / "library.md"), module_relative=False)
    assert found.failed == 0 and found.attempted > 20


def test_the_example_of_the_readme_runs_without_torch():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    watched = (
        code + "\nimport sys; assert 'torch' not in sys.modules and 'optuna' not in sys.modules"
    )
    ended = subprocess.run(
        [sys.executable, "-c", watched], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(("Use ", "Do not use ", "mine "))


def test_the_tests_that_the_page_on_reliability_names_are_there():
    named = set(re.findall(r"`(test_\w+\.py)`", (ROOT / "docs" / "reliability.md").read_text()))
    assert len(named) > 10
    assert named <= {path.name for path in (ROOT / "tests").iterdir()}


@pytest.mark.parametrize("name", atom_nas.__all__)
def test_every_public_name_is_there(name):
    assert getattr(atom_nas, name).__doc__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        atom_nas.nonsense  # noqa: B018
