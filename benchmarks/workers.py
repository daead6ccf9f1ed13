"""Trials a minute of several workers, and what the storage costs a trial, against Optuna alone.

**Pace.** Workers finish trials of a fixed 50 ms together: 1, 2 and 4 processes on one study. Ours
is `atom_nas.search.study`; on the journal, which is of one process, with one alone. Optuna's side
asks and tells the same space by itself, and neither keeps candidates distinct nor writes down what
they are. All processes begin together; what counts is the time until the last trial is finished.

**Overhead.** One process, trials that take no time, on a study of 10, 1,000 and 10,000 finished
ones (made up): a quarter of the median time from one evaluation to the fourth after it. Sampler of
both sides: TPE as in `atom_nas.search.samplers`.

What is measured is kept in --out row by row: the same command goes on, and a row that is deleted is
measured again. On two cores it takes about 15 minutes, of which 12 fill studies. A database of its
own is needed, as it keeps 40,000 trials:

    python benchmarks/workers.py --storage postgresql+psycopg://user@host/database
"""

import multiprocessing
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import command
import numpy as np
import optuna
import torch
from machine import commit, hardware
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from atom_nas.cluster.address import Address
from atom_nas.cluster.server import Server
from atom_nas.cluster.shared_run import SharedRun
from atom_nas.cluster.shared_study import after_death
from atom_nas.scoring.space import Space, architecture_json, candidate_name, load_space
from atom_nas.search.candidate import Limits
from atom_nas.search.journal import Journal
from atom_nas.search.samplers import SAMPLERS
from atom_nas.search.study import PICKED_TOGETHER, Search
from atom_nas.search.trials import Trials
from atom_nas.storage.row_log import RowLog
from atom_nas.training.cost import Cost

NAMES, VALUES = tuple("abcdef"), 20
SOURCE = f"""
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Architecture:
    {"; ".join(f"{name}: int" for name in NAMES)}

def sample(trial):
    names = "{"".join(NAMES)}"
    return Architecture(**{{name: trial.suggest_int(name, 1, {VALUES}) for name in names}})

def build(architecture, image_shape, num_classes):
    raise NotImplementedError
"""
KEY = ("measure", "storage", "side", "size")
COLUMNS = (*KEY, "value", "commit", "hardware")

TRIAL_SECONDS = 0.05
WORKERS, FINISHED = (1, 2, 4), (10, 1_000, 10_000)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to time."""

    storage: str
    """URL of a PostgreSQL database of its own."""
    trials: int = 100
    """Trials of each worker, to measure the pace."""
    timed: int = 40
    """Trials whose overhead is measured, drawn four at a time by our side."""
    out: Path = Path("benchmarks/results/workers.csv")


def space_in(folder: str) -> Space:
    """Return a space of 20 to the 6th architectures, none of which is built."""
    path = Path(folder, "made.py")
    path.write_text(SOURCE, encoding="utf-8")
    return load_space(str(path), (1, 8, 8), 10)


def value_of(values: dict[str, int]) -> float:
    return -float(sum((value - 7) ** 2 for value in values.values()))


def search_in(trials: Trials, space: Space, evaluate: Callable[[Any], float]) -> Search:
    return Search(
        trials=trials,
        space=space,
        evaluate=lambda architecture, seed: (evaluate(architecture), 0.5, 0.0),
        goes_by="benchmark",
        limits=Limits(),
        sampler="tpe",
        num_uniform=10,
        seed=0,
        cost=lambda architecture: Cost(num_params=1, macs=1),
    )


def ask(study: optuna.Study) -> tuple[optuna.Trial, dict[str, int]]:
    trial = study.ask()
    return trial, {name: trial.suggest_int(name, 1, VALUES) for name in NAMES}


@contextmanager
def opened(storage: str, name: str) -> Iterator[tuple[Trials, optuna.Study]]:
    """Open what our side keeps trials in, and a study of Optuna's side.

    Both lie in the database at the URL `storage`, or in the folder of that name.
    """
    if "://" in storage:
        with closing(Server(Address(storage), after_death)) as server:
            rdb = RDBStorage(str(server.rdb.url).replace("{", "{{").replace("}", "}}"))
            study = optuna.create_study(
                storage=rdb, study_name=f"{name} alone", direction="maximize", load_if_exists=True
            )
            yield SharedRun(server, name), study
            rdb.engine.dispose()
        return
    path = str(Path(storage, f"{name} alone.journal"))
    journal = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    study = optuna.create_study(
        storage=journal, study_name=name, direction="maximize", load_if_exists=True
    )
    yield Journal(Path(storage, f"{name}.journal")), study


def work(
    side: str, storage: str, name: str, num_trials: int, number: int, together: Barrier
) -> None:
    """Finish trials with others, from when all are ready until `num_trials` are there."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def evaluate(architecture: Any) -> float:
        time.sleep(TRIAL_SECONDS)
        return value_of(asdict(architecture))

    with TemporaryDirectory() as folder, opened(storage, name) as (trials, study):
        search = search_in(trials, space_in(folder), evaluate)
        together.wait()
        if side == "atom_nas":
            search.run(num_trials, lambda candidates: None)
        else:
            study.sampler = SAMPLERS["tpe"](number)
            while sum(t.state.is_finished() for t in study.get_trials(deepcopy=False)) < num_trials:
                trial, values = ask(study)
                time.sleep(TRIAL_SECONDS)
                study.tell(trial, value_of(values))
        together.wait()


def pace(side: str, storage: str, workers: int, options: Options) -> float:
    """Return the trials a minute of so many processes."""
    context, name = multiprocessing.get_context("spawn"), f"pace {uuid.uuid4().hex[:8]}"
    together, num_trials = context.Barrier(workers + 1), workers * options.trials
    processes = [
        context.Process(target=work, args=(side, storage, name, num_trials, number, together))
        for number in range(workers)
    ]
    for process in processes:
        process.start()
    together.wait()
    start = time.perf_counter()
    together.wait()
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    return 60 * num_trials / seconds


def made_up(count: int, space: Space) -> list[FrozenTrial]:
    """Return so many finished trials, as our side writes them."""
    random, found = np.random.default_rng(count), dict[str, FrozenTrial]()
    distributions: dict[str, BaseDistribution] = dict.fromkeys(NAMES, IntDistribution(1, VALUES))
    while len(found) < count:
        values = {name: int(random.integers(1, VALUES + 1)) for name in NAMES}
        architecture = space.module.Architecture(**values)
        candidate = candidate_name(architecture)
        found[candidate] = create_trial(
            state=TrialState.COMPLETE,
            value=value_of(values),
            params=values,
            distributions=distributions,
            user_attrs={
                "uniform": False,
                "candidate": candidate,
                "seed": 0,
                "architecture": architecture_json(architecture),
                "cost": asdict(Cost(num_params=1, macs=1)),
                "accuracy": 0.5,
                "seconds": 0.0,
            },
        )
    return [*found.values()]


def seconds_of_one(at: list[float]) -> float:
    """Return the median seconds of a trial by the times of evaluations, of picks drawn together."""
    return statistics.median(np.diff(at[::PICKED_TOGETHER])) / PICKED_TOGETHER


def overheads(storage: str, options: Options) -> Iterator[tuple[str, int, float]]:
    """Yield (side, finished trials, median seconds of a trial that takes no time)."""
    name, filled = f"overhead {uuid.uuid4().hex[:8]}", 0
    with TemporaryDirectory() as folder, opened(storage, name) as (trials, alone):
        space = space_in(folder)
        ours = trials.open("benchmark", (StudyDirection.MAXIMIZE,), lambda trials: iter(())).study
        wanted = made_up(FINISHED[-1], space)
        for finished in FINISHED:
            for trial in wanted[filled:finished]:
                ours.add_trial(trial)
                alone.add_trial(trial)
            filled, at = finished, list[float]()

            def evaluate(architecture: Any, at: list[float] = at) -> float:
                at.append(time.perf_counter())
                return value_of(asdict(architecture))

            count = len(ours.get_trials(deepcopy=False)) + options.timed
            search_in(trials, space, evaluate).run(count, lambda candidates: None)
            yield "atom_nas", finished, seconds_of_one(at)
            at = []
            for number in range(options.timed):
                alone.sampler = SAMPLERS["tpe"](number)
                asked, values = ask(alone)
                at.append(time.perf_counter())
                alone.tell(asked, value_of(values))
            yield "optuna", finished, seconds_of_one(at)


def main(options: Options) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table = RowLog(options.out, COLUMNS, key=KEY)
    about = {"commit": commit(), "hardware": hardware(torch.device("cpu"))}

    def keep(measure: str, storage: str, side: str, size: int, value: float) -> None:
        key = (measure, storage, side, str(size))
        if table.find(key) is None:
            table.append({**dict(zip(KEY, key, strict=True)), "value": f"{value:.6g}", **about})
        print(*key, f"{value:.4g}")

    with TemporaryDirectory() as folder:
        for storage, where in (("journal", folder), ("postgresql", options.storage)):
            for side in ("atom_nas", "optuna"):
                for workers in WORKERS:
                    is_possible = workers == 1 or (storage, side) != ("journal", "atom_nas")
                    if is_possible and not table.find(("pace", storage, side, str(workers))):
                        keep("pace", storage, side, workers, pace(side, where, workers, options))
            last = ("overhead", storage, "optuna", str(FINISHED[-1]))
            if not table.find(last):
                for side, finished, seconds in overheads(where, options):
                    keep("overhead", storage, side, finished, seconds)
    for line in summary(table):
        print(line)


def summary(table: RowLog) -> Iterator[str]:
    """Yield the lines of a Markdown table: ours, Optuna's, and their ratio."""
    yield "| measure | storage | size | atom_nas | Optuna alone | ratio |"
    yield "|---|---|---|---|---|---|"
    for row in table.rows:
        if row["side"] == "atom_nas":
            other = table.find((row["measure"], row["storage"], "optuna", row["size"]))
            ours, theirs = float(row["value"]), float(other["value"]) if other else float("nan")
            unit = "a minute" if row["measure"] == "pace" else "s a trial"
            cells = (f"{ours:.4g} {unit}", f"{theirs:.4g} {unit}", f"{ours / theirs:.2f}")
            yield f"| {' | '.join((row['measure'], row['storage'], row['size'], *cells))} |"


if __name__ == "__main__":
    command.run(main, Options, __file__, __doc__)
