"""The server alone, by a small application: what it makes of requests, and of clients that send or read slowly or go."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from musterbook.server.paces import Pace
from musterbook.server.responses import Response
from tests.attacks import toy
from tests.attacks.serving import free_port, wait_until

ROOT = Path(__file__).parents[2]
MB = 1024 * 1024


@dataclass(frozen=True)
class Toy:
    """The small application that runs."""

    port: int
    process: "subprocess.Popen[bytes]"
    errors: Path

    def open(self, sent: bytes) -> socket.socket:
        """A connection that has sent this."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        client.sendall(sent)
        return client

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[http.client.HTTPResponse, bytes]:
        """The answer to a request."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, body or None)
            with connection.getresponse() as response:
                return response, response.read()

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            return self.ask("GET", "/")[0].status == 200
        except OSError:
            return False

    def said(self) -> str:
        """What it has written to standard error."""
        return self.errors.read_text(encoding="utf-8")


def start(folder: Path) -> Toy:
    port, errors = free_port(), folder / "errors"
    with errors.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.toy", str(port)], cwd=ROOT, stdout=said, stderr=said
        )
    server = Toy(port, process, errors)
    wait_until(server.answers)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """The small application, for all tests here."""
    running = start(tmp_path_factory.mktemp("toy"))
    yield running
    running.process.terminate()
    running.process.wait(30)


def read_all(client: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    with client:
        taken = bytearray()
        while part := client.recv(MB):
            taken += part
    return bytes(taken)


def send_request(server: Toy, *lines: bytes) -> Any:
    """What the application sees of a request with these lines."""
    client = server.open(b"\r\n".join([*lines, b"Host: here", b"Connection: close", b"", b""]))
    return json.loads(read_all(client).partition(b"\r\n\r\n")[2])


def test_addresses_and_headers_are_as_wsgi_has_them(server: Toy) -> None:
    seen = send_request(
        server, b"GET /p%C3%A4%FF%2F?q=%20&r HTTP/1.1", b"X-Two: 1", b"x-two: 2", b"Cookie: a=1", b"Cookie: b=2",
        b"Content-Type: text/x",
    )  # fmt: skip
    assert seen["PATH_INFO"] == b"/p\xc3\xa4\xff/".decode("latin-1")
    assert [seen["QUERY_STRING"], seen["REQUEST_METHOD"], seen["SCRIPT_NAME"]] == ["q=%20&r", "GET", ""]
    assert [seen["HTTP_X_TWO"], seen["HTTP_COOKIE"], seen["CONTENT_TYPE"]] == ["1,2", "a=1; b=2", "text/x"]
    assert [seen["REMOTE_ADDR"], seen["SERVER_NAME"], seen["SERVER_PORT"]] == [
        "127.0.0.1",
        "127.0.0.1",
        str(server.port),
    ]
    assert [seen["SERVER_PROTOCOL"], seen["wsgi.url_scheme"]] == ["HTTP/1.1", "http"]


def test_a_header_does_not_pass_for_another_or_for_a_setting(server: Toy) -> None:
    seen = send_request(
        server, b"GET / HTTP/1.1", b"X_Forwarded_For: 6.6.6.6", b"X-Forwarded_Proto: https", b"Proxy: evil"
    )
    assert not [name for name in seen if "FORWARDED" in name or "PROXY" in name]
    assert "PATH" not in seen


def test_each_cookie_is_set_and_lengths_are_kept(server: Toy) -> None:
    for method in ("GET", "HEAD"):
        response, text = server.ask(method, "/")
        assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
        assert int(response.headers["Content-Length"]) > 100
        assert bool(text) is (method == "GET")
    response, text = server.ask("GET", "/empty")
    assert (response.status, text) == (204, b"")


@pytest.mark.parametrize("path", ["/long", "/long?told"])
def test_a_long_answer_arrives_whole(server: Toy, path: str) -> None:
    _, text = server.ask("GET", path)
    assert text == toy.PART * (toy.LONG // len(toy.PART))
    assert server.ask("HEAD", path)[1] == b""


@pytest.mark.parametrize("size", [0, 1, MB, MB + 1, 20 * MB])
def test_a_body_arrives_whole(server: Toy, size: int) -> None:
    assert server.ask("POST", "/read", b"x" * size)[1] == str(size).encode()


def test_a_failure_is_answered_and_logged(server: Toy) -> None:
    assert server.ask("GET", "/fail")[0].status == 500
    assert "It fails." in server.said()


def test_half_an_answer_does_not_look_whole(server: Toy) -> None:
    for path in ("/break", "/break?told"):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            server.ask("GET", path)


def test_a_body_without_length_is_refused(server: Toy) -> None:
    sent = b"POST /read HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    assert read_refusal(read_all(server.open(sent))) == 411


def read_refusal(text: bytes) -> int:
    """The status of a refusal, which has all headers that pages have."""
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert headers.pop("content-length") == str(len(body))
    assert headers.pop("retry-after", "10") == "10"
    assert {name: value for name, value in headers.items() if name not in ("date", "server")} == {
        "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'", "referrer-policy": "same-origin",
        "cache-control": "no-store", "strict-transport-security": "max-age=31536000; includesubdomains",
        "connection": "close",
    }  # fmt: skip
    return int(first.split()[1])


def test_a_refusal_promises_https_only_where_pages_are_found_by_it() -> None:
    async def sent(*, https: bool) -> dict[bytes, bytes]:
        taken: list[Any] = []

        async def send(part: Any) -> None:
            taken.append(part)

        await Response(send, Pace(1), asyncio.get_running_loop()).refuse(HTTPStatus.SERVICE_UNAVAILABLE, https=https)
        return dict(taken[0]["headers"])

    def headers(*, https: bool) -> dict[bytes, bytes]:
        # In a thread: where a browser is driven, this one has a loop that runs.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, sent(https=https)).result()

    assert headers(https=True)[b"strict-transport-security"] == b"max-age=31536000; includeSubDomains"
    assert b"strict-transport-security" not in headers(https=False)


SIZES = (1000, 3 * MB)
"""A body that is read with the head of its request, and one that is an upload. Both are sent at the same time: each waits."""


def start_body(server: Toy, size: int) -> socket.socket:
    """A connection that has sent the first byte of a body of this size."""
    return server.open(b"POST /read HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\nx" % size)


def test_a_body_that_stops_is_ended_and_so_is_its_connection(server: Toy) -> None:
    began = time.monotonic()
    clients = [start_body(server, size) for size in SIZES]
    for size, client in zip(SIZES, clients, strict=True):
        assert read_refusal(read_all(client)) == 408, size
        assert toy.SECONDS - 0.5 < time.monotonic() - began < 15, size


def test_a_body_that_trickles_is_ended(server: Toy) -> None:
    began = time.monotonic()
    clients = {size: start_body(server, size) for size in SIZES}
    while clients:
        assert time.monotonic() - began < 15, f"not ended: {[*clients]}"
        time.sleep(0.1)
        for size, client in [*clients.items()]:
            try:
                client.sendall(b"x")
            except OSError:  # broken or reset
                clients.pop(size).close()


def test_clients_that_read_nothing_keep_no_turn(server: Toy) -> None:
    before = server.said().count("closed")
    clients = [server.open(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n") for _ in range(16)]
    wait_until(lambda: server.said().count("closed") >= before + 16)
    assert server.answers()
    for client in clients:
        client.close()


def test_a_client_that_goes_ends_its_answer(server: Toy) -> None:
    before = server.said().count("closed")
    with server.open(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n") as client:
        client.recv(1000)
    wait_until(lambda: server.said().count("closed") > before)


def test_a_client_that_goes_ends_its_body(server: Toy) -> None:
    before = server.said().count("unread")
    server.open(b"POST /read HTTP/1.1\r\nHost: here\r\nContent-Length: 3000000\r\n\r\nx").close()
    wait_until(lambda: server.said().count("unread") > before)


def test_uploads_are_few_at_a_time_and_take_no_page_s_turn(server: Toy) -> None:
    large = b"POST /read HTTP/1.1\r\nHost: here\r\nContent-Length: 3000000\r\n\r\nx"
    clients = [server.open(large) for _ in range(12)]
    assert sorted(read_refusal(read_all(client)) for client in clients) == [408] * 4 + [503] * 8
    assert server.ask("POST", "/read", b"x" * 2 * MB)[1] == str(2 * MB).encode()


def test_what_has_begun_is_finished_when_the_server_ends(tmp_path: Path) -> None:
    running = start(tmp_path)
    client = running.open(b"GET /sleep HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    time.sleep(0.5)
    running.process.terminate()
    assert read_all(client).startswith(b"HTTP/1.1 200 ")
    assert running.process.wait(30) == 0
