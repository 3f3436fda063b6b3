"""The end of connections whose clients are too slow, which the server itself would hold until they go."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

SOON = 1.0
"""Seconds until a connection is ended, so that the answer leaves before."""


class Sweep:
    """Ends connections of this process by the address of the client: all that are due in one pass."""

    def __init__(self) -> None:
        self._due: set[tuple[str, int]] = set()

    def end(self, scope: Any) -> None:
        """Has the connection of a request end SOON."""
        if not self._due:
            asyncio.get_running_loop().call_later(SOON, self._pass)
        host, port = scope["client"]
        self._due.add((host, int(port)))

    def _pass(self) -> None:
        due, self._due = self._due, set()
        for name in os.listdir("/dev/fd"):  # noqa: PTH208  (these are numbers, not paths)
            with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as connection:
                if connection.getpeername()[:2] in due:
                    connection.shutdown(socket.SHUT_RDWR)
