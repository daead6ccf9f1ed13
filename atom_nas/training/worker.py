"""A worker process: it does a job at a time, on one thread, until who gives the jobs ends."""

import os
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from queue import SimpleQueue
from threading import Thread
from typing import Any

import torch

from atom_nas.errors import UserError, explain
from atom_nas.training.memory import keep_freed_memory
from atom_nas.training.shared import attach

READY = "ready"


def main(handle: int) -> None:
    """Say `READY` on the socket `handle`, then answer what comes with (is_fine, result or error).

    A job is (work, order, shapes), and a file descriptor of examples for each of the shapes:
    `work(order, *examples)` is called. The process ends with the socket, even in the midst of it.
    """
    keep_freed_memory(torch.device("cpu"))
    connection, jobs = Connection(handle), SimpleQueue[Any]()
    Thread(target=_listen, args=(connection, jobs), daemon=True).start()
    connection.send(READY)
    while True:
        connection.send(_answer(*jobs.get()))


def _listen(connection: "Connection[Any, Any]", jobs: "SimpleQueue[Any]") -> None:
    try:
        while True:
            work, order, shapes = connection.recv()
            jobs.put((work, order, [(recv_handle(connection), shape) for shape in shapes]))
    finally:
        os._exit(1)


def _answer(work: Any, order: Any, sets: list[tuple[int, tuple[int, ...]]]) -> tuple[bool, Any]:
    torch.set_num_threads(1)  # each time: a candidate may have set it
    try:
        return True, work(order, *(attach(handle, shape) for handle, shape in sets))
    except UserError as error:
        return False, UserError(str(error))
    except BaseException as error:
        return False, RuntimeError(explain(error))
    finally:
        for handle, _ in sets:
            os.close(handle)
