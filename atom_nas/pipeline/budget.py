"""What a candidate of a run may cost, and what it costs: counted, and measured if need be."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from atom_nas.data.splits import Dataset
from atom_nas.options import Options
from atom_nas.scoring.latencies import Latencies
from atom_nas.scoring.space import Space
from atom_nas.search.candidate import Limits
from atom_nas.storage.table import OpenTable
from atom_nas.training.cost import Cost

FLAGS = "--max-params, --max-macs and --max-latency-ms"
"""The options that set the limits."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The limits of a run on a candidate."""

    space: Space
    limits: Limits
    latencies: Latencies | None = None
    """None where no latency is limited or optimised, and so none measured."""

    def cost(self, architecture: Any) -> Cost:
        """Return what `architecture` costs, with its latency where the counted limits allow it.

        Raises what building it raises, or a forward pass where that is timed.
        """
        cost = self.space.cost(architecture)
        if self.latencies is None or not self.limits.allow(cost):
            return cost
        return replace(cost, latency_ms=self.latencies.measure(architecture).median_ms)

    def limited_cost(self, architecture: Any) -> Cost:
        """Return what the limits ask of `architecture`: a latency only where it is limited."""
        is_timed = self.limits.latency_ms is not None
        return (self.cost if is_timed else self.space.cost)(architecture)


def open_budget(
    options: Options,
    folder: Path,
    dataset: Dataset,
    space: Space,
    device: torch.device,
    open_table: OpenTable,
) -> Budget:
    """Return the limits that `options` and the data set give; latencies lie in the run `folder`."""
    limits = Limits(
        num_params=options.max_params,
        macs=options.max_macs or dataset.defaults.max_macs,
        latency_ms=options.max_latency_ms,
    )
    latencies = None
    if options.max_latency_ms is not None or options.is_latency_optimised:
        latencies = Latencies(
            folder / "latency.csv",
            space=space,
            device=device,
            batch_size=options.latency_batch,
            open_table=open_table,
        )
    return Budget(space=space, limits=limits, latencies=latencies)
