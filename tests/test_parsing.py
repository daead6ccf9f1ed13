"""Options of a dataclass from arguments and TOML: every type, what is refused, and the help."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from atom_nas.errors import UserError
from atom_nas.parsing import parse_options, parse_settings, read_config


@dataclass(frozen=True, kw_only=True)
class Base:
    method: str = "atom"
    """How it is
    done."""


@dataclass(frozen=True, kw_only=True)
class Choice(Base):
    audit_size: int = field(default=0, metadata={"aliases": ("n",)})
    """How many."""
    width: float | None = None
    out: Path | None = None
    """Where to."""
    ipc: tuple[int, ...] = (1, 10)
    """Images."""
    fast: bool = False


def parse(*args):
    return parse_options(Choice, args, usage="try", about="Try it.")


def write(tmp_path, text):
    file = tmp_path / "c.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ("", {}),
        ("--method dm --audit-size 3", {"method": "dm", "audit_size": 3}),
        ("--n=3 --method=a=b", {"method": "a=b", "audit_size": 3}),
        ("--n 3 --audit_size -1", {"audit_size": -1}),
        ("--width 1e-2 --out there", {"width": 0.01, "out": Path("there")}),
        ("--ipc 1 2 3 --fast --n 4", {"ipc": (1, 2, 3), "fast": True, "audit_size": 4}),
        ("--ipc=5", {"ipc": (5,)}),
    ],
)
def test_arguments_of_every_type(args, found):
    assert parse(*args.split()) == found


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--metod dm", "unknown option '--metod'. Did you mean '--method'?"),
        ("--nn=3", "unknown option '--nn'. Did you mean '--n'?"),
        ("--confg c", "Did you mean '--config'?"),
        ("dm", "unknown option 'dm'. Known: --audit-size, --config,"),
        ("--fast dm", "unknown option 'dm'"),
        ("--n many", "--n is 'many'; give a whole number."),
        ("--n 1.5", "--n is '1.5'; give a whole number."),
        ("--width nan", "--width is 'nan'; give a finite number."),
        ("--ipc 1 x", "--ipc is 'x'; give a whole number."),
        ("--fast=maybe", "--fast is 'maybe'; give true or false."),
        ("--n", "--n lacks its value; give a whole number."),
        ("--out --n 3", "--out lacks its value; give a path."),
        ("--config", "--config lacks its value; give a path."),
    ],
)
def test_bad_arguments_are_said_in_one_line(args, message):
    with pytest.raises(UserError) as caught:
        parse(*args.split())
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_help_says_what_every_option_means(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    with pytest.raises(SystemExit) as caught:
        parse("--n", "3", "--help")
    assert caught.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "usage: try [--option VALUE ...]",
        "",
        "Try it.",
        "",
        "  --method TEXT           How it is done. [atom]",
        "  --audit-size, --n INT   How many. [0]",
        "  --width NUMBER",
        "  --out PATH              Where to.",
        "  --ipc INT ...           Images. [1 10]",
        "  --fast",
        "  --config PATH           A TOML file of these",
        "                          options.",
    ]


def test_arguments_come_before_the_config(tmp_path):
    file = write(tmp_path, 'audit-size = 3\nmethod = "dm"')
    assert parse("--n", "4", "--config", str(file)) == {"audit_size": 4, "method": "dm"}


def test_a_config_sets_options_of_every_type(tmp_path):
    text = 'method = "dm"\naudit_size = 31\nwidth = 1\nout = "o"\nipc = [1, 2]\nfast = true'
    assert read_config(write(tmp_path, text), Choice) == {
        "method": "dm",
        "audit_size": 31,
        "width": 1.0,
        "out": Path("o"),
        "ipc": (1, 2),
        "fast": True,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metod = 3", r"'metod'.*Did you mean 'method'"),
        ("config = 'c'", r"'config'"),
        ("audit_size = '3'", r"audit_size in .*c\.toml is '3'; give a whole number"),
        ("audit-size = true", r"audit-size in .* is True; give a whole number"),
        ("audit_size = 3.0", r"audit_size in .* is 3\.0; give a whole number"),
        ("method = 3.5", r"method in .* is 3\.5; give a text"),
        ("out = 3", r"out in .* is 3; give a path"),
        ("width = 'many'", r"width in .* is 'many'; give a finite number"),
        ("ipc = [1, 'x']", r"ipc in .* is \[1, 'x'\]; give a whole number"),
        ("n = ", r"c\.toml is not TOML"),
        ("[search]\nn = 3", r"'search'"),
        ("n = " + "[" * 10_000, r"c\.toml is not TOML"),
    ],
)
def test_a_bad_config_is_said_in_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        read_config(write(tmp_path, text), Choice)
    assert "\n" not in str(caught.value)


def test_a_text_that_is_a_number_needs_no_quotes(tmp_path):
    assert read_config(write(tmp_path, "method = 3"), Choice) == {"method": "3"}


def test_a_path_may_begin_with_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "c.toml").write_text('out = "~/b"')
    given = ["--out=~/a"], ["--config", "~/c.toml"], ["--out", "~nobody-is-called-so/a"]
    found = [parse_options(Choice, args, usage="", about="")["out"] for args in given]
    assert found == [tmp_path / "a", tmp_path / "b", Path("~nobody-is-called-so/a")]


def test_a_config_knows_an_option_by_each_of_its_names_and_once(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("n = 5")
    assert read_config(path, Choice) == {"audit_size": 5}
    path.write_text("audit-size = 4\naudit_size = 5")
    with pytest.raises(UserError, match="audit_size is given twice in"):
        read_config(path, Choice)


def test_configs_that_cannot_be_read(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not TOML"):
        read_config(tmp_path / "c.toml", Choice)
    with pytest.raises(UserError, match=r"none\.toml cannot be read: No such file"):
        read_config(tmp_path / "none.toml", Choice)


@dataclass(frozen=True, kw_only=True)
class Placed:
    model: Path = field(metadata={"positional": "MODEL"})
    """What is asked."""
    pictures: tuple[Path, ...] = field(metadata={"positional": "PICTURE"})
    """What it is asked about."""
    dataset: str
    """What it learnt from."""
    top: int = 3
    """How many."""


def parse_placed(*args):
    return parse_options(Placed, args, usage="try", about="Try it.")


PLACED = {"model": Path("m"), "pictures": (Path("a=1"), Path("b")), "dataset": "d"}


@pytest.mark.parametrize(
    "args",
    ["m a=1 b --dataset d", "--dataset d m a=1 b", "m --dataset d a=1 b", "m --dataset=d a=1 b"],
)
def test_words_that_follow_no_option_go_to_their_places(args):
    assert parse_placed(*args.split()) == PLACED


def test_what_has_a_place_or_is_needed_may_stand_in_a_config(tmp_path):
    file = write(tmp_path, 'model = "n"\npictures = ["a=1", "b"]\ndataset = "d"')
    assert parse_placed("m", "--config", str(file)) == PLACED


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("", "MODEL is missing; give a path."),
        ("--dataset d m", "PICTURE is missing; give a path."),
        ("m a", "--dataset is missing; give a text."),
        ("m a --dataset d b", "unknown option 'b'. Known: --config, --dataset, --top."),
        ("m -x --dataset d", "unknown option '-x'. Known: --config,"),
        ("m a --model n --dataset d", "unknown option '--model'"),
    ],
)
def test_what_is_missing_or_has_no_place(args, message):
    with pytest.raises(UserError) as caught:
        parse_placed(*args.split())
    assert str(caught.value).startswith(message)


def test_the_help_begins_with_what_is_needed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse_placed("--help")
    assert capsys.readouterr().out.splitlines() == [
        "usage: try MODEL PICTURE ... --dataset TEXT [--option VALUE ...]",
        "",
        "Try it.",
        "",
        "  MODEL                   What is asked.",
        "  PICTURE ...             What it is asked about.",
        "  --dataset TEXT          What it learnt from.",
        "  --top INT               How many. [3]",
        "  --config PATH           A TOML file of these options.",
    ]


def test_settings_are_of_their_types():
    types = {"norm": str, "width": int, "scale": float, "whiten": bool}
    text = "scale=10, norm=batch,width=64,whiten=true"
    found = parse_settings("--adjust", text, types)
    assert found == {"scale": 10.0, "norm": "batch", "width": 64, "whiten": True}
    assert parse_settings("--shrink", "cells=1,,width = 8") == {"cells": 1, "width": 8}
    assert parse_settings("--shrink", "") == {}


@pytest.mark.parametrize(
    ("text", "types", "message"),
    [
        ("widht=3", {"width": int}, "unknown setting in --x 'widht'. Did you mean 'width'"),
        ("width=3", {}, "unknown setting in --x 'width'"),
        ("width=3.5", {"width": int}, "width in --x is '3.5'; give a whole number"),
        ("width", None, "'width' in --x has no value; give width=VALUE"),
        ("width=²", None, "width in --x is '²'; give a whole number"),
    ],
)
def test_bad_settings(text, types, message):
    with pytest.raises(UserError, match=message):
        parse_settings("--x", text, types)
