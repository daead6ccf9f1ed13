"""What the device fails at ends the run with one line, and is kept for no candidate."""

import errno

import pytest
import torch
from made_search import Recorder, ignore, make_search, score
from made_search import make_space as make_searched
from made_toy import CPU, TRAINING, architecture, make_dataset, make_proxy, make_space
from tiny_run import run_args, save_data, save_space

from atom_nas.audit import free_scores
from atom_nas.audit.free_scores import FreeScores
from atom_nas.audit.trained_truth import TrainedTruth
from atom_nas.cli import main
from atom_nas.scoring import trainer
from atom_nas.scoring.proxy_scores import ProxyScores
from atom_nas.scoring.trainer import Trainer
from atom_nas.training.devices import is_device_failure

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
DISK = OSError(errno.ENOSPC, "No space left on device")
BROKEN = torch.AcceleratorError("CUDA error: device-side assert triggered")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FULL, True),
        (BROKEN, True),
        (DISK, True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("shapes of 3 and 4 do not fit"), False),
        (ValueError("the GPU is out of memory"), False),
    ],
)
def test_which_errors_are_of_the_device(error, expected):
    assert is_device_failure(error) == expected


def scores(folder, space):
    dataset = make_dataset()
    trains = Trainer(dataset.normalization, CPU)
    table = ProxyScores(folder / "rows", space=space, dataset=dataset, trainer=trains)
    return table.score(make_proxy(), architecture(space), TRAINING, seed=0).accuracy


def truth(folder, space):
    dataset = make_dataset()
    trains = Trainer(dataset.normalization, CPU)
    table = TrainedTruth(folder, space=space, dataset=dataset, training=TRAINING, trainer=trains)
    return table.measure(architecture(space), seed=0).validation[0]


def free(folder, space):
    table = FreeScores(folder / "rows", space=space, dataset=make_dataset(), seed=0, device=CPU)
    return {each.name: each.scores[0] for each in table.estimators([architecture(space)])}["snip"]


@pytest.mark.parametrize("error", [FULL, BROKEN])
@pytest.mark.parametrize(
    ("measure", "module", "name"),
    [
        (scores, trainer, "fit_in_parts"),
        (truth, trainer, "fit_in_parts"),
        (free, free_scores, "SCORES"),
    ],
)
def test_they_leave_no_row_of_the_candidate(tmp_path, monkeypatch, measure, module, name, error):
    def fail(*args, **kwargs):
        raise error

    space = make_space(tmp_path)
    with monkeypatch.context() as patch:
        failing = {**free_scores.SCORES, "snip": fail} if name == "SCORES" else fail
        patch.setattr(module, name, failing)
        with pytest.raises(type(error)):
            measure(tmp_path, space)
    assert measure(tmp_path, space) > 0


@pytest.mark.parametrize("error", [FULL, DISK])
def test_the_candidate_of_a_search_is_drawn_again(tmp_path, error):
    space = make_searched(tmp_path)
    expected = make_search(tmp_path / "whole", space).run(6, ignore)
    search = make_search(tmp_path / "broken", space, Recorder(stop=2, error=error))
    with pytest.raises(type(error)):
        search.run(6, ignore)
    again = search.run(6, ignore)
    assert [(c.name, c.seed, c.objective) for c in again] == [
        (c.name, c.seed, c.objective) for c in expected
    ]


def test_trials_told_again_stay_those_they_were(tmp_path):
    space = make_searched(tmp_path)
    before = make_search(tmp_path, space).run(3, ignore)
    told = make_search(tmp_path, space, Recorder(stop=1, error=BROKEN), goes_by="another")
    with pytest.raises(torch.AcceleratorError):
        told.run(3, ignore)
    assert make_search(tmp_path, space, score).run(3, ignore) == before


def test_the_command_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise FULL

    monkeypatch.setattr("atom_nas.pipeline.run.condense", fail)
    args = run_args(save_data(tmp_path), save_space(tmp_path), tmp_path / "out")
    with pytest.raises(SystemExit):
        main(args)
    line = capsys.readouterr().err.splitlines()[-1]
    assert "CUDA out of memory" in line and "run the same command again" in line
