"""Several trainings in one process, a part of each in turn; on a GPU each on its own stream."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from typing import TypeVar

import torch

Result = TypeVar("Result")


def finish(training: Generator[None, None, Result]) -> Result:
    """Go on with `training` to its end, and return what it returns."""
    while True:
        try:
            next(training)
        except StopIteration as end:
            result: Result = end.value
            return result


def in_turn(
    trainings: Sequence[Generator[None, None, Result]],
    at_once: int,
    device: torch.device,
    may_begin: Callable[[int], bool] = lambda position: True,
) -> Iterator[tuple[int, Result]]:
    """Yield (position, what it returns) for each of `trainings` as they end, `at_once` under way.

    While one waits for a GPU to finish its part, the others have work there. Those of whose
    position `may_begin` says no are left; it is asked when one would begin.
    """
    waiting = deque(enumerate(trainings))
    running = deque[tuple[int, Generator[None, None, Result], torch.cuda.Stream | None]]()
    while waiting or running:
        while waiting and len(running) < at_once:
            position, training = waiting.popleft()
            if may_begin(position):
                running.append((position, training, _new_stream(device)))
        if not running:
            return
        position, training, stream = running.popleft()
        try:
            with torch.cuda.stream(stream) if stream else nullcontext():
                next(training)
        except StopIteration as end:
            yield position, end.value
        else:
            running.append((position, training, stream))


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    """Return a stream that begins after what the current one was given; none but on a GPU."""
    if device.type != "cuda":
        return None
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    return stream
