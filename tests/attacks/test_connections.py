"""Bursts and slow clients: connections to the database are bounded and released, and the pages answer meanwhile."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from musterbook.server import concurrency
from tests.attacks.serving import Server, log, serve, wait_until
from tests.databases import Home

SLOW = 600


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
    with serve(fresh_home, "--no-worker", "--workers", "1") as server, ThreadPoolExecutor(24) as pool:
        for _ in range(3):
            assert set(pool.map(server.status, ["/"] * 72)) == {200}
            assert connections(fresh_home) <= concurrency.TURNS
        wait_until(lambda: connections(fresh_home) == 0)


def test_slow_bodies_hold_up_no_page_and_no_command_and_are_ended(fresh_home: Home) -> None:
    with serve(fresh_home, "--no-worker", "--workers", "1", MUSTER_CLIENT_SECONDS="6") as server:
        with slow_bodies(server, SLOW) as clients:
            assert [server.status("/readyz"), server.status("/")] == [200, 200]
            assert _threads(server) < 2 * concurrency.TURNS + 16
            assert connections(fresh_home) <= concurrency.TURNS
            assert fresh_home.muster("agency", "list").returncode == 0
            assert {_read_all(client)[:12] for client in clients} == {b"HTTP/1.1 408"}
        assert [server.status("/readyz"), server.status("/")] == [200, 200]
        wait_until(lambda: connections(fresh_home) == 0)
    assert "Refused with 408: POST from 127.0.0.1" in log(fresh_home)


def _read_all(client: socket.socket) -> bytes:
    """All that arrives until the server ends the connection."""
    taken = bytearray()
    while part := client.recv(65_536):
        taken += part
    return bytes(taken)


def _threads(server: Server) -> int:
    """The threads of all processes of the server."""
    parent = str(server.process.pid)
    listed = subprocess.run(["ps", "-o", "nlwp=", "--ppid", parent], capture_output=True, text=True, check=False)
    return sum(int(line) for line in listed.stdout.split())


def test_health_says_that_the_database_is_away(fresh_home: Home) -> None:
    if not fresh_home.database_url:
        pytest.skip("the embedded database is a file, and there as long as the process is")
    with serve(fresh_home, "--no-worker", "--workers", "1") as server:
        with psycopg.connect(fresh_home.database_url, autocommit=True) as own:
            name = own.execute("SELECT current_database()").fetchone()
        assert name
        with psycopg.connect(fresh_home.database_url.replace(name[0], "postgres"), autocommit=True) as other:
            other.execute(f'ALTER DATABASE "{name[0]}" ALLOW_CONNECTIONS false'.encode())
            try:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = %s AND backend_type = 'client backend'",
                    name,
                )
                assert server.status("/readyz") == 503
                answer = server.ask("GET", "/springfield/")
                assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
                assert "cannot reach its database" in answer.text
            finally:
                other.execute(f'ALTER DATABASE "{name[0]}" ALLOW_CONNECTIONS true'.encode())
        wait_until(lambda: server.status("/readyz") == 200)


_IMPORTER = """
import django
django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from django.test import Client
from tests.accounts.conftest import GOOD, Springfield
from tests.directory import cast
springfield = Springfield(cast.agency())
springfield.imported(cast.person(1, ROLE="Chief"))
springfield.registered(1)
client = Client(SERVER_NAME="localhost")
client.post("/springfield/sign-in", {"login": "user.1", "password": GOOD})
print("; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items()))
"""
_IMPORT = "/springfield/users/import"


def importer(home: Home) -> str:
    """The cookies of a user who is signed in and may import."""
    done = home.run(sys.executable, "-c", _IMPORTER, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def form(server: Server, cookies: str, size: int) -> tuple[bytes, bytes]:
    """A request that sends a file of this size, as headers and body."""
    page = server.ask("GET", _IMPORT, Cookie=cookies)
    assert page.status == 200, page.status
    text = page.text
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', text)[-1]
    cookies += "".join(f"; {cookie.partition(';')[0]}" for cookie in page.headers.get_all("Set-Cookie") or [])
    part = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    fields = {"csrfmiddlewaretoken": token, "mode": "update", "do": "preview"}
    before = "".join(f"{part.format(name, '')}{value}\r\n" for name, value in fields.items())
    before += part.format("file", '; filename="a.csv"')
    body = before.encode() + b"EXTERNAL_ID,EMAIL\r\n" + b"x,y\r\n" * (size // 5) + b"\r\n--x--\r\n"
    head = f"POST {_IMPORT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookies}\r\n"
    return f"{head}Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body


def _files(home: Home) -> list[Path]:
    """What is kept of what users send."""
    return [path for path in (home.folder / "waiting").rglob("*") if path.is_file()]


def test_a_large_file_arrives_and_one_that_trickles_leaves_nothing(fresh_home: Home) -> None:
    cookies = importer(fresh_home)
    with serve(fresh_home, "--no-worker", "--workers", "1", MUSTER_CLIENT_SECONDS="3") as server:
        head, body = form(server, cookies, 4_000_000)
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(head + body)
            answer = _read_all(client)
            assert answer[:12] in (b"HTTP/1.1 302", b"HTTP/1.1 200"), answer[:2000]
        kept = _files(fresh_home)
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(head + body[:2_000_000])
            wait_until(lambda: len(_files(fresh_home)) > len(kept))
            assert _read_all(client).startswith(b"HTTP/1.1 408 ")
        assert _files(fresh_home) == kept
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(head.replace(b"Cookie: ", b"X-Nothing: ") + body[:100])
            assert _read_all(client).startswith(b"HTTP/1.1 413 ")
        assert "Traceback" not in log(fresh_home)
