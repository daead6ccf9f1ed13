"""What an architecture may be: a frozen dataclass of plain values, which JSON gives back alike."""

import inspect
import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from textwrap import shorten
from typing import Any, get_args, get_type_hints

from atom_nas.errors import UserError

PLAIN = "str, int, finite float, bool, None, and tuples of these"


def flaw(kind: Any) -> str:
    """Say what keeps the class `kind` from being the `Architecture` of a space, or nothing."""
    if not (isinstance(kind, type) and is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        return "Architecture is no frozen dataclass; decorate it with @dataclass(frozen=True)"
    names = {field.name for field in fields(kind)}
    if differing := sorted(names ^ set(inspect.signature(kind).parameters)):
        return (
            f"the fields of Architecture and what it is made from differ in {', '.join(differing)};"
            " let __init__ take every field and nothing else (no init=False, no InitVar)"
        )
    for name, hint in _hints(kind).items():
        if name in names and any(map(is_dataclass, _parts(hint))):
            return f"the field {name} of Architecture is a dataclass itself; allowed are {PLAIN}"
    return ""


def plain_fields(architecture: Any) -> dict[str, Any]:
    """Return the values of the dataclass `architecture` by field.

    Raises UserError for a value that JSON would not give back alike.
    """
    values = {field.name: getattr(architecture, field.name) for field in fields(architecture)}
    for name, value in values.items():
        if not _is_plain(value):
            raise UserError(
                f"{name} of an architecture is {shorten(repr(value), 80)}, "
                f"of type {type(value).__name__}; allowed are {PLAIN}."
            )
    return values


def from_json(text: str) -> dict[str, Any]:
    """Return the fields in the JSON object `text`, its arrays as tuples."""
    return {name: _with_tuples(value) for name, value in json.loads(text).items()}


def _is_plain(value: object) -> bool:
    if type(value) is tuple:
        return all(map(_is_plain, value))
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is str:  # halves of a surrogate pair would come back joined
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return value is None or type(value) in (int, bool)


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _hints(kind: type) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except Exception:  # hints are only looked at; the values are checked when they are named
        return {}


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)
