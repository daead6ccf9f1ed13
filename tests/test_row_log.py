"""Tables that grow by rows: what is torn or damaged goes, and is named."""

import pytest

from atom_nas.errors import DamagedError, UserError
from atom_nas.storage.files import read_csv
from atom_nas.storage.row_log import RowLog

COLUMNS = ("name", "value")
ROWS = [{"name": name, "value": str(index)} for index, name in enumerate("abcd")]


@pytest.fixture
def path(tmp_path):
    """A table of `ROWS`."""
    log = RowLog(tmp_path / "t.csv", COLUMNS)
    for row in ROWS:
        log.append(row)
    return log.path


def test_it_grows_by_rows_and_is_read_again(tmp_path):
    path = tmp_path / "t.csv"
    log = RowLog(path, COLUMNS)
    assert not path.exists()
    log.append({"name": "a, b", "value": 1.5})
    log.append({"value": None, "name": "c"})
    again = RowLog(path, COLUMNS)
    assert again.rows == log.rows == read_csv(path)
    assert again.rows == [{"name": "a, b", "value": "1.5"}, {"name": "c", "value": ""}]


@pytest.mark.parametrize("torn", [b"c,", b"c,3", b"name-of-a-long-cand", b"\x00\x00", b"\xff"])
def test_a_torn_last_line_is_dropped_and_the_next_append_is_whole(path, capsys, torn):
    with open(path, "ab") as file:
        file.write(torn)
    log = RowLog(path, COLUMNS)
    assert log.rows == ROWS
    log.append({"name": "e", "value": 4})
    assert read_csv(path) == [*ROWS, {"name": "e", "value": "4"}]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("torn", [b"", b"name,val"])
def test_a_torn_header_is_written_again(tmp_path, torn):
    path = tmp_path / "t.csv"
    path.write_bytes(torn)
    log = RowLog(path, COLUMNS)
    log.append(ROWS[0])
    assert read_csv(path) == [ROWS[0]]


@pytest.mark.parametrize(
    "line",
    [
        b"b,9,00000000",
        b"b,1",
        b"b,1,2,3",
        b"",
        b"\xff\xfe",
        b"b\x00,1,1",
        b'b,"1',
        b"x" * 200_000,
    ],
    ids=lambda line: line[:12],
)
def test_damaged_rows_are_named_and_removed(path, capsys, line):
    lines = path.read_bytes().splitlines()
    lines[2] = lines[4] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    log = RowLog(path, COLUMNS)
    assert log.rows == [ROWS[0], ROWS[2]] == read_csv(path)
    assert capsys.readouterr().err == f"{path} is damaged in lines 3, 5: it is made again.\n"
    assert RowLog(path, COLUMNS).rows == log.rows
    assert capsys.readouterr().err == ""


def test_no_flipped_bit_changes_a_row(path, capsys):
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        rows = RowLog(path, COLUMNS).rows
        assert [row for row in ROWS if row in rows] == rows
        assert len(rows) >= len(ROWS) - 2
        assert read_csv(path) == rows


@pytest.mark.parametrize("header", [b"name,valu!,checksum", b"", b"\xff"])
def test_a_broken_header_loses_no_row(path, capsys, header):
    path.write_bytes(b"\n".join([header, *path.read_bytes().split(b"\n")[1:]]))
    assert RowLog(path, COLUMNS).rows == ROWS == read_csv(path)
    assert capsys.readouterr().err == f"{path} is damaged in line 1: it is made again.\n"


def test_another_table_is_left_alone(path):
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"t\.csv is no table of name, other"):
        RowLog(path, ("name", "other"))
    assert path.read_bytes() == before
    path.unlink()
    path.mkdir()
    with pytest.raises(DamagedError, match=r"t\.csv is no file"):
        RowLog(path, COLUMNS)


def test_a_key_has_one_row(path, capsys):
    """A kill between the rows of a candidate must not let the same command repeat some."""
    with open(path, "ab") as file:
        file.write(path.read_bytes().splitlines(keepends=True)[2])
    log = RowLog(path, COLUMNS, key=("name",))
    assert log.rows == ROWS
    assert "in line 6" in capsys.readouterr().err
    with pytest.raises(AssertionError):
        log.append({"name": "a", "value": 7})
    assert read_csv(path) == ROWS


def test_a_row_must_have_all_columns(path):
    with pytest.raises(AssertionError):
        RowLog(path, COLUMNS).append({"name": "e"})
