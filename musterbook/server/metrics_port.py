"""The address only for `/metrics` (MUSTER_METRICS_LISTEN): it passes each request on to the pages.

It is a thread of `muster serve` itself, which stays small: it knows neither the database nor the pages. So it answers a few
clients at a time, each within a few seconds, and nothing but `/metrics`.
"""

import hmac
import http.client
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_CLIENTS = 4
"""The clients that are answered at the same time."""
_CLIENT_SECONDS, _PAGES_SECONDS = 10, 30
"""Seconds for a client to send its request, and for the pages to answer it."""
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (it is where to connect to when the pages listen everywhere)


class MetricsPort:
    """The address for metrics. `pages`: where the pages listen. `secret`: what opens `/metrics` there.

    `token`: what a client must send, "" for nothing. Raise OSError if nobody can listen at `address`.
    """

    def __init__(self, address: tuple[str, int], pages: tuple[str, int], secret: str, token: str) -> None:
        host, port = pages
        self._server = _make_server(address, (_ANYWHERE.get(host, host), port), secret, token)

    def start(self) -> None:
        """Answer from now on, in a thread."""
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def end(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _make_server(address: tuple[str, int], pages: tuple[str, int], secret: str, token: str) -> ThreadingHTTPServer:
    room = threading.BoundedSemaphore(_CLIENTS)

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        daemon_threads = True

        def process_request(self, request: Any, client_address: Any) -> None:
            if room.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                room.release()

        def handle_error(self, *_: object) -> None:
            """Say nothing of a client that goes away."""

    class Handler(_Handler):
        def fetch(self) -> tuple[int, str, bytes]:
            if token and not hmac.compare_digest(
                self.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()
            ):
                return HTTPStatus.UNAUTHORIZED, _TEXT, b"Send the token of MUSTER_METRICS_TOKEN.\n"
            return _fetch(pages, secret)

    return Server(address, Handler)


_TEXT = "text/plain; charset=utf-8"


def _fetch(pages: tuple[str, int], secret: str) -> tuple[int, str, bytes]:
    """Return the status, the content type and the text of the metrics."""
    connection = http.client.HTTPConnection(*pages, timeout=_PAGES_SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {secret}"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", _TEXT), answer.read()
    except (OSError, http.client.HTTPException):
        return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"The pages do not answer.\n"
    finally:
        connection.close()


class _Handler(BaseHTTPRequestHandler):
    """The answer to one request."""

    timeout = _CLIENT_SECONDS
    server_version, sys_version = "musterbook", ""

    def fetch(self) -> tuple[int, str, bytes]:
        """Return the answer."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer."""
        if urlsplit(self.path).path != "/metrics":
            self._send(HTTPStatus.NOT_FOUND, _TEXT, b"There is only /metrics here.\n")
            return
        self._send(*self.fetch())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Bearer realm="metrics"')
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is none, without repeating it."""
        del message, explain
        self._send(code, _TEXT, f"{code}\n".encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""
