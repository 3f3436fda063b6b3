"""Bursts and slow clients: connections to the database are bounded and released, and the pages answer meanwhile."""

import io
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from django.http import HttpResponse, StreamingHttpResponse

from musterbook import turns
from tests.attacks.serving import Server, served, wait_until
from tests.databases import Home

SLOW = 300


def connections(home: Home) -> int:
    """The connections that the database has from others than who asks; 0 on SQLite."""
    if not home.database_url:
        return 0
    with psycopg.connect(home.database_url) as server:
        asked = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        row = server.execute(asked).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def slow_bodies(server: Server, many: int) -> Iterator[list[socket.socket]]:
    """Clients that announce a body and send one byte of it."""
    opened = []
    try:
        for _ in range(many):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
            opened.append(client)
        yield opened
    finally:
        for client in opened:
            client.close()


def test_bursts_leave_no_connection_behind(fresh_home: Home) -> None:
    with served(fresh_home, "--no-worker", "--workers", "1") as server, ThreadPoolExecutor(24) as pool:
        for _ in range(3):
            assert set(pool.map(server.status, ["/"] * 72)) == {200}
            assert connections(fresh_home) <= turns.TURNS
        wait_until(lambda: connections(fresh_home) == 0)


def test_slow_bodies_hold_up_no_page_and_no_command_and_take_no_connection(fresh_home: Home) -> None:
    with served(fresh_home, "--no-worker", "--workers", "1") as server:
        with slow_bodies(server, SLOW):
            wait_until(lambda: _threads(server) > SLOW, 60)
            assert [server.status("/health"), server.status("/")] == [200, 200]
            assert connections(fresh_home) <= turns.TURNS
            assert fresh_home.muster("agency", "list").returncode == 0
        assert [server.status("/health"), server.status("/")] == [200, 200]
        wait_until(lambda: connections(fresh_home) == 0)


def _threads(server: Server) -> int:
    """The threads of all processes of the server."""
    parent = str(server.process.pid)
    listed = subprocess.run(["ps", "-o", "nlwp=", "--ppid", parent], capture_output=True, text=True, check=False)
    return sum(int(line) for line in listed.stdout.split())


def test_health_says_that_the_database_is_away(fresh_home: Home) -> None:
    if not fresh_home.database_url:
        pytest.skip("the embedded database is a file, and there as long as the process is")
    with served(fresh_home, "--no-worker", "--workers", "1") as server:
        with psycopg.connect(fresh_home.database_url, autocommit=True) as own:
            name = own.execute("SELECT current_database()").fetchone()
        assert name
        with psycopg.connect(fresh_home.database_url.replace(name[0], "postgres"), autocommit=True) as other:
            other.execute(f'ALTER DATABASE "{name[0]}" ALLOW_CONNECTIONS false'.encode())
            try:
                other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
                assert server.status("/health") == 503
            finally:
                other.execute(f'ALTER DATABASE "{name[0]}" ALLOW_CONNECTIONS true'.encode())
        wait_until(lambda: server.status("/health") == 200)


def asked(application: Any, source: Any, length: int) -> tuple[str, bytes]:
    """Status and text of what the application answers."""
    said: list[str] = []
    response = application({"wsgi.input": source, "CONTENT_LENGTH": str(length)}, lambda status, _: said.append(status))
    text = b"".join(response)
    if hasattr(response, "close"):
        response.close()
    return (said or ["none"])[0], text


def echo(environ: Any, start: Any) -> HttpResponse:
    start("200 OK", [])
    return HttpResponse(environ["wsgi.input"].read())


def test_a_large_body_is_read_as_it_comes_and_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAITED_FOR", 100)
    monkeypatch.setattr(turns, "UPLOADS", 1)
    application = turns.in_turn(echo)
    whole = bytes(range(256)) * 2_000
    assert asked(application, io.BytesIO(whole), len(whole)) == ("200 OK", whole)
    held, begun = threading.Event(), threading.Event()

    def held_up(environ: Any, start: Any) -> HttpResponse:
        if environ["CONTENT_LENGTH"] == "101":
            begun.set()
            held.wait(30)
        return echo(environ, start)

    application = turns.in_turn(held_up)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asked, application, io.BytesIO(b"x" * 101), 101)
        begun.wait(30)
        assert asked(application, io.BytesIO(b"x" * 102), 102)[0] == "503 Service Unavailable"
        assert asked(application, io.BytesIO(b"x"), 1)[0] == "200 OK"
        held.set()
        assert first.result() == ("200 OK", b"x" * 101)


def test_who_waits_too_long_for_a_turn_is_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURNS", 1)
    monkeypatch.setattr(turns, "PATIENCE", 0.1)
    closed = []

    class Long(StreamingHttpResponse):
        """An answer that is sent piece by piece."""

        def close(self) -> None:
            """Notes it."""
            closed.append(True)
            super().close()

    def streamed(environ: Any, start: Any) -> StreamingHttpResponse:
        start("200 OK", [])
        return Long(iter([b"one", b"two"]))

    application: Any = turns.in_turn(streamed)
    environ = {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": ""}
    with closing(application(environ, lambda *_: None)) as first:
        assert asked(application, io.BytesIO(), 0)[0] == "503 Service Unavailable"
        assert list(first) == [b"one", b"two"]
    assert closed == [True]
    assert asked(application, io.BytesIO(), 0) == ("200 OK", b"onetwo")


def test_a_length_that_is_none_counts_as_no_body() -> None:
    application = turns.in_turn(echo)
    for told in ("", "-1", "many", "٣"):
        assert b"".join(application({"wsgi.input": io.BytesIO(b"x"), "CONTENT_LENGTH": told}, lambda *_: None)) == b""
