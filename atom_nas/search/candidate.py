"""What a search tries: candidates, within limits on their cost."""

from dataclasses import dataclass
from typing import Any

from atom_nas.training.cost import Cost


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper limits on a candidate; None for no limit."""

    num_params: int | None = None
    macs: int | None = None

    def excess(self, cost: Cost) -> dict[str, float]:
        """Return for each limit by how much `cost` is above it; allowed where all are <= 0."""
        pairs = {"num_params": (cost.num_params, self.num_params), "macs": (cost.macs, self.macs)}
        return {k: float(value - limit) for k, (value, limit) in pairs.items() if limit is not None}

    def allow(self, cost: Cost) -> bool:
        """Say whether `cost` is within the limits."""
        return all(value <= 0 for value in self.excess(cost).values())


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One architecture of the search, and how it did."""

    trial: int
    name: str
    architecture: Any
    """None where the space could not even sample one."""
    seed: int | None
    """Of its trainings; None where there is no architecture."""
    objective: float | None
    """What the search maximises; None where it failed."""
    accuracy: float | None
    """On the validation split, trained on the proxy; a fraction. None where it failed."""
    cost: Cost | None
    seconds: float | None
    is_uniform: bool
    """Drawn uniformly, hence fit for an audit, rather than picked by the optimiser."""
    reason: str
    """Why it failed, or empty."""
