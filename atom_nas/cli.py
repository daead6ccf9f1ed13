"""The command line: `atom-nas run`, and its stages one by one."""

import argparse
import io
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, redirect_stderr
from dataclasses import fields, replace
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import TypeVar

import optuna
import tyro

from atom_nas import plugins
from atom_nas.data.sources import open_dataset
from atom_nas.defaults import condensation
from atom_nas.distillation.condense import condense
from atom_nas.errors import UserError, unknown
from atom_nas.options import DistillOptions, Options, read_config
from atom_nas.pipeline import Pipeline, open_pipeline
from atom_nas.run_folder import open_run
from atom_nas.training.devices import resolve_device

Kind = TypeVar("Kind", bound=DistillOptions)


def run(args: Sequence[str]) -> None:
    """Condense, search, confirm, export and report."""
    with open_pipeline(_parse("run", Options, args)) as pipeline:
        candidates = pipeline.search()
        figures = pipeline.audit()
        folders = pipeline.export(candidates)
        page = pipeline.report()
    print("\n".join(figures.sentences))
    for folder in folders:
        print(f"exported: {folder}")
    print(f"report: {page}")


def distill(args: Sequence[str]) -> None:
    """Condense a data set to a few images a class."""
    options = _parse("distill", DistillOptions, args)
    device = resolve_device(options.device)
    dataset = open_dataset(options.dataset, options.data_dir, seed=options.seed)
    job = condensation(options, dataset, device)
    folder = options.out or job.folder(Path("proxies"))
    with open_run(folder, job.identity):
        proxy = condense(job, folder, device)
    print(f"{proxy.name}: {len(proxy.images)} images, {proxy.seconds:.0f} s, in {folder}")


def search(args: Sequence[str]) -> None:
    """Condense, and search on the proxy."""
    with open_pipeline(_parse("search", Options, args)) as pipeline:
        candidates = pipeline.search()
        for best in pipeline.best(candidates):
            print(f"{best.accuracy:.1%} on the validation split: {best.name}")
        print(f"candidates: {pipeline.folder / 'candidates.csv'}")


def audit(args: Sequence[str]) -> None:
    """Judge the proxy by full-data accuracies, without a search or after one."""
    with open_pipeline(_parse("audit", Options, args)) as pipeline:
        figures = pipeline.audit()
        print("\n".join(figures.sentences))
        print(f"report: {pipeline.report()}")


def export(args: Sequence[str]) -> None:
    """Train the best of a finished search on the full data, and export them."""
    with _reopen("export", args) as pipeline:
        for folder in pipeline.export(pipeline.search()):
            print(f"exported: {folder}")


def report(args: Sequence[str]) -> None:
    """Write the report of a finished run again."""
    with _reopen("report", args) as pipeline:
        print(f"report: {pipeline.report()}")


def list_plugins(args: Sequence[str]) -> None:
    """Show search spaces, proxies, data sets and tables of truth."""
    for title, package in (
        ("search spaces (--space)", "search_spaces"),
        ("proxies (--proxy <name>_ipc<images per class>)", "atom_nas.distillation.methods"),
        ("data sets (--dataset)", "atom_nas.data.sources"),
        ("tables of truth (--truth)", "atom_nas.audit.truths"),
    ):
        print(f"{title}:")
        for name, line in plugins.available(package).items():
            print(f"  {name:15} {line}")


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "run": run,
    "distill": distill,
    "search": search,
    "audit": audit,
    "export": export,
    "report": report,
    "list": list_plugins,
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that `args` (default: the process's) begin with."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print("usage: atom-nas COMMAND [options]; COMMAND --help shows the options\n")
        for name, command in COMMANDS.items():
            print(f"  {name:9}{command.__doc__}")
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if args[0] not in COMMANDS:
            raise unknown("command", args[0], COMMANDS)
        COMMANDS[args[0]](args[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)


def _parse(
    command: str, kind: type[Kind], args: Sequence[str], default: Kind | None = None
) -> Kind:
    """Return the options in `args`, over those of --config FILE.toml, over `default`."""
    config, args = _take("--config", args)
    default = default or kind()
    if config:
        default = replace(default, **read_config(config, kind))
    function, box = COMMANDS[command], io.StringIO()
    try:
        with redirect_stderr(box):
            options, strange = tyro.cli(
                kind,
                prog=f"atom-nas {command}",
                description=f"{function.__doc__} Options can also come from --config FILE.toml.",
                args=args,
                default=default,
                return_unknown_args=True,
            )
    except SystemExit as end:
        if not end.code:
            raise
        hint = f"atom-nas {command} --help says what it takes"
        raise UserError(f"{_message_in(box.getvalue())}; {hint}.") from None
    if strange:
        names = ("config", *(field.name for field in fields(kind)))
        flags = [f"--{name.replace('_', '-')}" for name in names]
        raise unknown("option", strange[0].partition("=")[0], flags)
    return options


def _take(option: str, args: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Return the path that `option` has in `args`, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(option, type=Path, dest="path")
    try:
        known, rest = parser.parse_known_args(args)
    except argparse.ArgumentError:
        raise UserError(f"{option} lacks its value; give a path.") from None
    return known.path, rest


def _message_in(box: str) -> str:
    """Return in one line what tyro says in its `box`, without the title and the help."""
    lines = re.sub(r"\x1b\[[\d;]*m|│", "", box).splitlines()[1:]
    has_words = re.compile(r"\w").search
    message = takewhile(has_words, dropwhile(lambda line: not has_words(line), lines))
    return " ".join(" ".join(message).split()).removeprefix("Error parsing ").rstrip(".")


def _reopen(command: str, args: Sequence[str]) -> AbstractContextManager[Pipeline]:
    """Open the run in --out with the options it has; those in `args` come before them."""
    folder, _ = _take("--out", args)
    default = Options.saved_in(folder) if folder else None
    return open_pipeline(_parse(command, Options, args, default))
