"""Errors that a user can mend: one line, shown without a traceback, exit status 2."""

import difflib
import errno
import re
from collections.abc import Iterable
from pathlib import Path
from textwrap import shorten

DISK_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
"""What an OSError says where nothing more can be written."""


class UserError(Exception):
    """What was got, what is allowed, and what to do next, in one line."""


class OutOfReach(BaseException):
    """What the work is kept in cannot be reached; like an interrupt no failure of a candidate."""


class DamagedError(UserError):
    """The file at `path` is not as it was written; `problem` says how, as in "is missing"."""

    def __init__(self, path: Path, problem: str = "is damaged") -> None:
        first = "" if problem == "is missing" else "remove it and "
        super().__init__(f"{path} {problem}; {first}run again the command that made it.")
        self.path, self.problem = path, problem

    @property
    def of_package(self) -> UserError:
        """The same of a file that comes with the package."""
        return UserError(f"{self.path} {self.problem}; install atom_nas again.")


def unknown(kind: str, got: str, allowed: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest one suggested."""
    names = sorted(allowed)
    near = difflib.get_close_matches(got.lower(), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {kind} {got!r}.{hint} Known: {', '.join(names)}.")


def explain(error: BaseException, width: int = 2000) -> str:
    """Return the kind and message of `error` in one line, at most `width` characters."""
    return shorten(f"{type(error).__name__}: {error}", width).removesuffix(":")


def hide_passwords(text: str) -> str:
    """Return `text` with *** for the password of every URL in it."""
    return re.sub(r"(://[^\s:/@]*):\S*@", r"\1:***@", text)


def require_regular(path: Path) -> None:
    """Raise OSError where `path` is there and no regular file: to read a pipe would never end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
