"""Processes that torchrun started together: which of them this is, and which tells how they end."""

import os
import signal
from functools import cache
from typing import Any

from atom_nas.errors import UserError


def num_processes() -> int:
    """Return how many were started together, 1 where this was started by itself."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this process among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Return its number among those of this machine, from 0: that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def require_alone(command: str) -> None:
    """Refuse `command` where several processes were started together."""
    if num_processes() > 1:
        raise UserError(
            f"{num_processes()} processes were started together, but only distill shares its work "
            f"out over processes; start {command} without torchrun."
        )


@cache
def meeting_place() -> Any:
    """Return the `torch.distributed.Store` in which the processes leave word for each other."""
    from torch.distributed.rendezvous import rendezvous

    return next(rendezvous("env://"))[0]


def is_first_to_tell() -> bool:
    """Say whether no other of the processes has asked this, and so told why all of them end."""
    if num_processes() == 1:
        return True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing comes between this and the line
    try:
        return bool(meeting_place().add("told", 1) == 1)
    except Exception:  # torchrun itself has ended
        return True
