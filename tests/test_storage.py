"""Files that survive a kill and prove that they are whole; digests and seeds."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from atom_nas.errors import DamagedError
from atom_nas.storage.files import (
    canonical_json,
    derive_seed,
    digest,
    drop_torn_line,
    read_csv,
    read_json,
    write_atomically,
    write_csv,
    write_json,
    write_plain_json,
)


@dataclass(frozen=True)
class Point:
    x: int
    path: Path


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
    assert read_json(path) == {"a": None, "b": [None, 1.5]}
    write_plain_json(path, [float("nan")])
    assert json.loads(path.read_text()) == [None]


def flipped(data):
    """Yield `data` with one bit flipped, a bit of every byte."""
    for bit in range(0, 8 * len(data), 7):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def test_no_flipped_bit_of_a_json_file_is_read(tmp_path):
    path, value = tmp_path / "a.json", {"seed": 1, "name": "\N{SNOWMAN}", "rate": 0.1}
    write_json(path, value)
    for data in flipped(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(DamagedError, match=r"a\.json is damaged"):
            read_json(path)


def test_no_flipped_bit_of_a_table_is_read(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ["name", "value"], [("a, b", 1.5), ("c", None)])
    assert read_csv(path) == [{"name": "a, b", "value": "1.5"}, {"name": "c", "value": ""}]
    for data in flipped(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(DamagedError, match=r"a\.csv is damaged"):
            read_csv(path)


def test_a_table_keeps_any_text(tmp_path):
    cells = ["\x00", '"', "a\u2028b", "\x1c", "x" * 100_000, "two\nlines", "\udcff"]
    write_csv(tmp_path / "a.csv", ["text"], [[cell] for cell in cells])
    found = [row["text"] for row in read_csv(tmp_path / "a.csv")]
    assert found == [*cells[:5], "two lines", "\\udcff"]


def test_missing_files_and_folders_are_told_from_damaged_ones(tmp_path):
    with pytest.raises(DamagedError, match="is missing; run again"):
        read_json(tmp_path / "none.json")
    with pytest.raises(DamagedError, match="is no file; remove it"):
        read_json(tmp_path)


def test_drop_torn_line_of_a_file_without_newline_empties_it(tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(b"half")
    drop_torn_line(path)
    assert path.read_bytes() == b""
