"""The end of connections whose clients are too slow, which the server itself would hold until they go."""

import asyncio
import os
import socket
import stat
from contextlib import suppress
from typing import Any

SOON = 1.0
"""Seconds from the end of an answer until its connection is ended, so that the answer leaves before."""


class Sweep:
    """Ends connections of this process by the address of the client: all that are found at the same time in one pass."""

    def __init__(self) -> None:
        self._wanted: set[tuple[str, int]] = set()

    def end(self, scope: Any) -> None:
        """Have the connection of a request end SOON. Its answer must have been handed over, or there is none."""
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._find)
        host, port = scope["client"]
        self._wanted.add((host, int(port)))

    def _find(self) -> None:
        """Take hold of the connections themselves: by the time they end, others may have the same addresses."""
        wanted, self._wanted = self._wanted, set()
        found = []
        for name in os.listdir("/dev/fd"):  # noqa: PTH208  (these are numbers, not paths)
            with suppress(OSError):
                number = int(name)
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    connection = socket.socket(fileno=os.dup(number))
                    if _client(connection) in wanted:
                        found.append(connection)
                    else:
                        connection.close()
        asyncio.get_running_loop().call_later(SOON, _end, found)


def _client(connection: socket.socket) -> tuple[str, int] | None:
    """The address of who is connected; None for what is no connection."""
    try:
        host, port, *_ = connection.getpeername()
    except (OSError, ValueError):
        return None
    return host, port


def _end(connections: list[socket.socket]) -> None:
    for connection in connections:
        with connection, suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
