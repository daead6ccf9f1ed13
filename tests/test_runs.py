"""Files that survive a kill, digests and seeds, and the run folder."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import filelock
import pytest

from atom_nas import storage as runs
from atom_nas.errors import UserError
from atom_nas.storage import (
    Table,
    canonical_json,
    derive_seed,
    digest,
    open_run,
    write_atomically,
    write_json,
)

COLUMNS = ("name", "value")


@dataclass(frozen=True)
class Point:
    x: int
    path: Path


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_canonical_json_ignores_order_and_takes_dataclasses_and_paths():
    assert canonical_json({"b": 1, "a": Point(1, Path("p"))}) == canonical_json(
        {"a": {"path": "p", "x": 1}, "b": 1}
    )


def test_digest_depends_on_every_value():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1, "b": 2}) != digest({"a": 1, "b": 3})
    assert len(digest({})) == 64


def test_derived_seeds_are_stable_for_ever():
    assert derive_seed(0, "audit") == 4_227_291_489
    assert derive_seed(1, "candidate", 7) == 503_723_102


def test_derived_seeds_depend_on_every_part_and_fit_32_bits():
    seeds = {derive_seed(*parts) for parts in [(0,), (1,), (0, 1), (1, 0), (0, "x"), ("01",)]}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_write_atomically_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_write_json_turns_nan_and_infinity_into_null(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": [float("nan"), 1.5], "a": float("inf")})
    assert json.loads(path.read_text()) == {"a": None, "b": [None, 1.5]}


def test_table_grows_by_rows_and_is_read_again(tmp_path):
    path = tmp_path / "t.csv"
    table = Table(path, COLUMNS)
    assert not path.exists()
    table.append({"name": "a, b", "value": 1.5})
    table.append({"value": "", "name": "c"})
    again = Table(path, COLUMNS)
    assert again.rows == table.rows == rows_of(path)
    assert again.rows == [{"name": "a, b", "value": "1.5"}, {"name": "c", "value": ""}]


@pytest.mark.parametrize("torn", ["c,", "c,3", "name-of-a-long-cand", "\x00\x00"])
def test_a_torn_last_line_is_dropped_and_the_next_append_is_whole(tmp_path, torn):
    path = tmp_path / "t.csv"
    Table(path, COLUMNS).append({"name": "a", "value": 1})
    with open(path, "a") as file:
        file.write(torn)
    table = Table(path, COLUMNS)
    assert table.rows == [{"name": "a", "value": "1"}]
    table.append({"name": "b", "value": 2})
    assert rows_of(path) == [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]


def test_a_torn_header_is_written_again(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("name,val")
    table = Table(path, COLUMNS)
    table.append({"name": "a", "value": 1})
    assert rows_of(path) == [{"name": "a", "value": "1"}]


def test_a_row_must_have_all_columns(tmp_path):
    with pytest.raises(AssertionError):
        Table(tmp_path / "t.csv", COLUMNS).append({"name": "a"})


def test_open_run_makes_the_folder_and_reopens_it(tmp_path):
    folder = tmp_path / "deep" / "run"
    settings = {"a": 1, "path": Path("x"), "pair": (1, 2)}
    for _ in range(2):
        with open_run(folder, settings) as opened:
            assert opened == folder
    assert json.loads((folder / "settings.json").read_text()) == {
        "a": 1,
        "path": "x",
        "pair": [1, 2],
    }


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


def test_a_folder_in_use_is_refused_and_free_again_after(tmp_path):
    code = (
        "import sys; from pathlib import Path; from atom_nas.storage import open_run\n"
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


@pytest.mark.parametrize("name", ["thesis.tex", "settings.json"])
def test_a_refused_folder_is_not_written_to(tmp_path, name):
    (tmp_path / name).write_text('{"seed": 1}')
    before = tmp_path.stat().st_mtime_ns
    with pytest.raises(UserError), open_run(tmp_path, {"seed": 2}):
        pytest.fail("opened")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert tmp_path.stat().st_mtime_ns == before


def test_settings_made_while_the_lock_was_taken_hold(tmp_path, monkeypatch):
    class Late(filelock.FileLock):
        def acquire(self, *args, **kwargs):
            (tmp_path / "settings.json").write_text('{"seed": 1}')
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


def test_drop_torn_line_of_a_file_without_newline_empties_it(tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(b"half")
    runs.drop_torn_line(path)
    assert path.read_bytes() == b""
