"""A net as one file that needs none of its Python source: torch.export (.pt2) and ONNX (.onnx).

The graphs take images (B, C, H, W), float32, for any B >= 1, and give logits (B, num_classes).
"""

import importlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
BATCH = ({0: Dim("batch")},)

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a graph is written and loaded."""

    write: Callable[[ExportedProgram, str, Path], None]
    """(program, preprocessing as a text to carry along, path)."""
    load: Callable[[Path], Predict]
    """(path)."""


def missing_packages() -> list[str]:
    """Return the packages of the extra `export` that are not installed."""
    return [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]


def trace(net: nn.Module, image_shape: tuple[int, int, int]) -> ExportedProgram:
    """Return `net`, which is in evaluation mode, as a graph for any batch of images.

    Raises what torch.export raises where the Python of `net` depends on the images' values or on
    the batch size.
    """
    images = torch.zeros(2, *image_shape)  # torch.export would take a batch of 1 as a constant
    with _quiet():
        return torch.export.export(net, (images,), dynamic_shapes=BATCH)


def _write_pt2(program: ExportedProgram, preprocessing: str, path: Path) -> None:
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer, extra_files={"preprocessing.json": preprocessing})
    path.write_bytes(buffer.getvalue())


def _load_pt2(path: Path) -> Predict:
    predict: Predict = torch.export.load(path).module()
    return predict


def _write_onnx(program: ExportedProgram, preprocessing: str, path: Path) -> None:
    if missing := missing_packages():
        raise ModuleNotFoundError(f"not installed; pip install {' '.join(missing)}")
    with _quiet():
        graph = torch.onnx.export(
            program,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=BATCH,
            dynamo=True,
            verbose=False,
        )
    assert graph is not None
    graph.model.metadata_props["preprocessing"] = preprocessing
    graph.save(path)


def _load_onnx(path: Path) -> Predict:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def predict(images: Tensor) -> Tensor:
        (logits,) = session.run(None, {"images": images.numpy()})
        return torch.from_numpy(logits)

    return predict


FORMATS = {
    "model.pt2": Format(write=_write_pt2, load=_load_pt2),
    "model.onnx": Format(write=_write_onnx, load=_load_onnx),
}


@contextmanager
def _quiet() -> Iterator[None]:
    sink = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(sink), redirect_stderr(sink):
        warnings.simplefilter("ignore")
        yield
