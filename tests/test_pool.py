"""Trainings in real worker processes: the same as in one, and each candidate fails for itself."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from made_toy import CPU, SOURCE, TRAINING, architecture, make_dataset, make_proxy

from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.errors import UserError
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.space import load_space
from atom_nas.scoring.trainer import Job, Trainer
from atom_nas.training import pool

MORE = """
    import os, pathlib, signal, time
    match architecture.kind:
        case "hungry":
            torch.empty(2**60)
        case "sleeper":
            time.sleep(10_000)
        case "threads":
            torch.set_num_threads(5)
        case "once" if not (mark := pathlib.Path(__file__).with_suffix(".once")).exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "twice":
            os._exit(7)
"""
KINDS = ("linear", "wild", "threads", "wrong", "hungry", "none")


@pytest.fixture(scope="module")
def dataset():
    return make_dataset()


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    file = tmp_path_factory.mktemp("space") / "toy_space.py"
    start = "def build(architecture, image_shape, num_classes):\n"
    file.write_text(SOURCE.replace(start, start + MORE))
    return load_space(str(file), (1, 4, 4), 2)


@pytest.fixture(scope="module")
def trainer(dataset):
    """Three workers, which stay from test to test."""
    trainer = Trainer(dataset.normalization, CPU, workers="3")
    yield trainer
    trainer.close()


@pytest.fixture
def train(trainer, dataset, space):
    """Train candidates of such kinds, and return what each came to."""

    def train(*kinds):
        jobs = [
            Job(
                space=space,
                architecture=architecture(space, kind),
                seed=seed,
                training=TRAINING,
                train=dataset.train,
                held_out=(dataset.validation,),
            )
            for seed, kind in enumerate(kinds)
        ]
        return [trained for _, trained in sorted(trainer.run(jobs), key=lambda pair: pair[0])]

    return train


def tables(folder, trainer, dataset, space):
    """Fill both tables, and return their rows but for the seconds, sorted, and the weights."""
    folder.mkdir()
    scores = ProxyScores(folder / "scores.csv", space=space, dataset=dataset, trainer=trainer)
    proxies = [make_proxy(), make_proxy(seed=4)]
    sample = [(architecture(space, kind), seed) for seed, kind in enumerate(KINDS)]
    wanted = [(proxy, each, seed) for each, seed in sample for proxy in proxies]
    assert len([*scores.fill(wanted, TRAINING)]) == 12
    truth = TrainedTruth(folder, space=space, dataset=dataset, training=TRAINING, trainer=trainer)
    truth.measure_all(sample, trainings=2)
    kept = []
    for table in (scores._table, truth._table):
        unlike = {"seconds", "checksum"}
        kept += [[(k, v) for k, v in row.items() if k not in unlike] for row in table.rows]
    weights = {path.name: path.read_bytes() for path in (folder / "weights").iterdir()}
    return sorted(kept), weights


def test_rows_and_weights_do_not_depend_on_the_number_of_workers(tmp_path, trainer, dataset, space):
    alone, threads = Trainer(dataset.normalization, CPU), torch.get_num_threads()
    first = tables(tmp_path / "1", alone, dataset, space)
    assert tables(tmp_path / "3", trainer, dataset, space) == first
    assert len(first[0]) == 24 and len(first[1]) == 2
    assert trainer._pool.is_running and not alone._pool.is_running
    assert torch.get_num_threads() == threads  # which a candidate sets when it is built


def test_a_candidate_that_ends_its_process_fails_for_itself_when_it_does_so_again(train):
    killed_once, linear, ended, other = train("once", "linear", "twice", "linear")
    assert ended.failure == "its process ended twice (exit status 7)"
    assert min(each.outcomes[0].accuracy for each in (killed_once, linear, other)) > 0.9


def test_a_candidate_that_hangs_is_stopped_and_leaves_the_others_untouched(train, monkeypatch):
    monkeypatch.setattr(pool, "MIN_PATIENCE", 10.0)
    monkeypatch.setattr(pool, "TIMES_LONGER", 0)
    first, hung, last = train("linear", "sleeper", "linear")
    assert hung.failure == "it took longer than 10 s"
    assert min(each.outcomes[0].accuracy for each in (first, last)) > 0.9


def test_what_is_left_half_done_is_nobody_s(trainer, dataset, space):
    """Jobs that nobody waits for any more are stopped, not taken for those that come next."""
    about = {"space": space, "training": TRAINING, "train": dataset.train, "held_out": ()}
    kinds = ("linear", "sleeper", "sleeper")
    jobs = [Job(architecture=architecture(space, kind), seed=0, **about) for kind in kinds]
    running = trainer.run(jobs)
    assert next(running)[0] == 0
    running.close()
    again = [*trainer.run([jobs[0]])]
    assert [position for position, _ in again] == [0] and not again[0][1].failure


def test_auto_takes_workers_at_once_for_what_is_counted_to_be_long(dataset, space, monkeypatch):
    monkeypatch.setattr("atom_nas.scoring.trainer.num_cores", lambda: 2)
    monkeypatch.setattr("atom_nas.scoring.trainer.PACE", 1.0)
    monkeypatch.setattr(Trainer, "_train_here", lambda *_: pytest.fail("it was trained here"))
    net, about = architecture(space, "linear"), {"space": space, "training": TRAINING}
    assert space.cost(net).macs
    job = Job(architecture=net, seed=0, train=dataset.train, held_out=(), **about)
    with closing(Trainer(dataset.normalization, CPU, workers="auto")) as auto:
        assert not any(found.failure for _, found in auto.run([job, job]))


def test_auto_takes_workers_where_there_is_enough_to_do(dataset, monkeypatch):
    monkeypatch.setattr("atom_nas.scoring.trainer.num_cores", lambda: 2)
    auto = Trainer(dataset.normalization, CPU, workers="auto")
    assert auto.num_workers == 2
    assert not auto._is_worth(30, seconds=0.1) and auto._is_worth(30, seconds=1)
    assert Trainer(dataset.normalization, torch.device("mps"), workers="auto").num_workers == 1
    with pytest.raises(UserError, match="--workers is 2, and candidates are trained on mps"):
        Trainer(dataset.normalization, torch.device("mps"), workers="2")


def test_workers_that_do_not_start_are_told_at_once(monkeypatch):
    monkeypatch.setattr(pool, "_BOOT", "raise SystemExit(3)")
    broken = pool.Pool(len, 2)
    with pytest.raises(UserError, match=r"before their first job \(exit status 3\).*--workers 1"):
        [*broken.run([("", [])])]
    assert not broken.is_running


def test_an_error_that_is_no_candidate_s_ends_the_run(trainer):
    with pytest.raises(RuntimeError, match="AttributeError"):
        [*trainer._pool.run([("no order", [])])]


PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of the background ignores it
from atom_nas.training.pool import Pool
import time
pool = Pool(time.sleep, 2)
running = pool.run([(0, []), (1000, []), (1000, [])])
next(running)
print(*(worker.process.pid for worker in pool._workers), flush=True)
next(running)
"""

PAUSED = """
import time
from atom_nas.training import pool
pool.LOOK, pool.MIN_PATIENCE = 0.2, 4.0
running = pool.Pool(time.sleep, 1).run([(0, []), (8, [])])
next(running)
print("begun", flush=True)
print(next(running))
"""


def is_alive(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(end):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(is_alive, workers))
    parent.send_signal(end)
    parent.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, workers))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are paused with SIGSTOP")
def test_a_pause_of_the_run_is_no_candidate_s_failure():
    """All of it is stopped, as by Ctrl-Z, for longer than a training may take."""
    run = subprocess.Popen(
        [sys.executable, "-c", PAUSED],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert run.stdout.readline() == "begun\n"
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGSTOP)
    time.sleep(6.0)
    os.killpg(run.pid, signal.SIGCONT)
    assert run.communicate(timeout=60)[0] == "(1, None)\n"
