"""A pretended GPU: on any machine tensors can lie on `cuda:0`, with shape and type but no values.

What a program asks of the GPU is counted: kernels that it would launch, and waits, that is where
the process could go on only when the GPU has done all its work. A tensor on the wrong device and a
generator of the wrong device raise, as they would, and so does a wait while a graph is recorded.
Values, memory, layouts, waits inside a kernel's own code and the order of streams cannot be seen:
whatever is read back from the device is 1, and what is replayed does nothing.

It rests on private names of torch. Where one is missing, the module that imports this is skipped.
"""

import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Self
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.overrides import TorchFunctionMode

try:
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
    from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
    from torch.utils._pytree import tree_leaves
except ImportError as _error:
    pytest.skip(f"this torch lacks a name: {_error}", allow_module_level=True)

aten = torch.ops.aten

FREE_BYTES, TOTAL_BYTES = 60 * 2**30, 80 * 2**30
"""What the device says of its memory."""


class FakeGpu(TorchDispatchMode):
    """Pretends every operation with a tensor on `cuda:0`, counts it, and runs all others.

    `kernels` counts by operation; a view is none. `waits` counts by kind: "read" of a value,
    "to cpu", "from cpu" and "synchronize". `sent` counts the copies from page-locked memory, which
    nothing waits for. Kernels that are recorded in a graph are counted in `recorded`, and how often
    graphs are replayed in `replays`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.sent = 0
        self.recorded: Counter[str] = Counter()
        self.replays = 0
        self._is_recording = False
        self._pretence = FakeTensorMode(allow_non_fake_inputs=True)

    def forget(self) -> None:
        self.kernels.clear()
        self.waits.clear()
        self.recorded.clear()
        self.sent = self.replays = 0

    def synchronize(self, device: torch.device | None = None) -> None:
        """Wait, as torch.cuda.synchronize does."""
        self._wait("synchronize")

    @contextmanager
    def graph(self, graph: "FakeGraph", **_: Any) -> Iterator[None]:
        """Record what is launched meanwhile, as torch.cuda.graph does."""
        graph.gpu, self._is_recording = self, True
        try:
            yield
        finally:
            self._is_recording = False

    def _wait(self, kind: str) -> None:
        if self._is_recording:
            raise RuntimeError(f"operation not permitted when stream is capturing ({kind})")
        self.waits[kind] += 1

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        is_on_gpu = any(isinstance(tensor, FakeTensor) for tensor in tensors)
        target = torch.device(kwargs.get("device") or "meta").type
        if not is_on_gpu and target != "cuda":
            is_locked = bool(kwargs.pop("pin_memory", False))
            result = func(*args, **kwargs)
            if is_locked:
                result.is_locked = True
            return result
        if torch.is_inference_mode_enabled() and func.namespace == "aten":
            with self:  # in inference mode operations arrive before they were taken apart
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if func is aten._local_scalar_dense.default:
            self._wait("read")
            return torch.ones((), dtype=args[0].dtype, device="cpu").tolist()
        if is_on_gpu and target == "cpu":
            self._wait("to cpu")
            with _disable_current_modes():
                return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        self._count_transfers(tensors, target, is_async=bool(kwargs.get("non_blocking")))
        if func is aten.index.Tensor and args[0].device.type == "cpu":
            raise RuntimeError("a tensor on the CPU is indexed by one on the GPU")
        if func.overloadpacket is aten._fused_sgd_:  # it changes its tensors, and has no pretence
            result = None
        else:
            with self._pretence:
                result = func(*args, **kwargs)
        if func.namespace != "prim" and not func.is_view and func is not aten.detach.default:
            counted = self.recorded if self._is_recording else self.kernels
            counted[str(func)] += 1
        return result

    def _count_transfers(self, tensors: Sequence[Tensor], target: str, *, is_async: bool) -> None:
        for tensor in tensors:
            # A scalar goes along as the argument of a kernel, unless it is to lie on the device.
            if isinstance(tensor, FakeTensor) or not (tensor.dim() or target == "cuda"):
                continue
            if is_async and getattr(tensor, "is_locked", False):
                self.sent += 1
            else:
                self._wait("from cpu")


class FakeGraph:
    gpu: FakeGpu

    def replay(self) -> None:
        self.gpu.replays += 1


class FakeStream:
    """A stream, of which none is the default one."""

    def __init__(self, device: torch.device | None = None) -> None: ...

    def wait_stream(self, other: "FakeStream") -> None: ...


class FakeGenerator(torch.Generator):
    """A generator of the CPU that passes for one of the device it was made for."""

    claimed: str

    def __new__(cls, device: torch.device | str = "cpu") -> Self:
        self = super().__new__(cls)
        self.claimed = torch.device(device).type
        return self


class GeneratorCheck(TorchFunctionMode):
    """Raises where a result lies on another device than the generator it was drawn with."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result, generator = func(*args, **(kwargs or {})), (kwargs or {}).get("generator")
        if generator is not None and isinstance(result, Tensor):
            claimed = getattr(generator, "claimed", "cpu")
            if claimed != result.device.type:
                raise RuntimeError(f"a generator of {claimed} draws a tensor on {result.device}")
        return result


def apply_to_module(module: nn.Module, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
    """Do as nn.Module._apply, which cannot exchange pretended parameters."""
    for child in module.children():
        apply_to_module(child, fn)
    with torch.no_grad():
        for key, value in module._parameters.items():
            if value is not None:
                module._parameters[key] = nn.Parameter(fn(value), value.requires_grad)
        for key, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[key] = fn(buffer)
    return module


def run_backward(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Tensor] = (),
    *_: Any,
    accumulate_grad: bool,
    **__: Any,
) -> tuple[Tensor | None, ...]:
    """Do as torch's engine of gradients, which refuses `cuda` where there is no GPU.

    A node runs after all that its gradient is summed from. No second derivatives, no hooks.
    """
    edges = [(edge.node, edge.output_nr) for edge in map(get_gradient_edge, outputs)]
    wanted = [(edge.node, edge.output_nr) for edge in map(get_gradient_edge, inputs or ())]
    pending = _Sums()
    reached = _Sums()
    for edge, gradient in zip(edges, gradients, strict=True):
        pending.add(edge, gradient)
    with torch.no_grad():
        for node in _in_order([node for node, _ in edges]):
            given: list[Tensor | None] = []
            is_reached = False
            for number, expected in enumerate(node._input_metadata):
                shape, where = tuple(expected.shape), {"device": expected.device}
                gradient = pending.pop((node, number), None)
                if gradient is not None:
                    assert gradient.device == expected.device, (node, gradient.device)
                    gradient = gradient.sum_to_size(shape).to(expected.dtype)
                    reached[node, number], is_reached = gradient, True
                elif hasattr(node, "_forward_cls"):  # a Function of Python's gets no None
                    gradient = torch.zeros(shape, dtype=expected.dtype, **where)
                given.append(gradient)
            if hasattr(node, "variable"):
                if accumulate_grad:
                    leaf, (gradient,) = node.variable, given
                    leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
            elif is_reached:
                results = (node.apply if hasattr(node, "_forward_cls") else node)(*given)
                results = results if isinstance(results, tuple) else (results,)
                for edge, result in zip(node.next_functions, results, strict=False):
                    if edge[0] is not None and result is not None:
                        pending.add(edge, result)
    return tuple(reached.get(edge) for edge in wanted)


class _Sums(dict[tuple[Any, int], Tensor]):
    """Gradients by (node, number of its input)."""

    def add(self, edge: tuple[Any, int], gradient: Tensor) -> None:
        self[edge] = self[edge] + gradient if edge in self else gradient


def _in_order(roots: Sequence[Any]) -> list[Any]:
    """Return all nodes from `roots` on, each before those that it passes gradients to."""
    finished: list[Any] = []
    seen = set()
    stack = [(node, False) for node in roots]
    while stack:
        node, is_finished = stack.pop()
        if is_finished:
            finished.append(node)
        elif node is not None and node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(child, False) for child, _ in node.next_functions]
    return finished[::-1]


REPLACED: dict[str, Any] = {
    "torch.Generator": FakeGenerator,
    "torch.cuda._lazy_init": lambda: None,
    "torch.cuda.get_rng_state": lambda device="cuda": torch.zeros(16, dtype=torch.uint8),
    "torch.cuda.set_rng_state": lambda state, device="cuda": None,
    "torch.cuda.manual_seed_all": lambda seed: None,
    "torch.cuda.device_count": lambda: 1,
    "torch.cuda.is_bf16_supported": lambda including_emulation=True: True,
    "torch.cuda.mem_get_info": lambda device=None: (FREE_BYTES, TOTAL_BYTES),
    "torch.cuda.reset_peak_memory_stats": lambda device=None: None,
    "torch.cuda.Stream": FakeStream,
    "torch.cuda.stream": lambda stream: nullcontext(),
    "torch.cuda.current_stream": FakeStream,
    "torch.cuda.default_stream": FakeStream,
    "torch.cuda.CUDAGraph": FakeGraph,
    "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
    "torch.nn.Module._apply": apply_to_module,
    "torch.autograd._engine_run_backward": run_backward,
}
"""What a GPU would answer, by the name of what asks it."""

for _name in (
    *REPLACED,
    "torch._C._ensureCUDADeviceGuardSet",
    "torch._C._set_only_lift_cpu_tensors",
):
    try:
        pkgutil.resolve_name(_name)
    except (AttributeError, ModuleNotFoundError):
        pytest.skip(f"this torch has no {_name}", allow_module_level=True)


@contextmanager
def fake_cuda() -> Iterator[FakeGpu]:
    """Let `cuda:0` be there; yields what counts kernels and waits."""
    with ExitStack() as stack:
        for name, value in REPLACED.items():
            stack.enter_context(mock.patch(name, value))
        torch._C._ensureCUDADeviceGuardSet()
        # Without this torch.tensor(..., device="cuda") would be made on the device, not copied.
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch._C._set_only_lift_cpu_tensors, False)
        stack.enter_context(GeneratorCheck())
        gpu = FakeGpu()
        stack.enter_context(mock.patch("torch.cuda.synchronize", gpu.synchronize))
        stack.enter_context(mock.patch("torch.cuda.graph", gpu.graph))
        yield stack.enter_context(gpu)
