"""An export read again: held to what it was written as, and asked for classes."""

import runpy
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from atom_nas.errors import UserError, explain, require_regular
from atom_nas.export.folder import VERIFICATION
from atom_nas.storage.files import check_files, read_json

TO_PREDICT = ("model.py", "architecture.json", "weights.safetensors", "preprocessing.json")
TO_RETRAIN = ("model.py", "architecture.json", "metrics.json")
"""The files that a use of an export needs, each held to its digest."""

MOST_PROBABLE = 3
"""Classes that are named for a picture."""


def require_export(folder: Path, needed: Iterable[str]) -> None:
    """Raise UserError where `folder` is no export, DamagedError where a file is not as written."""
    for name in (VERIFICATION, "model.py"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} is no export, it has no {name}; give a folder that `atom-nas run`, "
                "`export` or `retrain` wrote."
            )
    digests = read_json(folder / VERIFICATION)["digests"]
    check_files(folder, {name: digests[name] for name in needed})


def answers(folder: Path, pictures: Iterable[Path]) -> Iterator[str]:
    """Yield a line for each of `pictures`: its most probable classes, by the export in `folder`.

    Raises UserError where `folder` is no export, a file of it is damaged or does not run, or a
    picture cannot be read.
    """
    require_export(folder, TO_PREDICT)
    try:
        module = runpy.run_path(str(folder / "model.py"), run_name="_exported_model")
        model, names = module["load_model"](), module["CLASS_NAMES"]
    except (Exception, SystemExit) as error:  # whatever the code of a user's space leads to
        raise UserError(f"{folder / 'model.py'} does not run: {explain(error)}") from error
    for path in pictures:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give one export, and then pictures.")
        try:
            require_regular(path)
            pixels = module["read_picture"](path)
        except Exception as error:  # the readers of damaged pictures share no base class
            raise UserError(
                f"{path} cannot be read ({explain(error)}); give pictures of 8 bits a channel, "
                "such as PNG or JPEG."
            ) from error
        with torch.inference_mode():
            probabilities = model(module["preprocess"](pixels[None]))[0].softmax(0)
        best = probabilities.topk(min(MOST_PROBABLE, len(names)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        yield f"{path}: " + ", ".join(f"{names[index]} {share:.1%}" for index, share in pairs)
