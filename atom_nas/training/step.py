"""One update of a net, which a GPU replays from a recording once it has seen it."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atom_nas.training.devices import autocast

PLAIN_CALLS = 2
"""Calls of each batch size before it is recorded: libraries choose their kernels in them."""

Record = Callable[[Callable[[], None]], Callable[[], None]]
"""From what launches kernels to what launches the same on the same memory, at once."""


class Step:
    """Forward, loss, backward, clipped gradient, update; nothing random, and nothing is read.

    With `record` a batch size is recorded after `PLAIN_CALLS`, and replayed from then on; where
    that raises (a net that reads from the device, say), steps go on plainly.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        max_grad_norm: float,
        device: torch.device,
        label_smoothing: float = 0.0,
        record: Record | None = None,
    ) -> None:
        """Update the parameters of `net`, all on `device`."""
        self._label_smoothing = label_smoothing
        self._net, self._optimizer, self._record = net, optimizer, record
        self._parameters, self._max_grad_norm = list(net.parameters()), max_grad_norm
        self._calls = Counter[int]()
        self._recorded: dict[int, tuple[Tensor, Tensor, Callable[[], None]]] = {}
        self.total = torch.zeros((), device=device)
        """The sum of the losses so far, on the device; set it to zero in place."""

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        """Update on `images` (B, C, H, W), channels_last, and `labels` (B,)."""
        size = len(labels)
        if self._record and size not in self._recorded and self._calls[size] == PLAIN_CALLS:
            self._recorded |= self._recording(images, labels)
        self._calls[size] += 1
        if size in self._recorded:
            place, labels_place, replay = self._recorded[size]
            place.copy_(images)
            labels_place.copy_(labels)
            replay()
        else:
            self._run(images, labels)

    def _recording(
        self, images: Tensor, labels: Tensor
    ) -> dict[int, tuple[Tensor, Tensor, Callable[[], None]]]:
        """Record a step on memory of its own; return nothing, for ever, where that raises."""
        assert self._record is not None
        images, labels = images.clone(), labels.clone()
        try:
            replay = self._record(lambda: self._run(images, labels))
        except Exception:  # whatever it was, the plain step that follows raises it too, or goes on
            self._record = None
            self._optimizer.zero_grad()
            return {}
        return {len(labels): (images, labels, replay)}

    def _run(self, images: Tensor, labels: Tensor) -> None:
        with autocast(images.device):
            logits = self._net(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self._label_smoothing)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm)
        self._optimizer.step()
        self.total += loss.detach()


def record_graph(launch: Callable[[], None]) -> Callable[[], None]:
    """Record what `launch` does on the current stream as a CUDA graph; nothing is computed yet."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    if stream == torch.cuda.default_stream():  # it cannot be recorded: another one is taken
        stream = torch.cuda.Stream()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        launch()
    return graph.replay
