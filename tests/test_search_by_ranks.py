"""--objective combined_ranks: the same whatever the workers, and where it is cut and goes on."""

import pytest
from tiny_run import rows_of, save_data

from atom_nas.audit.free_scores import FreeScores
from atom_nas.cli import main
from atom_nas.scoring.trainer import Trainer

SPACE = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int

def sample(trial):
    return Architecture(width=trial.suggest_int("width", 1, 40))

def build(architecture, image_shape, num_classes):
    if architecture.width % 7 == 0:
        raise ValueError("sevens are unlucky")
    return nn.Sequential(
        nn.Conv2d(1, architecture.width, 4, stride=4), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * architecture.width, num_classes),
    )
"""


@pytest.fixture
def args(tmp_path):
    """Return what makes the command line of a search of 14, of which 11 are drawn uniformly."""
    (tmp_path / "widths.py").write_text(SPACE)
    data = save_data(tmp_path)

    def make(name, *more, command="search", trials=14):
        options = {
            **{"dataset": data, "space": tmp_path / "widths.py", "proxy": "random_ipc5"},
            **{"proxy-steps": 2, "device": "cpu", "out": tmp_path / name, "trials": trials},
            **{"objective": "combined_ranks", "workers": 1},
        }
        pairs = [(f"--{key}", str(value)) for key, value in options.items()]
        return [command, *(part for pair in pairs for part in pair), *map(str, more)]

    return make


def found(folder):
    kept = ("candidate", "objective", "proxy_accuracy", "uniform", "state")
    return [[row[each] for each in kept] for row in rows_of(folder / "candidates.csv")]


def interrupted(monkeypatch, kind, name, calls):
    """Let the method of `kind` be interrupted after so many calls, once."""
    method, done = getattr(kind, name), []

    def counted(*args):
        done.append(0)
        if len(done) == calls:
            raise KeyboardInterrupt
        return method(*args)

    monkeypatch.setattr(kind, name, counted)


def test_the_workers_and_an_interrupt_change_nothing(tmp_path, args, monkeypatch):
    main(args("one"))
    scored = [float(row[1]) for row in found(tmp_path / "one") if row[1]]
    assert len(found(tmp_path / "one")) == 14 > len(scored)
    assert all(0 < score < 1 for score in scored)
    main(args("three", "--workers", 3))
    assert found(tmp_path / "three") == found(tmp_path / "one")
    for kind, name, calls in ((Trainer, "_train_here", 6), (FreeScores, "_measure", 17)):
        with monkeypatch.context() as patch:
            interrupted(patch, kind, name, calls)
            with pytest.raises(SystemExit):
                main(args("cut"))
        assert len(rows_of(tmp_path / "cut" / "scores.csv")) < 14
    main(args("cut"))
    assert found(tmp_path / "cut") == found(tmp_path / "one")
    for table in ("scores.csv", "free.csv"):
        assert len(rows_of(tmp_path / "cut" / table)) == len(rows_of(tmp_path / "one" / table))


def test_another_objective_in_the_same_folder_trains_nothing_again(tmp_path, args, monkeypatch):
    main(args("one", "--objective", "accuracy"))
    accuracies = {row[0]: row[2] for row in found(tmp_path / "one")}
    uniform = [row for row in found(tmp_path / "one") if row[3] == "1"]
    monkeypatch.setattr(Trainer, "_train_here", lambda *_: pytest.fail("trained again"))
    main(args("one"))
    assert {row[0]: row[2] for row in found(tmp_path / "one")} == accuracies
    assert [row[1] for row in found(tmp_path / "one")[: len(uniform)]] != [
        row[1] for row in uniform
    ]


def test_hours_that_are_over_leave_what_is_done_to_the_next_call(tmp_path, args, capsys):
    with pytest.raises(SystemExit):
        main(args("cut", "--hours", 1e-9))
    assert "were over before a candidate was scored" in capsys.readouterr().err
    main(args("cut"))
    assert len(found(tmp_path / "cut")) == 14
