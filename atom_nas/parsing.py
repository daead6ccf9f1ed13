"""Text to values: the options of a dataclass, from arguments and TOML, and settings as in a=1,b=2.

Every field of the dataclass is an option, `--its-name VALUE`, whose help is the docstring below the
field. A tuple takes several values, a bool none. A field with the metadata `positional`, the name
that help and errors call it by, takes words that follow no option; a tuple takes all that are left.
A field without a default must be set.
"""

import ast
import inspect
import math
import shutil
import sys
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from atom_nas.errors import UserError, unknown

_WORDS: Mapping[type, tuple[str, str]] = {
    int: ("INT", "a whole number"),
    float: ("NUMBER", "a finite number"),
    str: ("TEXT", "a text"),
    Path: ("PATH", "a path"),
    bool: ("", "true or false"),
}
"""How help and errors call a value of each type."""


def parse_options(
    kind: type[Any], args: Sequence[str], *, usage: str, about: str | None
) -> dict[str, Any]:
    """Return the fields of the dataclass `kind` that `args` set, over those of --config FILE.toml.

    With --help it prints `usage`, `about` and every option, and ends the process. Raises UserError
    where an option does not exist, lacks its value, cannot have it, or is missing.
    """
    options = [*_options(kind), _CONFIG]
    if "--help" in args or "-h" in args:
        print(_help(options, _meanings(kind), usage, about or ""))
        sys.exit(0)
    by_flag = {flag: option for option in options for flag in option.flags}
    places = [option for option in options if option.place]
    found: dict[str, Any] = {}
    rest = list(args)
    while rest:
        if places and not rest[0].startswith("-"):
            option = places.pop(0)
            values = _take(rest, option.most)
            found[option.name] = option.read(option.place, values)
            continue
        word, is_joined, value = rest.pop(0).partition("=")
        flag = word.replace("_", "-")
        if flag not in by_flag:
            raise unknown("option", word, by_flag)
        option = by_flag[flag]
        found[option.name] = option.read(flag, [value] if is_joined else _take(rest, option.most))
    config = found.pop(_CONFIG.name, None)
    found = {**(read_config(config, kind) if config else {}), **found}
    for option in options:
        if option.is_needed and option.name not in found:
            raise UserError(f"{option.title} is missing; give {_WORDS[option.kind][1]}.")
    return found


def _take(rest: list[str], most: float) -> list[str]:
    """Take from `rest` the values in front, at most so many."""
    values: list[str] = []
    while len(values) < most and rest and rest[0][:2] != "--":
        values.append(rest.pop(0))
    return values


def read_config(path: Path, kind: type[Any]) -> dict[str, Any]:
    """Return the fields of the dataclass `kind` that the TOML file at `path` sets.

    Raises UserError where it is no TOML, names an option that does not exist, or gives one a value
    of another type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"config file {path} cannot be read: {error.strerror}; give the path of a TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"config file {path} is not TOML: {error}.") from error
    options = {option.name: option for option in _options(kind)}
    names = {name: option.name for option in options.values() for name in option.names}
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = names.get(key.replace("-", "_"))
        if name is None:
            raise unknown(f"option in {path}", key, options)
        if name in found:
            raise UserError(f"{name} is given twice in {path}; give it once.")
        found[name] = options[name].accept(f"{key} in {path}", value)
    return found


def parse_settings(
    option: str, text: str, types: Mapping[str, type] | None = None
) -> dict[str, Any]:
    """Return the settings in the `text` of `option`, as in norm=batch,width=64.

    `types` are those of the names that exist; without them every name does, with a whole number.
    Raises UserError where a setting does not exist or cannot have its value.
    """
    found = {}
    for pair in filter(None, text.split(",")):
        name, is_set, value = (part.strip() for part in pair.partition("="))
        if not is_set:
            raise UserError(f"{name!r} in {option} has no value; give {name}=VALUE.")
        if types is not None and name not in types:
            raise unknown(f"setting in {option}", name, types)
        found[name] = _convert(f"{name} in {option}", value, types[name] if types else int)
    return found


def _convert(what: str, text: str, kind: type) -> Any:
    """Return `text` as a value of `kind`; UserError, which calls it `what`, where it is none."""
    try:
        value = {"true": True, "false": False}[text] if kind is bool else _of(kind, text)
        if kind is float and not math.isfinite(value):
            raise ValueError
    except (ValueError, KeyError):
        raise UserError(f"{what} is {text!r}; give {_WORDS[kind][1]}.") from None
    return value


def _of(kind: type, value: object) -> Any:
    """Return `value` as one of `kind`; a path may begin with ~, which is the user's own folder."""
    if kind is not Path:
        return kind(value)
    try:
        return Path(str(value)).expanduser()
    except RuntimeError:  # of a user who does not exist
        return Path(str(value))


@dataclass(frozen=True, kw_only=True)
class _Option:
    """A field as an option."""

    name: str
    flags: tuple[str, ...]
    kind: type
    """Of its value, or of each of its values."""
    is_tuple: bool = False
    default: object = None
    place: str = ""
    """What it is called where it is given by its place, behind no flag."""
    is_needed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called in a TOML file."""
        return self.name, *(flag[2:].replace("-", "_") for flag in self.flags)

    @property
    def title(self) -> str:
        """What help and errors call it."""
        return self.place or ", ".join(self.flags)

    @property
    def written(self) -> str:
        """How it is written on a command line, as in --width NUMBER or PICTURE ..."""
        value = "" if self.place else f" {_WORDS[self.kind][0]}"
        return self.title + value + " ..." * self.is_tuple

    @property
    def most(self) -> float:
        """How many values it takes at most."""
        return 0 if self.kind is bool else math.inf if self.is_tuple else 1

    def read(self, flag: str, values: Sequence[str]) -> Any:
        """Return the value that the words `values` behind `flag` stand for."""
        if self.kind is bool and not values:
            return True
        if not values:
            raise UserError(f"{flag} lacks its value; give {_WORDS[self.kind][1]}.")
        found = tuple(_convert(flag, value, self.kind) for value in values)
        return found if self.is_tuple else found[0]

    def accept(self, what: str, value: Any) -> Any:
        """Return the TOML `value` as the field's; UserError, which calls it `what`, if none."""
        values = value if self.is_tuple and isinstance(value, list) else [value]
        kinds = {Path: (str,), float: (int, float), str: (str, int)}  # workers = 4, or "auto"
        accepted = kinds.get(self.kind, (self.kind,))
        if any(type(each) not in accepted for each in values):
            raise UserError(f"{what} is {value!r}; give {_WORDS[self.kind][1]}.")
        found = tuple(_of(self.kind, each) for each in values)
        return found if self.is_tuple else found[0]


_CONFIG = _Option(name="config", flags=("--config",), kind=Path)


def _options(kind: type[Any]) -> list[_Option]:
    """Return an option for each field of the dataclass `kind`."""
    types, options = get_type_hints(kind), []
    for field in fields(kind):
        hint = types[field.name]
        names = (field.name, *field.metadata.get("aliases", ()))
        place, is_needed = field.metadata.get("positional", ""), field.default is MISSING
        flags = () if place else tuple(f"--{name.replace('_', '-')}" for name in names)
        options.append(
            _Option(
                name=field.name,
                flags=flags,
                kind=get_args(hint)[0] if get_args(hint) else hint,
                is_tuple=get_origin(hint) is tuple,
                default=None if is_needed else field.default,
                place=place,
                is_needed=is_needed,
            )
        )
    return options


def _meanings(kind: type[Any]) -> dict[str, str]:
    """Return what each option means: the docstrings below the fields in the source of `kind`."""
    meanings = {_CONFIG.name: "A TOML file of these options."}
    for base in kind.__mro__[-2::-1]:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for pair in pairwise(definition.body):
            match pair:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    meanings[name] = " ".join(text.split())
    return meanings


def _help(options: Sequence[_Option], meanings: Mapping[str, str], usage: str, about: str) -> str:
    """Return what --help prints, as wide as the terminal, at most 100 characters."""
    width, column = min(100, shutil.get_terminal_size().columns), 26
    needed = [each.written for each in options if each.place or each.is_needed]
    usage = " ".join([usage, *needed])
    lines = [f"usage: {usage} [--option VALUE ...]", "", about.strip(), ""]
    for option in options:
        head = "  " + option.written.ljust(column - 2)
        defaults = option.default if isinstance(option.default, tuple) else (option.default,)
        shown = " ".join(str(each) for each in defaults if each is not None and each is not False)
        text = meanings.get(option.name, "") + (f" [{shown}]" if shown else "")
        if not (text and head.endswith(" ")):
            lines.append(head.rstrip())
            head = " " * column
        lines += textwrap.wrap(
            text,
            width,
            initial_indent=head,
            subsequent_indent=" " * column,
            break_on_hyphens=False,
        )
    return "\n".join(lines)
