"""Turns: how many requests one process answers at a time, so that slow clients and bursts hold up nobody else.

A request costs a connection to the database, so only TURNS of them are answered at once. It gets its turn when its body has
arrived: who sends slowly costs a thread that waits, and nothing else. A body that is too large to wait for is read within the
turn, only a few at a time. An answer in one piece is handed over whole, so a client that reads slowly keeps no turn either.
"""

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

TURNS = 16
"""Requests that one process answers at the same time; each holds one connection to the database at most."""
THREADS = 512
"""Requests that one process has begun: nearly all of them wait, for their body or for a turn."""
UPLOADS = 4
"""Bodies larger than WAITED_FOR that one process reads at the same time."""
WAITED_FOR = 1_048_576
"""The bytes of a body that is waited for; a larger one is a file."""
PATIENCE = 20.0
"""Seconds that a request waits for a turn before it is answered with 503."""
IN_ONE_PIECE = 1_048_576
"""The bytes of an answer that is handed over whole."""
Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]


def in_turn(application: Application) -> Application:
    """The application, answering TURNS requests at a time."""
    turns, uploads = threading.BoundedSemaphore(TURNS), threading.BoundedSemaphore(UPLOADS)

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        with ExitStack() as stack:
            if _length(environ) <= WAITED_FOR:
                environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(_length(environ)))
            elif not _taken(stack, uploads, 0):
                return _no(start, HTTPStatus.SERVICE_UNAVAILABLE)
            if not _taken(stack, turns, PATIENCE):
                return _no(start, HTTPStatus.SERVICE_UNAVAILABLE)
            return _handed_over(application(environ, start), stack)

    return answer


def _length(environ: Environ) -> int:
    told = str(environ.get("CONTENT_LENGTH") or "0")
    return int(told) if told.isascii() and told.isdigit() else 0


def _taken(stack: ExitStack, some: threading.BoundedSemaphore, seconds: float) -> bool:
    taken = some.acquire(timeout=seconds) if seconds else some.acquire(blocking=False)
    if taken:
        stack.callback(some.release)
    return taken


def _no(start: Start, status: HTTPStatus) -> list[bytes]:
    said = f"{status.phrase}. Try again in a moment.\n".encode()
    start(
        f"{status.value} {status.phrase}",
        [
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(said))),
            ("Retry-After", "10"),
            ("Connection", "close"),
        ],
    )
    return [said]


def _handed_over(response: Any, stack: ExitStack) -> Iterable[bytes]:
    """The answer: whole, with everything released; or if it is long, piece by piece, and released at its end."""
    length = response.headers.get("Content-Length", "")
    if response.streaming and not (length.isdigit() and int(length) <= IN_ONE_PIECE):
        return _Pieces(response, stack.pop_all())
    try:
        return list(response)
    finally:
        response.close()


class _Pieces:
    """An answer that is sent piece by piece."""

    def __init__(self, response: Any, held: ExitStack) -> None:
        self._response, self._held = response, held

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        """Releases what it holds."""
        with self._held:
            self._response.close()
