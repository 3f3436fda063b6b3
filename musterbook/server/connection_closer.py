"""The closing of connections of slow clients. The server itself would keep them until the clients leave."""

import asyncio
import os
import socket
import stat
from contextlib import suppress
from typing import Any

CLOSE_DELAY = 1.0
"""Seconds from the end of a response until its connection is closed, so that the response is sent first."""


class ConnectionCloser:
    """A closer of this process's connections, by client address. One pass closes all that are due at the same time."""

    def __init__(self) -> None:
        self._to_close: set[tuple[str, int]] = set()

    def end(self, scope: Any) -> None:
        """Close the connection of a request after SOON. Its response must already be handed over, or there is none."""
        if not self._to_close:
            asyncio.get_running_loop().call_soon(self._find)
        host, port = scope["client"]
        self._to_close.add((host, int(port)))

    def _find(self) -> None:
        """Find the connections and hold them.

        Other connections may have the same addresses when they are closed.
        """
        addresses, self._to_close = self._to_close, set()
        connections = []
        for name in os.listdir("/dev/fd"):  # noqa: PTH208  (these are numbers, not paths)
            with suppress(OSError):
                number = int(name)
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    connection = socket.socket(fileno=os.dup(number))
                    if _get_client(connection) in addresses:
                        connections.append(connection)
                    else:
                        connection.close()
        asyncio.get_running_loop().call_later(CLOSE_DELAY, _close_connections, connections)


def _get_client(connection: socket.socket) -> tuple[str, int] | None:
    """Return the address of the client, or None if the socket is not a connection."""
    try:
        host, port, *_ = connection.getpeername()
    except (OSError, ValueError):
        return None
    return host, port


def _close_connections(connections: list[socket.socket]) -> None:
    for connection in connections:
        with connection, suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
