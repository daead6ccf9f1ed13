"""Help, lists and errors in options come without torch, and every module imports anywhere."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_toy import CPU, make_dataset

from atom_nas.distillation.names import RECIPE_NAMES
from atom_nas.distillation.recipes import RECIPES
from atom_nas.scoring.trainer import Trainer
from atom_nas.search.names import SAMPLER_NAMES
from atom_nas.search.samplers import SAMPLERS

ROOT = Path(__file__).parents[1]

COMMAND = """
import sys
from atom_nas.cli import main
status = 0
try:
    main(sys.argv[1:])
except SystemExit as end:
    status = end.code
heavy = {"torch", "torchvision", "optuna", "scipy", "sklearn", "matplotlib"}
sys.exit(f"imported: {heavy & set(sys.modules)}" if heavy & set(sys.modules) else status)
"""


def run(code, *args):
    """Run `code` in a fresh interpreter; return its status, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "args",
    [["--help"], ["list"], *([name, "--help"] for name in ("run", "distill", "audit", "report"))],
    ids=" ".join,
)
def test_what_is_only_shown_imports_no_torch(args):
    status, out, err = run(COMMAND, *args)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) > 5


@pytest.mark.parametrize(
    ("args", "culprit"),
    [
        (["run", "--sampler", "nope"], "unknown sampler 'nope'"),
        (["run", "--objective", "nope"], "unknown objective 'nope'"),
        (["audit", "--against", "nope"], "unknown set of rivals 'nope'"),
        (["distill", "--recipe", "nope"], "unknown recipe 'nope'"),
        (["run", "--proxy", "nonsense"], "'nonsense' is not <method>_ipc"),
        (["search", "--proxy", "atmo_ipc5"], "Did you mean 'atom'"),
        (["run", "--trials", "0"], "--trials is 0"),
        (["run", "--nope", "3"], "unknown option '--nope'"),
        (["nope"], "unknown command 'nope'"),
        (["report", "--out", "no/such/folder"], "is not a run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_in_options_import_no_torch(args, culprit):
    status, out, err = run(COMMAND, *args)
    assert (status, out) == (2, "")
    assert culprit in err and len(err.splitlines()) == 1


def test_the_names_that_options_know_are_those_there_are():
    assert tuple(SAMPLERS) == SAMPLER_NAMES
    assert tuple(RECIPES) == RECIPE_NAMES


ELSEWHERE = """
import sys
for name in ("resource", "fcntl", "termios", "pwd", "grp"):  # as on Windows
    sys.modules[name] = None
import importlib, pkgutil, atom_nas, search_spaces
for package in (atom_nas, search_spaces):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            print(module.name)
import torch
from atom_nas.training.devices import peak_memory
assert peak_memory(torch.device("cpu")) == 0
"""


def test_every_module_imports_where_posix_modules_lack():
    status, out, err = run(ELSEWHERE)
    assert status == 0, err
    imported = set(out.split())
    modules = {
        path.with_suffix("").relative_to(ROOT).as_posix().replace("/", ".")
        for package in ("atom_nas", "search_spaces")
        for path in (ROOT / package).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    assert modules <= imported


@pytest.mark.parametrize("workers", ["auto", "3"])
def test_where_no_worker_can_start_one_process_trains_and_a_line_says_so(
    workers, capsys, monkeypatch
):
    monkeypatch.setattr("atom_nas.scoring.trainer.CAN_START", False)
    monkeypatch.setattr("atom_nas.scoring.trainer.num_cores", lambda: 2)
    assert Trainer(make_dataset().normalization, CPU, workers=workers).num_workers == 1
    said = "candidates are trained in one process: workers need Linux or macOS.\n"
    assert capsys.readouterr().err == said
