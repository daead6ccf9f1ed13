"""Frozen dataclasses as JSON and back, every value checked against its type."""

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from atom_nas.errors import UserError

Record = TypeVar("Record")


def to_json(record: Any) -> str:
    """Return a dataclass of dataclasses, tuples, mappings and plain values as indented JSON."""
    return json.dumps(asdict(record), indent=2, allow_nan=False) + "\n"


def from_json(kind: type[Record], text: str, source: str) -> Record:
    """Return the `kind` that `to_json` wrote; UserError, with the key, where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source} is not JSON ({error}); make it again.") from error
    if isinstance(found, dict):
        found.pop("checksum", None)  # of the file, where it is one of a run folder
    record: Record = _read(kind, found, source, "")
    return record


def _read(kind: Any, value: Any, source: str, key: str) -> Any:
    """Return `value` as `kind`; UserError naming its place `key`, as in a.b[2], where it is not."""
    origin, options = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        (kind,) = (option for option in options if option is not type(None))
        return _read(kind, value, source, key)
    if is_dataclass(kind) and isinstance(value, dict):
        return _read_dataclass(kind, value, source, key)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(options[0], each, source, f"{key}[{i}]") for i, each in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {
            name: _read(options[1], each, source, f"{key}.{name}") for name, each in value.items()
        }
    if origin is Literal and value in options:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise UserError(f"{source} has {_short(value)} at {key or 'its top'}; make it again.")


def _read_dataclass(kind: Any, value: Mapping[str, Any], source: str, key: str) -> Any:
    hints = get_type_hints(kind)
    dot = f"{key}." if key else ""
    if strange := [name for name in value if name not in hints]:
        raise UserError(f"{source} has the unknown key {dot}{strange[0]}; make it again.")
    for field in fields(kind):
        if field.name not in value and field.default is MISSING:
            raise UserError(f"{source} lacks {dot}{field.name}; make it again.")
    return kind(
        **{name: _read(hints[name], each, source, dot + name) for name, each in value.items()}
    )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:30]}..."
