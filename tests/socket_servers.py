"""Servers of a few lines, which answer with whatever a test wants."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Serve = Callable[[socket.socket], None]


@contextmanager
def server(serve: Serve, host: str = "127.0.0.1") -> Iterator[tuple[int, list[bytes]]]:
    """A server on this machine that does with each connection as it is told; its port, and how each request began."""
    asked: list[bytes] = []
    listening = socket.create_server((host, 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    asked.append(connection.recv(65_536))
                    serve(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], asked
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def answer_with(answer: bytes) -> Serve:
    return lambda connection: connection.sendall(answer)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Lets every name have these addresses; gives the names that were looked up."""
    asked: list[str] = []

    def found(host: str, port: int, *_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked
