"""The hours that a command gives its search."""

from time import monotonic

from atom_nas.report.wording import duration


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
        self, *, done: int, wanted: int, seconds: float | None, together: int, workers: int
    ) -> str:
        """Say how many of the `wanted` trials will roughly be done when the hours are over.

        `done` are there already; one takes `seconds`. Of those that lack, the first `together` are
        trained by so many `workers` at once, the others one by one. Nothing is said where
        there is no end, or nothing is known of a trial.
        """
        if self.hours is None or seconds is None:
            return ""
        left = max(0.0, self.seconds_left)
        seconds = max(seconds, 1e-3)
        at_once = min(together, int(left * workers / seconds))
        one_by_one = int((left - at_once * seconds / workers) / seconds)
        fit = min(wanted, done + at_once + (one_by_one if at_once == together else 0))
        return (
            f"about {fit} of {wanted} trials fit into {self.hours:g} hours at "
            f"{duration(seconds)} a trial."
        )
