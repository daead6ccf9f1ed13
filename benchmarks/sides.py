"""Two loops that are compared: each in a process of its own, which take turns."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Side:
    """A process that runs `serve(*args, connection)`: it answers each message with one."""

    def __init__(self, serve: Callable[..., None], *args: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, connection = context.Pipe()
        self._process = context.Process(target=_serve, args=(serve, *args, connection))
        self._process.start()
        connection.close()

    def take_turn(self, message: object = None) -> Any:
        """Have it do `message`, and return its answer."""
        self._connection.send(message)
        return self._connection.recv()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _serve(serve: Callable[..., None], *args: Any) -> None:
    connection: Connection = args[-1]
    try:
        serve(*args)
    except EOFError:
        connection.close()
