"""How long this process has been awake: a pause of it is no time in which work could be done."""

import time


class AwakeClock:
    """Seconds for which this process ran, if it is read at least every `interval` seconds.

    Of a longer gap between two readings, as where it was stopped (Ctrl-Z) or the machine slept,
    two intervals count.
    """

    def __init__(self, interval: float) -> None:
        """Begin at 0."""
        self._interval, self._seconds, self._read = interval, 0.0, time.monotonic()

    def read(self) -> float:
        """Return the seconds so far."""
        now = time.monotonic()
        self._seconds += min(now - self._read, 2 * self._interval)
        self._read = now
        return self._seconds
