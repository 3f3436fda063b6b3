"""The processes that answer requests, and how they stop: `/readyz` says so first, then current requests are finished."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from musterbook.config import logs, process, serve_run

_BACKLOG, _CONNECTIONS = 1024, 1024
"""Connections that wait to be accepted, and those that each process holds open."""
_HEADERS_WITHIN = 10_000
"""Milliseconds in which the headers of a request, or of the next one, must arrive."""


class DrainingServer(Server):  # type: ignore[misc,valid-type]  # the library chooses its class when it is imported
    """A server that goes on answering for `seconds` after it was asked to stop, while `/readyz` says that it stops.

    So a load balancer finds out before the first request is refused. A second request to stop, and Ctrl-C, end this time at
    once. Then no connection is accepted any more, and requests that have begun are finished.
    """

    def prepare_drain(self, seconds: float, on_drain: Callable[[], None]) -> None:
        """Set the time. `on_drain` is called when the server is first asked to stop."""
        self._drain_seconds, self._on_drain, self._is_draining = seconds, on_drain, False

    def signal_handler_interrupt(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Begin to stop, or stop at once."""
        if self._is_draining or number != signal.SIGTERM or not self._drain_seconds:
            self._begin()
            super().signal_handler_interrupt(number, frame)
            return
        self._begin()
        timer = threading.Timer(self._drain_seconds, super().signal_handler_interrupt)
        timer.daemon = True
        timer.start()

    def _begin(self) -> None:
        if not self._is_draining:
            self._is_draining = True
            serve_run.start_draining()
            self._on_drain()


def make_server(host: str, port: int, workers: int, stop_seconds: int) -> DrainingServer:
    """Return the server of the pages. Its processes get `stop_seconds` to finish their requests."""
    os.environ[process.PARENT] = str(os.getpid())
    return DrainingServer(
        "musterbook.asgi:application", address=host, port=port, interface=Interfaces.ASGINL, workers=workers,
        websockets=False, respawn_failed_workers=True, workers_kill_timeout=stop_seconds,
        http=HTTPModes.http1, backlog=_BACKLOG, backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADERS_WITHIN),
        log_level=LogLevels.warning, log_dictconfig=logs.make_configuration(),
    )  # fmt: skip
