"""Names stay in the run folder, whoever gave them: of candidates, proxies, files, links."""

import json
import re
from dataclasses import make_dataclass

import numpy as np
import pytest
from tiny_run import error_of, run_args, save_data, save_space

from atom_nas.cli import main
from atom_nas.distillation.names import parse_name
from atom_nas.errors import DamagedError, UserError
from atom_nas.options import Options
from atom_nas.scoring.space import candidate_name
from atom_nas.search.journal import STUDY_NAME
from atom_nas.storage.files import check_files, file_digest, read_json, write_atomically, write_json
from atom_nas.storage.run_folder import open_run

HOSTILE = [
    "../../up",
    "/etc/passwd",
    "..",
    ".",
    "a/b",
    "a\\b",
    "C:x",
    "a\0b",
    "-rf",
    "~",
    "$(x)",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_candidate_is_called_by_harmless_letters(text):
    made = make_dataclass("Architecture", ["value"], frozen=True)(text)
    assert re.fullmatch("[a-z0-9_][a-z0-9_-]{0,99}", candidate_name(made))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_proxy_is_of_a_known_method(text):
    with pytest.raises(UserError):
        parse_name(f"{text}_ipc5")


def test_a_study_has_one_name():
    assert STUDY_NAME == "search"


@pytest.mark.parametrize("dataset", ["../..", "/data/..", "a/../b.npz"])
def test_a_run_folder_lies_under_runs(dataset):
    folder = Options(dataset=dataset, space="x/../../my.py").folder
    assert folder.parent.name == "runs" and folder.name not in ("..", ".")


def test_a_file_that_a_digest_names_outside_is_not_read(tmp_path):
    (tmp_path / "outside").write_text("x")
    inside = tmp_path / "folder"
    inside.mkdir()
    for name in ("../outside", str(tmp_path / "outside")):
        with pytest.raises(DamagedError):
            check_files(inside, {name: file_digest(tmp_path / "outside")})


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "outside").write_text("kept")
    for name in ("file", ".file.partial"):
        (tmp_path / name).symlink_to(tmp_path / "outside")
    write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "outside").read_text() == "kept"
    assert (tmp_path / "file").read_text() == "new"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("name", ["log.txt", ".lock", "scores.csv", "export", "figures/x.png"])
def test_a_link_out_of_the_run_folder_is_refused(tmp_path, name):
    run, outside = tmp_path / "run", tmp_path / "outside"
    with open_run(run, {"seed": 0}):
        pass
    outside.write_text("kept")
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside)
    with (
        pytest.raises(UserError, match="is a link out of the run folder"),
        open_run(run, {"seed": 0}),
    ):
        pytest.fail("opened")
    assert outside.read_text() == "kept"


def test_links_to_the_run_folder_and_within_it_are_fine(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with open_run(tmp_path / "run", {"seed": 0}) as run:
        (run / "best").symlink_to("settings.json")
    with open_run(tmp_path / "run", {"seed": 0}):
        pass


def test_a_run_from_elsewhere_does_not_run_its_own_code(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    trap = "from pathlib import Path\nPath(__file__).with_name('called').touch()\n"
    (run / "evil.py").write_text(trap)
    options = json.loads(json.dumps(Options().__dict__, default=str))
    for key, value in (("space", "evil.py"), ("dataset", "evil.py"), ("proxy", "evil.py_ipc5")):
        named = {**options, key: f"{run}/{value}"}
        write_json(run / "options.json", named)
        assert "which is not run" in error_of(capsys, ["report", "--out", run])
    assert not (run / "called").exists()


def test_classes_named_to_break_out_end_as_names(tmp_path, capsys):
    """A whole run of a folder whose classes are named with all that is special."""
    data = save_data(tmp_path)
    with np.load(data) as file:
        arrays = dict(file)
    names = np.array(["../../up", "=1+1", "<img src=x onerror=alert(1)>"])
    np.savez(data, **arrays, class_names=names)
    before = {path.name for path in tmp_path.iterdir()} | {"run", "six.py"}
    main(run_args(data, save_space(tmp_path), tmp_path / "run", "--workers", "1"))
    assert {path.name for path in tmp_path.iterdir()} == before
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "<img src=x" not in page
    (export,) = (tmp_path / "run" / "export").iterdir()
    kept = json.loads((export / "preprocessing.json").read_text())["class_names"]
    assert kept == names.tolist()
    assert read_json(next((tmp_path / "run" / "proxies").glob("atom*/manifest.json")))
