"""A made space, and searches of it that train nothing."""

from atom_nas.scoring.space import load_space
from atom_nas.search.candidate import Limits
from atom_nas.search.journal import Journal
from atom_nas.search.samplers import SAMPLERS
from atom_nas.search.study import Search

SOURCE = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Architecture:
    width: int
    depth: int
    act: str

def sample(trial):
    return Architecture(
        width=trial.suggest_categorical("width", {widths}),
        depth=trial.suggest_int("depth", 1, {depth}),
        act=trial.suggest_categorical("act", ("relu", "tanh")),
    )

def build(architecture, image_shape, num_classes):
    if architecture.width == 13:
        raise ValueError("width 13\\nis unlucky")
    layers, size = [nn.Flatten()], image_shape[0] * image_shape[1] * image_shape[2]
    for _ in range(architecture.depth):
        layers += [nn.Linear(size, architecture.width), nn.ReLU()]
        size = architecture.width
    return nn.Sequential(*layers, nn.Linear(size, num_classes))
"""
UNLIMITED = Limits()
FAST = sorted(SAMPLERS.keys() - {"gp"})


def make_space(folder, widths=(2, 3, 5, 8, 9), depth=4):
    file = folder / "my_space.py"
    file.write_text(SOURCE.format(widths=widths, depth=depth))
    return load_space(str(file), (1, 4, 4), 3)


def score(architecture, seed):
    """Return a made accuracy that the architecture and the seed decide, and seconds."""
    noise = seed % 1000 / 1e5
    accuracy = 0.5 + 0.03 * architecture.depth - 0.01 * architecture.width + noise
    return 2 * accuracy, accuracy, 0.25


def make_search(folder, space, evaluate=score, **changes):
    folder.mkdir(exist_ok=True)
    options = {
        **{"limits": UNLIMITED, "sampler": "tpe", "num_uniform": 6, "seed": 0, "goes_by": "score"},
        "trials": Journal(folder / "study.journal"),
        **changes,
    }
    return Search(
        space=space,
        evaluate=evaluate,
        **options,
    )


def ignore(candidates):
    pass


class Recorder:
    """An evaluation that counts, and raises `error` at its call number `stop`."""

    def __init__(self, stop=None, error=KeyboardInterrupt):
        self.calls, self.stop, self.error = [], stop, error

    def __call__(self, architecture, seed):
        if len(self.calls) == self.stop:
            self.stop = None
            raise self.error
        self.calls.append((architecture, seed))
        return score(architecture, seed)
