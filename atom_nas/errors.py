"""Errors that a user can mend: one line, shown without a traceback, exit status 2."""

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """What was got, what is allowed, and what to do next, in one line."""


def unknown(kind: str, got: str, allowed: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest one suggested."""
    names = sorted(allowed)
    near = difflib.get_close_matches(got.lower(), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {kind} {got!r}.{hint} Known: {', '.join(names)}.")


def explain(error: BaseException) -> str:
    """Return the kind and message of `error` in one line, as a table keeps it."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def require_regular(path: Path) -> None:
    """Raise OSError where `path` is there and no regular file: to read a pipe would never end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
