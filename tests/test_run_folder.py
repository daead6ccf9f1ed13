"""The run folder: one process in it, with the settings that it was made with."""

import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from atom_nas.errors import UserError
from atom_nas.storage.files import read_json, write_json
from atom_nas.storage.run_folder import open_run


def test_open_run_makes_the_folder_and_reopens_it(tmp_path):
    folder = tmp_path / "deep" / "run"
    settings = {"a": 1, "path": Path("x"), "pair": (1, 2)}
    for _ in range(2):
        with open_run(folder, settings) as opened:
            assert opened == folder
    assert read_json(folder / "settings.json") == {"a": 1, "path": "x", "pair": [1, 2]}


def test_other_settings_are_named_with_both_values(tmp_path):
    with open_run(tmp_path / "run", {"seed": 1, "space": "convnet", "same": 3}):
        pass
    with (
        pytest.raises(UserError, match=r"seed 1 \(now 2\), space convnet \(now mobile\)") as caught,
        open_run(tmp_path / "run", {"seed": 2, "space": "mobile", "same": 3}),
    ):
        pytest.fail("opened")
    assert "same" not in str(caught.value)
    assert "--out" in str(caught.value)
    with open_run(tmp_path / "run", {"seed": 1, "space": "convnet", "same": 3}):
        pass


def test_settings_within_settings_are_named_each(tmp_path):
    recipe = {"steps": 2, "width": 8, "norm": "batch"}
    with open_run(tmp_path, {"recipe": recipe}):
        pass
    with (
        pytest.raises(UserError, match=r"made with steps 2 \(now 3\), width 8 \(now 4\);"),
        open_run(tmp_path, {"recipe": {**recipe, "steps": 3, "width": 4}}),
    ):
        pass
    with (
        pytest.raises(UserError, match=r"made with recipe .* \(now not given\);"),
        open_run(tmp_path, {}),
    ):
        pass


def test_a_folder_in_use_is_refused_and_free_again_after(tmp_path):
    code = (
        "import sys; from pathlib import Path; from atom_nas.storage.run_folder import open_run\n"
        "with open_run(Path(sys.argv[1]), {}): pass"
    )
    other = [sys.executable, "-c", code, str(tmp_path)]
    with open_run(tmp_path, {}):
        refused = subprocess.run(other, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "another process works in" in refused.stderr
    subprocess.run(other, check=True)


def test_an_error_inside_frees_the_folder(tmp_path):
    with pytest.raises(KeyError), open_run(tmp_path, {}):
        raise KeyError
    with open_run(tmp_path, {}):
        pass


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/atom_nas"])
def test_a_folder_that_cannot_be_is_a_user_error(tmp_path, place):
    file = tmp_path / "file"
    file.write_text("mine")
    folder = {"file": file, "below a file": file / "run"}.get(place, Path(place))
    with pytest.raises(UserError, match="cannot write to") as caught, open_run(folder, {}):
        pytest.fail("opened")
    assert str(folder) in str(caught.value)
    assert file.read_text() == "mine"


def test_a_folder_of_foreign_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.tex"), open_run(tmp_path, {}):
        pytest.fail("opened")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_no_option_sets_is_named_by_what_it_is(tmp_path):
    made_with = {"seed": 0, "steps": None, "test_digest": "ab", "space_digest": "cd"}
    with open_run(tmp_path, made_with):
        pass
    changed = {"seed": 0, "steps": 9, "test_digest": "abc", "space_digest": "cde"}
    with pytest.raises(UserError) as caught, open_run(tmp_path, changed):
        pass
    words = "with other code of the search space, steps not given (now 9), other test images;"
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["thesis.tex", "settings.json"])
def test_a_refused_folder_is_not_written_to(tmp_path, name):
    write_json(tmp_path / name, {"seed": 1})
    before = tmp_path.stat().st_mtime_ns
    with pytest.raises(UserError), open_run(tmp_path, {"seed": 2}):
        pytest.fail("opened")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert tmp_path.stat().st_mtime_ns == before


def test_settings_made_while_the_lock_was_taken_hold(tmp_path, monkeypatch):
    class Late(filelock.FileLock):
        def acquire(self, *args, **kwargs):
            write_json(tmp_path / "settings.json", {"seed": 1})
            return super().acquire(*args, **kwargs)

    monkeypatch.setattr("filelock.FileLock", Late)
    with pytest.raises(UserError, match=r"seed 1 \(now 2\)"), open_run(tmp_path, {"seed": 2}):
        pytest.fail("opened")
    with open_run(tmp_path, {"seed": 1}):
        pass


@pytest.mark.parametrize("number", [28, 122])
def test_a_full_disk_is_a_user_error(tmp_path, number):
    with pytest.raises(UserError, match="finished work is kept"), open_run(tmp_path, {}):
        raise OSError(number, os.strerror(number))


def test_other_operating_system_errors_are_not_hidden(tmp_path):
    with pytest.raises(FileNotFoundError), open_run(tmp_path, {}):
        raise FileNotFoundError(2, "a bug")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"{}",
        b'{"a": 1}',
        b"\xff",
        b"[" * 10_000,
        "pipe",
        "folder",
    ],
)
def test_settings_that_cannot_be_read_are_a_user_error(tmp_path, content):
    path = tmp_path / "settings.json"
    if content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="use another --out") as caught, open_run(tmp_path, {}):
        pytest.fail("opened")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
