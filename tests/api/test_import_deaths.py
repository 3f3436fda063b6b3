"""A real server, and programs and processes that die: one file with one key is one import, always."""

import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.attacks.serving import Server, log, serve, wait_until
from tests.databases import Home
from tests.directory.cast import file, people

pytestmark = pytest.mark.any_database

HERE = "/springfield/api/v1/imports"
_PROGRAM = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from datetime import UTC, datetime
from musterbook.accounts import tokens
from musterbook.accounts.tokens import TokenData
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from tests.directory import cast
made = cast.agency(limits=cast.unlimited())
cast.apply_rows(made, [cast.person(1, ROLE="Admin")])
data = TokenData("HR", frozenset({"users.view", "users.import", "users.synchronize"}), 90)
operator = snapshot_queries.read_operator(made, "E-1")
print(tokens.create_token(made, data, AuditContext(datetime.now(UTC), "E-1", "page"), operator)[1])
"""
_COUNT = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from musterbook.directory import models
from musterbook.directory.audit import verify
sent = models.Import.objects.filter(through="api")
print(sent.count(), sent.filter(state="applied").count(), models.User.objects.count(), end=" ")
print(models.Event.objects.filter(kind="user.added", of__through="api").count(), end=" ")
print(verify.verify_trail(models.Agency.objects.get()).error or "whole")
"""
SMALL = file(people(*range(100, 130)))
_HEADER, *_ROWS = SMALL.splitlines()
_NOTES = [b"%s,%s" % (row, b",".join([b"x" * 9_000] * 12)) for row in _ROWS]
LARGE = b"\n".join([_HEADER + b"".join(b",X_%d" % number for number in range(12)), *_NOTES, b""])
"""The same users in a file of 3 MB, which the server reads in parts."""
MANY = 20_000


@pytest.fixture(scope="module")
def _prepared(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, dict[str, str]]]:
    """An installation with an agency, and the headers of a program of it."""
    with databases.copy_home(_migrated, tmp_path_factory.mktemp("prepared") / "home") as home:
        yield home, make_program(home)


@pytest.fixture
def home(_prepared: tuple[Home, dict[str, str]], tmp_path: Path) -> Iterator[Home]:
    """An installation of this test's own, with that agency."""
    with databases.copy_home(_prepared[0], tmp_path / "home") as copied:
        yield copied


@pytest.fixture
def known(_prepared: tuple[Home, dict[str, str]]) -> dict[str, str]:
    """The headers of the program."""
    return _prepared[1]


def make_program(home: Home) -> dict[str, str]:
    """The headers of a program that may import, with a key."""
    made = home.run(sys.executable, "-c", _PROGRAM, timeout=300)
    assert made.returncode == 0, made.stderr
    return {
        "Authorization": f"Bearer {made.stdout.strip()}", "Content-Type": "text/csv", "Idempotency-Key": "night-1",
        "Host": "localhost",
    }  # fmt: skip


def count(home: Home) -> list[str]:
    """How many imports programs sent, how many were applied, the users, the added ones of the trail, and its state."""
    done = home.run(sys.executable, "-c", _COUNT, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def ask(server: Server, known: dict[str, str], method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    """The status of the answer, and what it says."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request(method, path, body or None, known)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content)


def send_raw(
    server: Server, known: dict[str, str], body: bytes, length: int | None = None, **more: str
) -> socket.socket:
    """A connection on which a file, or the beginning of one, was sent."""
    given = {**known, **({} if length is None else {"Content-Length": f"{length}"}), **more}
    head = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in given.items())
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(f"POST {HERE} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return client


def wait_for_end(server: Server, known: dict[str, str], number: str) -> dict[str, Any]:
    """The import when it has ended."""
    until = time.monotonic() + 120
    while True:
        status, said = ask(server, known, "GET", f"{HERE}/{number}")
        assert status == 200, said
        if said["finished_at"]:
            found: dict[str, Any] = said
            return found
        assert time.monotonic() < until, said
        time.sleep(0.05)


def test_a_client_that_dies_after_sending_has_one_import_however_often_it_sends_again(
    home: Home, known: dict[str, str]
) -> None:
    with serve(home, "--workers", "1") as server:
        for _ in range(3):
            send_raw(server, known, SMALL, len(SMALL)).close()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: ask(server, known, "POST", f"{HERE}?wait=20", SMALL), range(4)))
        assert {status for status, _ in answers} <= {200, 202, 429}, answers
        # Until the server has seen that the dead clients are gone, their uploads count among the two at a time.
        wait_until(lambda: not list((home.folder / "waiting").glob("*/*/arriving-*")))
        status, said = ask(server, known, "POST", f"{HERE}?wait=30", SMALL)
        assert status in {200, 202}, said
        done = wait_for_end(server, known, said["number"])
        assert (done["state"], done["counts"]["added"]) == ("applied", 30)
        wait_until(lambda: not list((home.folder / "waiting").glob("*/*/*")))
    assert count(home) == ["1", "1", "31", "30", "whole"]
    assert "Traceback" not in log(home)


def test_a_client_that_dies_while_it_sends_leaves_nothing_and_its_retry_is_one_import(
    home: Home, known: dict[str, str]
) -> None:
    with serve(home, "--workers", "1") as server:
        for body, cut in ((SMALL, len(SMALL) // 2), (LARGE, len(LARGE) - 1)):
            send_raw(server, known, body[:cut], len(body)).close()
        wait_until(lambda: not list((home.folder / "waiting").glob("*/*/arriving-*")))
        status, said = ask(server, known, "POST", HERE, LARGE)
        assert status == 202, said
        assert wait_for_end(server, known, said["number"])["state"] == "applied"
    assert count(home) == ["1", "1", "31", "30", "whole"]


def test_a_slow_client_is_ended_and_a_body_without_a_length_is_refused(home: Home, known: dict[str, str]) -> None:
    with serve(home, "--no-worker", "--workers", "1", MUSTER_CLIENT_SECONDS="2") as server:
        with (
            send_raw(server, known, SMALL[:10], len(SMALL)) as small,
            send_raw(server, known, LARGE[:2_000_000], len(LARGE)) as large,
        ):
            for client in (small, large):
                assert client.recv(12) == b"HTTP/1.1 408"
                assert ask(server, known, "GET", HERE)[0] == 200
        with send_raw(server, known, b"5\r\nEXTER\r\n0\r\n\r\n", Transfer_Encoding="chunked") as client:
            assert client.recv(12) == b"HTTP/1.1 411"
        wait_until(lambda: not list((home.folder / "waiting").glob("*/*/*")))
    assert count(home)[0] == "0"


def kill(server: Server) -> None:
    """End the server as a loss of power does. Its processes end with it."""
    server.process.kill()
    server.process.wait(60)


def test_a_server_that_dies_during_the_import_does_it_once(home: Home, known: dict[str, str]) -> None:
    content = file(people(*range(1_000, 1_000 + MANY)))
    with serve(home, "--workers", "1") as server:
        status, first = ask(server, known, "POST", HERE, content)
        assert status == 202, first
        wait_until(lambda: ask(server, known, "GET", f"{HERE}/{first['number']}")[1]["state"] == "running", 60)
        kill(server)
    with serve(home, "--workers", "1") as server:
        status, again = ask(server, known, "POST", HERE, content)
        assert (status, again["number"]) in {(202, first["number"]), (200, first["number"])}
        wait_until(lambda: has_begun_to_write(server, known, first["number"]), 60)
        kill(server)
    with serve(home, "--workers", "1") as server:
        status, again = ask(server, known, "POST", f"{HERE}?wait=30", content)
        assert again["number"] == first["number"], again
        done = wait_for_end(server, known, first["number"])
        assert (done["state"], done["counts"]["added"]) == ("applied", MANY)
    assert count(home) == ["1", "1", f"{MANY + 1}", f"{MANY}", "whole"]


def has_begun_to_write(server: Server, known: dict[str, str], number: str) -> bool:
    """Whether the import is past its plan."""
    said = ask(server, known, "GET", f"{HERE}/{number}")[1]
    return said["finished_at"] is not None or said["progress"]["done"] > 0


def test_a_server_that_dies_while_a_file_arrives_leaves_no_import(home: Home, known: dict[str, str]) -> None:
    with serve(home, "--workers", "1") as server:
        client = send_raw(server, known, LARGE[:2_500_000], len(LARGE))
        wait_until(lambda: list((home.folder / "waiting").glob("*/*/arriving-*")))
        kill(server)
        client.close()
    with serve(home, "--workers", "1") as server:
        status, said = ask(server, known, "POST", HERE, LARGE)
        assert status == 202, said
        assert wait_for_end(server, known, said["number"])["counts"]["added"] == 30
    assert count(home) == ["1", "1", "31", "30", "whole"]
