"""How the package hangs together: imports point down, few modules see torch or the test split."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path for package in ("atom_nas", "search_spaces") for path in (ROOT / package).rglob("*.py")
)
READS_TEST_SPLIT = {
    "audit/trained_truth.py": "measures candidates trained on the full data, once each",
    "distillation/paper_protocol.py": "measures a distilled set as the papers do, to no choice",
    "data/splits.py": "makes the split",
    "pipeline/opening.py": "takes its digest",
    "pipeline/retraining.py": "measures the net that is exported, once",
}


def name_of(path):
    return str(path.relative_to(ROOT))


def test_imports_keep_the_contracts_of_pyproject(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0


@pytest.mark.parametrize(
    "module", ["atom_nas.audit.ranking", "atom_nas.report", "atom_nas.storage.row_log"]
)
def test_modules_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def reads_test_split(node):
    """Say whether `node` is the attribute `test` of what is called a data set or a source."""
    owner = getattr(node, "value", None)
    called = getattr(owner, "id", getattr(owner, "attr", "")).lstrip("_")
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "test"
        and called in ("data", "dataset", "source", "self")
    )


def test_the_test_split_is_read_by_those_listed_alone():
    readers = {
        str(path.relative_to(ROOT / "atom_nas"))
        for path in MODULES
        if path.is_relative_to(ROOT / "atom_nas")
        and any(map(reads_test_split, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert readers - {"audit/truth.py", "audit/record.py"} == READS_TEST_SPLIT.keys()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short_and_say_what_they_are(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_hold_no_machine_paths(path):
    source = path.read_text(encoding="utf-8")
    assert not any(place in source for place in ("/home/", "/root/", "/work/", "/tmp/"))
