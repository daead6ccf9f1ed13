"""What a user chooses of the commands that use an export."""

from dataclasses import dataclass, field
from pathlib import Path

from atom_nas.errors import UserError
from atom_nas.storage.files import CACHE


@dataclass(frozen=True, kw_only=True)
class RetrainOptions:
    """Which architecture is trained on what."""

    export: Path = field(metadata={"positional": "EXPORT"})
    """The folder of an export, whose architecture is trained from fresh weights."""
    dataset: str
    """A data set by name, a folder with one sub-folder a class, or a .npz with MedMNIST's keys."""
    epochs: int | None = None
    """Passes over the training images; default 100 on CUDA, 20 elsewhere, but at least as many as
    make 1,000 steps."""
    seed: int = 0
    """Splits, fresh weights and the training depend on it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    data_dir: Path = CACHE
    """Where named data sets lie, or are downloaded to."""
    out: Path | None = None
    """Folder of the new export; default EXPORT's path with -<data set> appended, of an export of a
    run under the run's retrained/."""

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"--epochs is {self.epochs}; it must be at least 1.")
        if not 0 <= self.seed < 2**64:
            raise UserError(f"--seed is {self.seed}; it must be from 0 to {2**64 - 1}.")


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Which net is asked about which pictures."""

    export: Path = field(metadata={"positional": "EXPORT"})
    """The folder of an export."""
    pictures: tuple[Path, ...] = field(metadata={"positional": "PICTURE"})
    """Files of pictures, such as PNG or JPEG; their central part is resized to the net's images."""
