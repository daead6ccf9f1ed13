"""Worker processes on a CPU: each takes a job at a time, and what ends it costs that job alone."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

from atom_nas.errors import UserError
from atom_nas.training.awake import AwakeClock
from atom_nas.training.shared import Shared
from atom_nas.training.worker import READY

PATIENCE = 24 * 3600.0
"""Seconds after which a job is stopped where none has ended yet that it could be compared with."""

MIN_PATIENCE, TIMES_LONGER = 3600.0, 20
"""Else it is stopped where it takes longer than both an hour and 20 times the longest so far."""

LOOK = 10.0
"""Seconds after which it is looked at again whether a job takes too long."""

MAX_STILLBORN = 3
"""Workers in a row that may end before they take a job."""

CAN_START = os.name == "posix"
"""Whether workers can be started: they are handed open sockets and files, not so on Windows."""

_BOOT = """
import signal, sys, json
signal.signal(signal.SIGINT, signal.SIG_IGN)
socket, module, paths = sys.argv[1:]
sys.path[:] = json.loads(paths)
from atom_nas.training.worker import main
__import__(module)
main(int(socket))
"""
"""An interrupt is the parent's: it closes the socket, which ends the worker."""

Job = tuple[Any, Sequence[Shared]]
"""What `work` gets: an order that can be pickled, and sets of examples."""


def num_cores() -> int:
    """Return how many cores this process may use, by its affinity and by its control group."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed


@dataclass(frozen=True)
class Lost:
    """In place of a result: why there is none."""

    reason: str


class Pool:
    """Processes that are started when there is work for them, and stay until `close`.

    They are fresh interpreters, so that neither threads nor the caller's main module are copied. A
    worker that ends in the midst of a job has it done again by another, once; one that takes too
    long is killed, a pause of this process not counted. Workers end with the process that started
    them, however that ends.
    """

    def __init__(self, work: Callable[..., Any], num_workers: int) -> None:
        """Let at most `num_workers` processes do `work`, a function of a module."""
        self.num_workers = num_workers
        self._work, self._workers, self._stillborn = work, list[_Worker](), 0
        self._clock = AwakeClock(LOOK)

    @property
    def is_running(self) -> bool:
        """Whether workers are there already."""
        return bool(self._workers)

    def run(
        self, jobs: Sequence[Job], may_begin: Callable[[int], bool] = lambda position: True
    ) -> Iterator[tuple[int, Any]]:
        """Yield (position, result or Lost) of each of `jobs`, in the order in which they end.

        Those of whose position `may_begin` says no are left; it is asked when one would begin.
        Raises what `work` raises, and UserError where workers do not start.
        """
        waiting, killed, longest = deque(range(len(jobs))), set[int](), 0.0
        try:
            while waiting or self._busy:
                self._assign(jobs, waiting, may_begin)
                if not waiting and not self._busy:
                    break
                patience = max(MIN_PATIENCE, TIMES_LONGER * longest) if longest else PATIENCE
                for worker in self._listen():
                    position, seconds = worker.position, self._clock.read() - worker.since
                    try:
                        message = worker.connection.recv()
                    except (EOFError, OSError):
                        status = self._bury(worker)
                        if position is None:
                            continue
                        if position in killed:
                            yield position, Lost(f"its process ended twice ({status})")
                        else:
                            killed.add(position)
                            waiting.appendleft(position)
                        continue
                    worker.position = None
                    if message == READY:
                        worker.is_ready, self._stillborn = True, 0
                        continue
                    is_fine, result = message
                    if not is_fine:
                        raise result
                    assert position is not None
                    longest = max(longest, seconds)
                    yield position, result
                for worker in self._busy:
                    is_late = self._clock.read() - worker.since > patience
                    if is_late and worker.position is not None:
                        self._stop(worker)
                        yield worker.position, Lost(f"it took longer than {patience:g} s")
        finally:
            for worker in self._busy:
                self._stop(worker)

    def close(self) -> None:
        """End all workers."""
        for worker in [*self._workers]:
            self._stop(worker)

    @property
    def _busy(self) -> "list[_Worker]":
        return [worker for worker in self._workers if worker.position is not None]

    def _assign(
        self, jobs: Sequence[Job], waiting: deque[int], may_begin: Callable[[int], bool]
    ) -> None:
        """Start as many workers as there is work for, and give to those that are idle."""
        while len(self._workers) < min(self.num_workers, len(waiting) + len(self._busy)):
            self._workers.append(_Worker(self._work.__module__))
        for worker in self._workers:
            while waiting and worker.is_ready and worker.position is None:
                position = waiting.popleft()
                if may_begin(position):
                    worker.take(self._work, position, jobs, since=self._clock.read())

    def _listen(self) -> "list[_Worker]":
        """Wait, for one look, until workers say something or end."""
        heard = wait([worker.connection for worker in self._workers], LOOK)
        return [worker for worker in self._workers if worker.connection in heard]

    def _bury(self, worker: "_Worker") -> str:
        """Take note of a worker that ended by itself, and return its status in words."""
        status = self._stop(worker)
        if not worker.is_ready:
            self._stillborn += 1
        if self._stillborn == MAX_STILLBORN:
            raise UserError(
                f"{MAX_STILLBORN} worker processes ended before their first job ({status}); "
                "train in this process with --workers 1."
            )
        return status

    def _stop(self, worker: "_Worker") -> str:
        self._workers.remove(worker)
        return worker.stop()


class _Worker:
    def __init__(self, module: str) -> None:
        """Start a process that imports `module` before it says that it is ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            args = [str(theirs.fileno()), module, json.dumps(sys.path)]
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, *args],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self.connection: Connection[Any, Any] = Connection(ours.detach())
        self.is_ready, self.since = False, 0.0
        self.position: int | None = None

    def take(
        self, work: Callable[..., Any], position: int, jobs: Sequence[Job], *, since: float
    ) -> None:
        """Begin with the job at `position`."""
        order, sets = jobs[position]
        self.position, self.since = position, since
        with suppress(OSError):  # it has ended: that is heard when it is listened to
            self.connection.send((work, order, [each.shape for each in sets]))
            for each in sets:
                send_handle(self.connection, each.handle, self.process.pid)

    def stop(self) -> str:
        """End it, and return in words how it ended."""
        self.connection.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.1)  # what ended by itself keeps its own status
        self.process.kill()
        status = self.process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"
