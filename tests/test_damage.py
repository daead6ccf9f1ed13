"""Every file of a finished run, damaged: the same command ends well and alike, or in one line."""

import random
import re
import shutil

import numpy as np
import pytest
from tiny_run import rows_of

from atom_nas.cli import main

SPACE = '''"""Four small nets."""
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Architecture:
    width: int
    depth: int


def sample(trial):
    width = trial.suggest_categorical("width", (4, 8))
    return Architecture(width, trial.suggest_int("depth", 1, 2))


def build(architecture, image_shape, num_classes):
    layers, channels = [], image_shape[0]
    for _ in range(architecture.depth):
        layers += [nn.Conv2d(channels, architecture.width, 3, padding=1), nn.ReLU()]
        channels = architecture.width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, num_classes)
    )
'''

CANNOT_BE_MADE_AGAIN = {"settings.json", "study.journal"}

TABLES = {
    "candidates.csv": ("seconds", "checksum"),
    "audit.csv": (),
    "scores.csv": ("seconds", "checksum"),
    "truth.csv": ("seconds", "checksum"),
    "free.csv": ("seconds", "checksum"),
}
"""The tables of a run, and their columns that differ from run to run."""

FILES = [
    *("settings.json", "options.json", "audit.json", "study.journal", "report.html", "report.md"),
    *("lengths.json", "importances.json", "study.journal.sha256", "log.txt"),
    *TABLES,
    *("proxies/atom*/manifest.json", "proxies/atom*/images.safetensors"),
    *("proxies/atom*/preview.png", "proxies/random*/manifest.json"),
    *("proxies/random*/images.safetensors", "weights/*.safetensors"),
    *("export/*/verification.json", "export/*/metrics.json", "export/*/architecture.json"),
    *("export/*/weights.safetensors", "export/*/model.py", "export/*/README.md"),
    *("export/*/preprocessing.json", "proxies/random*/preview.png"),
]

MADE_AGAIN = {
    *("report.html", "report.md", "lengths.json", "importances.json"),
    *("proxies/atom*/manifest.json", "proxies/random*/manifest.json", "proxies/atom*/preview.png"),
    *("export/*/metrics.json", "export/*/architecture.json", "export/*/weights.safetensors"),
    *("export/*/model.py", "export/*/README.md", "export/*/preprocessing.json"),
    "proxies/random*/preview.png",
}
"""What is whole after the command, and read by no assertion of its own."""


def halved(data, _):
    return data[: len(data) // 2]


def emptied(*_):
    return b""


def flipped(data, generator):
    changed = bytearray(data)
    changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return bytes(changed)


DAMAGES = {
    "halved": halved,
    "emptied": emptied,
    "flipped": flipped,
    "deleted": None,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run: (its folder, the command)."""
    folder = tmp_path_factory.mktemp("damage")
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), 60)
    pixels = generator.integers(0, 100, (120, 8, 8)) + 100 * labels[:, None, None]
    np.savez(folder / "toy.npz", train_images=pixels.astype(np.uint8), train_labels=labels)
    (folder / "four.py").write_text(SPACE)
    args = ["run", "--dataset", folder / "toy.npz", "--space", folder / "four.py"]
    args += ["--proxy", "atom_ipc2", "--steps", "2", "--trials", "4", "--audit-size", "3"]
    args += ["--proxy-epochs", "1", "--full-epochs", "1", "--top-k", "1", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atom_nas.export.folder.FORMATS", {})
        main([str(arg) for arg in [*args, "--out", folder / "out"]])
    return folder / "out", list(map(str, args))


@pytest.fixture
def damaged(finished, tmp_path, monkeypatch):
    """A copy of the run, and what damages a file of it: (folder, command, damage)."""
    monkeypatch.setattr("atom_nas.export.folder.FORMATS", {})
    monkeypatch.setattr("atom_nas.report.page.draw_all", lambda results: [])
    monkeypatch.setattr("atom_nas.audit.ranking.NUM_RESAMPLES", 20)
    shutil.copytree(finished[0], tmp_path / "out")

    def damage(pattern, kind):
        path = sorted((tmp_path / "out").glob(pattern))[0]
        if DAMAGES[kind] is None:
            path.unlink()
        else:
            generator = random.Random(f"{pattern} {kind}")
            path.write_bytes(DAMAGES[kind](path.read_bytes(), generator))
        return path

    return tmp_path / "out", [*finished[1], "--out", str(tmp_path / "out")], damage


def essence(folder):
    """Return the rows of all tables in `folder`, sorted, without what differs from run to run."""
    found = {}
    for name, varying in TABLES.items():
        rows = [
            {key: value for key, value in row.items() if key not in varying}
            for row in rows_of(folder / name)
        ]
        found[name] = sorted(map(str, rows))
    return found


def exported(folder):
    """Return the weights of all exports in `folder`."""
    found = folder.glob("export/*/weights.safetensors")
    return {path.parent.name: path.read_bytes() for path in found}


def run(args):
    """Run `args`; return the exit status."""
    try:
        main(args)
    except SystemExit as end:
        return end.code
    return 0


def test_every_file_of_a_run_is_damaged_below(finished):
    """But figures, which every report draws anew, and the lock, which holds nothing."""
    found = {path for path in finished[0].rglob("*") if path.is_file()}
    named = {path for pattern in FILES for path in finished[0].glob(pattern)}
    others = {path.relative_to(finished[0]).as_posix() for path in found - named}
    assert {name for name in others if not name.startswith("figures/")} <= {".lock"}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("pattern", FILES)
def test_a_damaged_run_ends_alike_or_in_one_line(finished, damaged, capsys, pattern, kind):
    folder, args, damage = damaged
    path = damage(pattern, kind)
    left = path.read_bytes() if path.exists() else None
    capsys.readouterr()
    status = run(args)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    if status:
        assert (status, len(errors)) == (2, 1)
        assert any(name in errors[0] for name in (path.name, str(path.parent)))
        is_unknown = (path.name, kind) == ("verification.json", "deleted")  # a foreign folder
        assert path.name in CANNOT_BE_MADE_AGAIN or is_unknown
    else:
        found, before = essence(folder), essence(finished[0])
        assert found["scores.csv"]
        assert set(found["scores.csv"]) <= set(before.pop("scores.csv"))  # those that are needed
        del found["scores.csv"]
        assert found == before
        assert exported(folder) == exported(finished[0])
        if pattern in MADE_AGAIN:
            assert path.read_bytes() != left


@pytest.mark.parametrize("kind", ["halved", "flipped", "emptied"])
@pytest.mark.parametrize(
    "pattern",
    ["options.json", "audit.json", "candidates.csv", "export/*/metrics.json"],
)
def test_the_report_of_a_damaged_run_names_the_file(damaged, capsys, pattern, kind):
    folder, _, damage = damaged
    path = damage(pattern, kind)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["report", "--out", str(folder)])
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"error: {re.escape(str(path))} is damaged.*; remove it and run again", line)


def test_the_report_goes_without_a_damaged_picture(damaged, capsys):
    folder, _, damage = damaged
    path = damage("proxies/atom*/preview.png", "halved")
    main(["report", "--out", str(folder)])
    assert f"{path} is damaged: the report goes without it." in capsys.readouterr().err
