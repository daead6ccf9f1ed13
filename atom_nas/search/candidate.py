"""What a search tries: candidates, within limits on their cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atom_nas.search.objectives import Objectives, front
from atom_nas.training.cost import Cost


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper limits on a candidate; None for no limit."""

    num_params: int | None = None
    macs: int | None = None
    latency_ms: float | None = None

    def excess(self, cost: Cost) -> dict[str, float]:
        """Return for each limit by how much `cost` is above it; allowed where all are <= 0.

        A latency that was not measured is above none: then a counted limit decides.
        """
        pairs = (
            ("num_params", cost.num_params, self.num_params),
            ("macs", cost.macs, self.macs),
            ("latency_ms", cost.latency_ms, self.latency_ms),
        )
        return {
            name: float(value - limit)
            for name, value, limit in pairs
            if value is not None and limit is not None
        }

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
    """The score that the search maximises, beside costs or alone; None where it failed."""
    accuracy: float | None
    """On the validation split, trained on the proxy; a fraction. None where it failed."""
    cost: Cost | None
    seconds: float | None
    is_uniform: bool
    """Drawn uniformly, hence fit for an audit, rather than picked by the optimiser."""
    reason: str
    """Why it failed, or empty."""


def best_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return those that were scored, the best by the objective first; of equals the smaller."""

    def order(candidate: Candidate) -> tuple[float, int]:
        assert candidate.objective is not None and candidate.cost is not None
        return -candidate.objective, candidate.cost.num_params

    return sorted((each for each in candidates if each.objective is not None), key=order)


def front_of(candidates: Iterable[Candidate], objectives: Objectives) -> list[Candidate]:
    """Return those on the front, the best score first; of equals the smaller."""

    def losses(candidate: Candidate) -> tuple[float, ...]:
        assert candidate.objective is not None and candidate.cost is not None
        return objectives.losses(candidate.objective, candidate.cost)

    return front(best_first(candidates), losses)
