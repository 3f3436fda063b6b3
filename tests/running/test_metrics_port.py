"""The address only for metrics, and the answer that a process is alive, without a server around them."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from musterbook.server import metrics_port
from musterbook.server.liveness import AliveApplication
from musterbook.server.metrics_port import MetricsPort
from tests.attacks.serving import free_port, wait_until

pytestmark = pytest.mark.any_database


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Bearer inner" and self.path == "/metrics"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"musterbook_info 1\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[int]:
    """Pages that show metrics to the run's own processes."""
    server = HTTPServer(("127.0.0.1", 0), _Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@contextmanager
def opened(pages: int, token: str = "", address: str = "127.0.0.1", host: str = "127.0.0.1") -> Iterator[int]:
    number = free_port()
    port = MetricsPort((address, number), (host, pages), "inner", token)
    port.start()
    try:
        yield number
    finally:
        port.end()


def ask(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_passes_on_metrics_and_nothing_else(pages: int, host: str) -> None:
    with opened(pages, host=host) as port:
        status, text, headers = ask(port)
        assert (status, text, headers["Content-Type"]) == (200, "musterbook_info 1\n", "text/plain; version=0.0.4")
        assert ask(port, "/metrics?x=y")[0] == 200
        assert [ask(port, path)[0] for path in ("/", "/healthz", "/metrics/", "/springfield/")] == [404] * 4
        assert ask(port, method="DELETE")[0] == 501
        assert "Python" not in str(headers)


def test_it_needs_its_token_and_never_the_inner_one(pages: int) -> None:
    with opened(pages, token="outer") as port:
        for wrong in ("", "outer", "Bearer ", "Bearer inner", "Bearer outer2", "Basic outer"):
            status, _, headers = ask(port, Authorization=wrong)
            assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
        assert ask(port, Authorization="Bearer outer")[0] == 200


def test_it_says_that_the_pages_do_not_answer() -> None:
    with opened(free_port()) as port:
        assert ask(port)[:2] == (503, "The pages do not answer.\n")


def test_clients_that_say_nothing_keep_nobody_out_for_long(pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port._Handler, "timeout", 0.5)
    with opened(pages) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        wait_until(lambda: _status(port) == 200, 10)
        for client in silent:
            client.close()


def _status(port: int) -> int:
    try:
        return ask(port)[0]
    except (OSError, http.client.HTTPException):
        return 0


def test_what_is_no_request_is_not_repeated(pages: int) -> None:
    with opened(pages) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"<script> HTTP/9\r\n\r\n")
        answer = client.recv(1_000)
    assert b"script" not in answer and b"400" in answer


def answer(path: str, method: str = "GET") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def within(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "within"})

    asking = AliveApplication(within)({"path": path, "method": method}, None, send)
    with ThreadPoolExecutor(1) as thread:  # the thread of the tests may have a loop, which a browser runs
        thread.submit(asyncio.run, asking).result()
    return sent


def test_a_live_process_answers_itself_and_passes_on_the_rest() -> None:
    start, body = answer("/healthz")
    assert (start["status"], body["body"]) == (200, b"ok")
    assert answer("/healthz", "HEAD")[1]["body"] == b""
    refused, _ = answer("/healthz", "POST")
    assert refused["status"] == 405 and (b"allow", b"GET, HEAD") in refused["headers"]
    assert answer("/healthz/") == answer("/") == [{"type": "within"}]
