"""A net as one file that needs none of its Python source: torch.export (.pt2) and ONNX (.onnx).

The graphs take images (B, C, H, W), float32, for any B >= 1, and give logits (B, num_classes).
"""

import importlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
BATCH = ({0: Dim("batch")},)

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a graph is written and loaded."""

    write: Callable[[nn.Module, Tensor, str, Path], None]
    """(net, images of a batch of at least 2, preprocessing as text to carry along, path)."""
    load: Callable[[Path], Predict]


def missing_packages() -> list[str]:
    """Return the packages of the extra `export` that are not installed."""
    return [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]


def _write_pt2(net: nn.Module, images: Tensor, preprocessing: str, path: Path) -> None:
    buffer = io.BytesIO()
    with _quiet():
        program = torch.export.export(net, (images,), dynamic_shapes=BATCH)
        torch.export.save(program, buffer, extra_files={"preprocessing.json": preprocessing})
    path.write_bytes(buffer.getvalue())


def _load_pt2(path: Path) -> Predict:
    predict: Predict = torch.export.load(path).module()
    return predict


def _write_onnx(net: nn.Module, images: Tensor, preprocessing: str, path: Path) -> None:
    if missing := missing_packages():
        raise ModuleNotFoundError(
            f"{', '.join(missing)} not installed; pip install 'atom-nas[export]'"
        )
    with _quiet():
        program = torch.onnx.export(
            net,
            (images,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=BATCH,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props["preprocessing"] = preprocessing
    program.save(path)


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
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
