"""The measured latencies of a run: one a candidate, kept as soon as it is known."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from atom_nas.scoring.space import Space, candidate_name, no_exit
from atom_nas.storage.progress import SECONDS_APART, tell
from atom_nas.storage.row_log import RowLog
from atom_nas.storage.table import Key, OpenTable, Row, fill
from atom_nas.training.latency import Latency, measure_latency

KEY = ("candidate", "device", "batch_size")
COLUMNS = (*KEY, "median_ms", "iqr_ms", "runs")


class Latencies:
    """The table of latencies at a path, which measures what it does not hold.

    A second measurement would not be the same: what is allowed goes by the first, for ever.
    """

    def __init__(
        self,
        path: Path,
        *,
        space: Space,
        device: torch.device,
        batch_size: int,
        open_table: OpenTable = RowLog,
    ) -> None:
        """Open the table; nets of `space` take `batch_size` images at a time on `device`."""
        self._table = open_table(path, COLUMNS, key=KEY)
        self._space, self._device, self._batch_size = space, device, batch_size
        is_cuda = device.type == "cuda"
        self._device_name = torch.cuda.get_device_name(device) if is_cuda else device.type
        self._untold_seconds = 0.0

    def measure(self, architecture: Any) -> Latency:
        """Return the latency of `architecture`, measured now or before.

        Raises what building it or a forward pass raises.
        """
        key = (candidate_name(architecture), self._device_name, str(self._batch_size))

        def time(keys: list[Key], may: Callable[[Key], bool]) -> Iterator[tuple[Row, bytes]]:
            if may(key):
                yield {**dict(zip(KEY, key, strict=True)), **self._time(architecture)}, b""

        for _ in fill(self._table, [key], time):
            pass
        row = self._table.find(key)
        assert row is not None
        return Latency(
            median_ms=float(row["median_ms"]), iqr_ms=float(row["iqr_ms"]), runs=int(row["runs"])
        )

    def _time(self, architecture: Any) -> dict[str, float]:
        start = monotonic()
        with no_exit():
            net = self._space.build(architecture, seed=0)
            found = measure_latency(net, self._space.image_shape, self._batch_size, self._device)
        self._untold_seconds += monotonic() - start
        if self._untold_seconds > SECONDS_APART:
            known = [found.median_ms, *(float(row["median_ms"]) for row in self._table.rows)]
            tell(
                f"latency: {len(known)} candidates measured, the fastest takes {min(known):.3g} ms"
            )
            self._untold_seconds = 0.0
        return {"median_ms": found.median_ms, "iqr_ms": found.iqr_ms, "runs": found.runs}

    def facts(self, architecture: Any) -> dict[str, object]:
        """Return the latency of `architecture` and how it was measured, as metrics of a net."""
        found = self.measure(architecture)
        return {
            "latency_ms": found.median_ms,
            "latency_iqr_ms": found.iqr_ms,
            "latency_runs": found.runs,
            "latency_batch": self._batch_size,
            "latency_device": self._device_name,
        }
