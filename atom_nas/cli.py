"""The command line: `atom-nas run`, and its stages one by one.

What does the work imports torch, which takes seconds: commands import it themselves, once their
options have been read. Help, `list` and errors in options are answered without it.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from atom_nas import plugins
from atom_nas.distillation import launch
from atom_nas.errors import OutOfReach, UserError, explain, hide_passwords, unknown
from atom_nas.options import DistillOptions, Options, ReportOptions
from atom_nas.parsing import parse_options
from atom_nas.pipeline.export_options import PredictOptions, RetrainOptions
from atom_nas.storage.files import read_json
from atom_nas.storage.progress import tell
from atom_nas.storage.run_folder import SETTINGS, open_run

if TYPE_CHECKING:
    from atom_nas.pipeline.stages import Pipeline


def run(args: Sequence[str]) -> None:
    """Condense, search, audit, export and report."""
    with _open(Options(**_read("run", Options, args))) as pipeline:
        candidates = pipeline.search()
        figures = pipeline.audit()
        folders = pipeline.export(candidates)
        page = pipeline.report()
        print("\n".join(pipeline.answers()))
    print("\n".join(figures.sentences[1:]))
    for folder in folders:
        print(f"exported: {folder}")
    print(f"report: {page}")


def distill(args: Sequence[str]) -> None:
    """Condense a data set to a few images a class."""
    options = DistillOptions(**_read("distill", DistillOptions, args))
    from atom_nas.data.sources import open_dataset
    from atom_nas.defaults import condensation, require_recipe_used
    from atom_nas.distillation.condense import condense, help_condense
    from atom_nas.distillation.shared_out import joined, own_device
    from atom_nas.distillation.taken_over import STORE
    from atom_nas.training.devices import warm_up
    from atom_nas.training.memory import keep_freed_memory

    require_recipe_used(options)
    device = own_device(options.device)
    keep_freed_memory(device)
    with joined(device) as share:
        with share.first_before_others():
            dataset = open_dataset(options.dataset, options.data_dir, seed=options.seed)
        job = condensation(options, dataset, device)
        folder = options.out or job.folder(STORE)
        if not share.is_first:
            help_condense(job, folder, device, share)
            return
        with open_run(folder, job.identity):
            tell(dataset.in_words)
            warm_up(device)
            proxy = condense(job, folder, device, share)
    print(f"{proxy.name}: {len(proxy.images)} images, {proxy.seconds:.0f} s, in {folder}")


def search(args: Sequence[str]) -> None:
    """Condense, and search on the proxy."""
    with _open(Options(**_read("search", Options, args))) as pipeline:
        candidates = pipeline.search()
        for line in pipeline.found(candidates):
            print(line)
        print(f"candidates: {pipeline.run.folder / 'candidates.csv'}")


def audit(args: Sequence[str]) -> None:
    """Judge the proxy by full-data accuracies, without a search or after one."""
    options = Options(**_read("audit", Options, args))
    if options.hours:
        raise UserError("--hours ends a search, and audit makes none; leave it out.")
    with _open(options) as pipeline:
        figures = pipeline.audit()
        print("\n".join(figures.sentences))
        print(f"report: {pipeline.report()}")


def export(args: Sequence[str]) -> None:
    """Train the best of a finished search on the full data, and export them."""
    with _reopen(_read("export", Options, args)) as pipeline:
        for folder in pipeline.export(pipeline.search()):
            print(f"exported: {folder}")


def report(args: Sequence[str]) -> None:
    """Write the report of a finished run again, or show runs side by side."""
    options = ReportOptions(**_read("report", ReportOptions, args))
    if runs := options.compare:
        from atom_nas.report import write_comparison

        shared = Path(os.path.commonpath([run.resolve().parent for run in runs]))
        print(f"comparison: {write_comparison(runs, options.out or shared)}")
        return
    assert options.out is not None
    if options.storage:
        with _reopen({"out": options.out, "storage": options.storage}) as pipeline:
            print(f"report: {pipeline.report()}")
        return
    Options.saved_in(options.out)  # refuses what is no run
    from atom_nas.report import write_report

    with open_run(options.out, read_json(options.out / SETTINGS)) as folder:
        print(f"report: {write_report(folder)}")


def retrain(args: Sequence[str]) -> None:
    """Train an exported architecture on other data, and export it again."""
    options = RetrainOptions(**_read("retrain", RetrainOptions, args))
    from atom_nas.export.card import read_metrics
    from atom_nas.pipeline.retraining import retrain
    from atom_nas.training.devices import resolve_device
    from atom_nas.training.memory import keep_freed_memory

    keep_freed_memory(resolve_device(options.device))
    folder = retrain(options)
    found = read_metrics(folder)
    epoch = f"epoch {found['best_epoch']} of {found['epochs']}"
    print(f"{found['validation_accuracy']:.1%} on the validation split, {epoch}")
    print(f"{found['test_accuracy']:.1%} on the test split")
    print(f"exported: {folder}")


def predict(args: Sequence[str]) -> None:
    """Say the most probable classes of pictures by an exported net."""
    options = PredictOptions(**_read("predict", PredictOptions, args))
    from atom_nas.export.reopened import answers

    for line in answers(options.export, options.pictures):
        print(line)


def list_plugins(args: Sequence[str]) -> None:
    """Show search spaces, proxies, data sets and tables of truth."""
    if list(args) in (["-h"], ["--help"]):
        print(f"usage: atom-nas list; it takes no option\n\n{list_plugins.__doc__}")
        return
    if args:
        raise UserError(f"list takes no option, and {args[0]!r} was given; leave it out.")
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
    "retrain": retrain,
    "predict": predict,
    "list": list_plugins,
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that `args` (default: the process's) begin with."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print("usage: atom-nas COMMAND [options]; COMMAND --help shows the options\n")
        for name, command in COMMANDS.items():
            print(f"  {name:9}{command.__doc__}")
        print("\n  --version shows that of atom_nas")
        return
    if list(args) == ["--version"]:
        print(f"atom_nas {version('atom_nas')}")
        return
    try:
        if args[0] not in COMMANDS:
            raise unknown("command", args[0], COMMANDS)
        if args[0] != "distill":
            launch.require_alone(args[0])
        COMMANDS[args[0]](args[1:])
    except (UserError, OutOfReach) as error:
        _end(f"error: {hide_passwords(str(error))}", 2)
    except BrokenPipeError:  # as of `atom-nas list | head`: nobody reads what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        _end(f"error: {error.filename}: {error.strerror}; give another, or mend that.", 2)
    except KeyboardInterrupt:
        _end("interrupted; run the same command again to continue.", 130)
    except Exception as error:
        from atom_nas.training.devices import is_device_failure

        if not is_device_failure(error):
            raise
        told = f"error: {explain(error)}; nothing of it was kept"
        _end(f"{told}: free the device's memory, and run the same command again.", 2)


def _end(line: str, status: int) -> NoReturn:
    """End with `line` on stderr; of several processes the first alone tells, and fails."""
    if not launch.is_first_to_tell():
        sys.exit(0)
    print(line, file=sys.stderr)
    sys.exit(status)


def _read(command: str, kind: type[Any], args: Sequence[str]) -> dict[str, Any]:
    """Return the options of `kind` that `args` and their --config FILE.toml set."""
    about = COMMANDS[command].__doc__
    return parse_options(kind, args, usage=f"atom-nas {command}", about=about)


@contextmanager
def _open(options: Options) -> Iterator["Pipeline"]:
    import optuna

    from atom_nas.pipeline.opening import open_pipeline
    from atom_nas.training.devices import warm_up
    from atom_nas.training.memory import keep_freed_memory

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with open_pipeline(options) as pipeline:
        keep_freed_memory(pipeline.run.device)
        warm_up(pipeline.run.device)
        yield pipeline


def _reopen(values: dict[str, Any]) -> AbstractContextManager["Pipeline"]:
    """Open the run in --out, or where `values` lead, which come before its own options."""
    return _open(replace(Options.saved_in(Options(**values).folder), **values))
