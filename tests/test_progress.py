"""What is told while work goes on: bars on terminals alone, lines now and then, and the log."""

import io
import re
import subprocess
import sys

import pytest
from tiny_run import run_args, save_data, save_space

from atom_nas.cli import main
from atom_nas.storage import progress
from atom_nas.storage.progress import Progress, follow, logged_to, note, tell
from atom_nas.storage.run_folder import open_run

STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the module takes it to be: clock[0]."""
    clock = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    return clock


def logged(path):
    """Return the lines of the log at `path` without their times, which all have."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(STAMP.match(line) for line in lines)
    return [STAMP.sub("", line, count=1) for line in lines]


def go(clock, steps, *, total):
    """Go through a stage that is at `steps`, of which each takes 4 seconds."""
    with Progress("search", total=total, unit="trial") as stage:
        for step in steps:
            clock[0] += 4
            stage.show(best=f"{step}%")
            stage.reach(step)


def test_a_line_comes_at_most_every_ten_seconds_and_at_the_end(clock, capsys):
    go(clock, range(1, 9), total=8)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "search: 3 of 8 trials, 00:20 left, best 3%",
        "search: 6 of 8 trials, 00:08 left, best 6%",
        "search: 8 of 8 trials, took 00:32, best 8%",
    ]


def test_the_time_left_goes_by_the_pace_since_the_last_line(clock, capsys):
    """What was there at the start was made before."""
    with Progress("truth", total=1000, unit="training") as stage:
        stage.reach(900)
        for done, seconds in ((901, 10), (902, 20)):
            clock[0] += seconds
            stage.reach(done)
        stage.reach(1000)
    first, second, _ = capsys.readouterr().err.splitlines()
    assert first == "truth: 901 of 1,000 trainings, 16:30 left"
    assert second == "truth: 902 of 1,000 trainings, 32:40 left"


def test_a_stage_that_is_stopped_says_where(clock, capsys):
    def interrupted():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        [*follow(interrupted(), "export", total=3, unit="net")]
    assert capsys.readouterr().err == "export: 1 of 3 nets, stopped after 00:00\n"


def test_items_are_followed_as_they_are(capsys):
    assert [*follow(iter("abc"), "letters", total=3, unit="letter")] == ["a", "b", "c"]
    assert capsys.readouterr().err.startswith("letters: 3 of 3 letters, took ")


def test_a_stage_of_nothing_is_not_told_of(capsys):
    assert [*follow([], "letters", total=0, unit="letter")] == []
    assert capsys.readouterr().err == ""


def test_the_log_holds_what_is_told_and_is_gone_on_with(tmp_path, capsys):
    log = tmp_path / "log.txt"
    for line in ("first", "second"):
        with logged_to(log):
            tell(line)
            note(f"{line}\nnoted")
        tell("told to nobody's log")
    captured = capsys.readouterr()
    assert captured.out == "first\nnoted\nsecond\nnoted\n"
    assert captured.err.count("\n") == 4
    assert logged(log) == ["first", "first noted", "second", "second noted"]


def test_a_terminal_has_a_bar_and_the_log_has_lines(clock, tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with logged_to(tmp_path / "log.txt"):
        go(clock, range(1, 5), total=4)
    assert "\r" in terminal.getvalue() and "of 4 trials" not in terminal.getvalue()
    assert logged(tmp_path / "log.txt") == [
        "search: 3 of 4 trials, 00:04 left, best 3%",
        "search: 4 of 4 trials, took 00:16, best 4%",
    ]


def test_the_log_makes_no_folder_foreign(tmp_path):
    for _ in range(2):
        with open_run(tmp_path, {"seed": 1}):
            tell("here")
    assert logged(tmp_path / "log.txt") == ["here", "here"]


def test_a_run_without_a_terminal_says_lines_and_a_later_call_goes_on_with_the_log(tmp_path):
    out = tmp_path / "out"
    args = run_args(save_data(tmp_path), save_space(tmp_path), out)
    command = [sys.executable, "-m", "atom_nas"]
    done = subprocess.run([*command, *args], capture_output=True, check=True)
    assert b"\r" not in done.stderr and b"\r" not in done.stdout
    said, lines = done.stderr.decode().splitlines(), logged(out / "log.txt")
    assert [line for line in lines if line not in said + done.stdout.decode().splitlines()] == []
    for stage in ("atom_ipc2: 3 of 3 steps", "search: 6 of 6 trials", "truth: 4 of 4 trainings"):
        assert len([line for line in lines if line.startswith(stage)]) == 1
    assert any(re.fullmatch(r"search: 6 of 6 trials, .*, best \d+\.\d%", line) for line in lines)
    assert any(line.startswith("export: 1 of 1 candidates") for line in lines)
    before = (out / "log.txt").read_bytes()
    main(["search", *args[1:], "--trials", "6"])
    after = (out / "log.txt").read_bytes()
    assert after.startswith(before)
    assert b"search: 6 of 6 trials" in after[len(before) :]
    assert b"steps" not in after[len(before) :]
