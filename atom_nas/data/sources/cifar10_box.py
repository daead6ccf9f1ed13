"""CIFAR-10 in the box: nothing to download, 4,000 of its images and what was made of all others.

Real images, a row a class in `train.png`, `validation.png` and `test.png`; sets that were condensed
from all 45,000 training images; a table of what ConvNets reach when trained on these
(`--truth cifar10_box`); and what the same ConvNets score on images of the box.
benchmarks/make_assets.py makes the files, their manifest says how.
"""

from pathlib import Path

from atom_nas.data.images import Normalization
from atom_nas.data.mosaic import load_mosaic
from atom_nas.data.sources import _torchvision, cifar10
from atom_nas.data.splits import Defaults, Excerpt, Source
from atom_nas.errors import DamagedError
from atom_nas.storage.files import check_files, read_json

FULL_STEPS = 480
"""Of a net that is exported, on what the box holds: a minute on a CPU (benchmarks/README.md)."""

BOX = Path(__file__).parents[2] / "assets" / "cifar10"


def load(path: Path) -> Source:
    """Return the images in the box; the whole of CIFAR-10 is looked for under `path`."""
    try:
        manifest = read_json(BOX / "manifest.json")
        check_files(BOX, manifest["files"])
    except DamagedError as damage:
        raise damage.of_package from None
    names = cifar10.CLASS_NAMES
    train, validation, test = (
        load_mosaic(BOX / f"{name}.png", names) for name in ("train", "validation", "test")
    )

    measured = manifest["normalization"]

    def whole() -> Source | None:
        is_at_hand = _torchvision.is_at_hand(path, "cifar10", cifar10.FILES)
        return cifar10.load(path) if is_at_hand else None

    return Source(
        train=train,
        validation=validation,
        test=test,
        flip=True,
        whiten=True,
        defaults=Defaults(max_macs=manifest["truth"]["max_macs"], full_steps=FULL_STEPS),
        excerpt=Excerpt(
            of="cifar10",
            sets={name: BOX / "sets" / name for name in manifest["sets"]},
            truth="cifar10_box",
            scores=BOX / "scores.csv",
            whole=whole,
        ),
        measured=Normalization(mean=tuple(measured["mean"]), std=tuple(measured["std"])),
        about=cifar10.ABOUT,
    )
