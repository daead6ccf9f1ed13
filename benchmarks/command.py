"""The command line of a benchmark: its options, its usage, and errors in one line."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from atom_nas.errors import UserError
from atom_nas.parsing import parse_options

Kind = TypeVar("Kind")


def run(main: Callable[[Kind], None], kind: type[Kind], file: str, about: str | None) -> None:
    """Call `main` with the options of `kind` that were given to the benchmark in `file`."""
    usage = f"python benchmarks/{Path(file).name}"
    try:
        main(kind(**parse_options(kind, sys.argv[1:], usage=usage, about=about)))
    except UserError as error:
        sys.exit(f"error: {error}")
