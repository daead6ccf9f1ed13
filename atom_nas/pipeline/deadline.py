"""The hours that a command gives its search."""

from time import monotonic

from atom_nas.report.wording import duration
from atom_nas.search.study import PICKED_TOGETHER


class Deadline:
    """So many hours from when it was made, after which no trial begins; None for no end."""

    def __init__(self, hours: float | None) -> None:
        self.hours, self._start = hours, monotonic()

    @property
    def seconds_left(self) -> float:
        """Until the hours are over, below 0 after that; infinite where there is no end."""
        if self.hours is None:
            return float("inf")
        return 3600 * self.hours - (monotonic() - self._start)

    def is_ahead(self) -> bool:
        """Say whether a trial may begin now."""
        return self.seconds_left > 0

    def forecast(
        self, *, done: int, wanted: int, seconds: float | None, uniform: int, workers: int
    ) -> str:
        """Say how many of the `wanted` trials will roughly be done when the hours are over.

        `done` are there already; one takes `seconds`. So many `workers` train at once, but of those
        that lack, after the first `uniform`, no more than are picked together. Nothing is said
        where there is no end, or nothing is known of a trial.
        """
        if self.hours is None or seconds is None:
            return ""
        left = max(0.0, self.seconds_left)
        seconds = max(seconds, 1e-3)
        drawn = min(uniform, int(left * workers / seconds))
        picked = int((left / seconds - drawn / workers) * min(workers, PICKED_TOGETHER))
        fit = min(wanted, done + drawn + (picked if drawn == uniform else 0))
        return (
            f"about {fit} of {wanted} trials fit into {self.hours:g} hours at "
            f"{duration(seconds)} a trial."
        )
