"""The Python file and the README of an export: they need torch, safetensors and what the space
imports, but not this package."""

import ast
import sys
from pathlib import Path

from atom_nas.errors import UserError
from atom_nas.export.card import model_card

TAIL_BEGINS = """

# Added by the export: the trained net, its preprocessing and a command line.
"""
TAIL = (
    TAIL_BEGINS
    + '''
import argparse
import json
import pathlib

import safetensors.torch
import torch

FOLDER = pathlib.Path(__file__).parent
PREPROCESSING = json.loads((FOLDER / "preprocessing.json").read_text(encoding="utf-8"))
CLASS_NAMES = tuple(PREPROCESSING["class_names"])


def load_architecture(folder=FOLDER):
    """Return the architecture; `build` makes a fresh net of it, for any images and classes."""

    def restored(value):
        return tuple(map(restored, value)) if isinstance(value, list) else value

    text = (pathlib.Path(folder) / "architecture.json").read_text(encoding="utf-8")
    return Architecture(**{name: restored(value) for name, value in json.loads(text).items()})


def load_model(folder=FOLDER):
    """Return the trained net in evaluation mode.

    It takes what `preprocess` returns, (B, C, H, W), and gives logits (B, num_classes).
    """
    image_shape = tuple(PREPROCESSING["image_shape"])
    model = build(load_architecture(folder), image_shape, len(CLASS_NAMES))
    weights = safetensors.torch.load_file(pathlib.Path(folder) / "weights.safetensors")
    model.load_state_dict(weights)
    return model.eval()


def preprocess(pixels):
    """Standardise `pixels` (B, C, H, W), uint8, as the net was trained: (x / 255 - mean) / std."""
    constants = torch.tensor([PREPROCESSING["mean"], PREPROCESSING["std"]], device=pixels.device)
    mean, std = constants[:, :, None, None]
    return (pixels.float() / 255 - mean) / std


def read_picture(path):
    """Return the picture at `path` as uint8 pixels (C, H, W).

    Its central part of the images' aspect ratio is resized, bilinear and antialiased; what is
    transparent is white.
    """
    from PIL import Image, ImageOps

    channels, height, width = PREPROCESSING["image_shape"]
    if channels not in (1, 3):
        raise ValueError(f"the net takes images of {channels} channels, pictures have 1 or 3")
    with Image.open(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError(f"its mode is {picture.mode}, 8 bits a channel are needed")
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("L" if channels == 1 else "RGB")
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    data = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return data.view(height, width, channels).permute(2, 0, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the most probable classes of pictures.")
    parser.add_argument("pictures", nargs="+", metavar="picture.png")
    paths = parser.parse_args().pictures
    model = load_model()
    for path in paths:
        try:
            pixels = read_picture(path)
        except Exception as error:
            parser.error(f"{path}: {error}")
        with torch.inference_mode():
            probabilities = model(preprocess(pixels[None]))[0].softmax(0)
        best = probabilities.topk(min(3, len(CLASS_NAMES)))
        classes = [CLASS_NAMES[index] for index in best.indices]
        shares = zip(classes, best.values.tolist())
        print(f"{path}: " + ", ".join(f"{name} {share:.1%}" for name, share in shares))
'''
)


def portable_source(space_code: bytes) -> bytes:
    """Return the source of a space, byte for byte, followed by `TAIL`.

    Raises UserError where the space defines a name that the tail defines too.
    """
    clashes = sorted(_defined(ast.parse(space_code)) & _defined(ast.parse(TAIL)))
    if clashes:
        raise UserError(
            f"the space defines {', '.join(clashes)}, which the exported model.py defines "
            "too; give it another name."
        )
    return space_code + TAIL.encode("ascii")


def space_part(model: Path) -> bytes:
    """Return the source of the space in an exported model.py, byte for byte.

    The tails of all exports begin alike. Raises UserError where there is none.
    """
    source, begin, _ = model.read_bytes().partition(TAIL_BEGINS.encode("ascii"))
    if not begin:
        raise UserError(f"{model} is no model.py of an export; give the folder of one.")
    return source


def readme(name: str, folder: Path) -> str:
    """Return Markdown that says how to load the export called `name`, written in `folder`, and
    what is known of it."""
    imports = ", ".join(sorted(_third_party(ast.parse((folder / "model.py").read_bytes()))))
    lines = [
        f"# {name}\n",
        "- Here: `python model.py picture.png`, or `from model import load_model, preprocess, "
        "CLASS_NAMES` and `load_model()(preprocess(pixels))` for uint8 pixels "
        f"(batch, channels, height, width). model.py imports {imports}.",
        "- On other data: `build(load_architecture(), image_shape, num_classes)` of model.py is "
        "the same net, untrained.",
    ]
    if (folder / "model.pt2").exists():
        lines.append(
            "- With torch alone: `torch.export.load('model.pt2').module()(images)`, the images "
            "float32, preprocessed as preprocessing.json says."
        )
    if (folder / "model.onnx").exists():
        lines.append(
            "- With onnxruntime: `InferenceSession('model.onnx').run(None, {'images': images})`, "
            "the same images as an array."
        )
    return "\n".join(lines) + "\n\n" + model_card(folder)


def _defined(module: ast.Module) -> set[str]:
    names = set()
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _third_party(module: ast.Module) -> set[str]:
    modules = set()
    for node in ast.walk(module):
        match node:
            case ast.Import(names=aliases):
                modules |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(name)):
                modules.add(name)
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
