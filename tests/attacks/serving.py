"""A real `muster serve` for attacks: started on an installation of the test's own, and ended with it."""

import http.client
import itertools
import os
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from tests import databases, forks
from tests.databases import Home

_PORTS_EACH = 2_000
_FIRST_PORT = 12_000 + _PORTS_EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])


def _iter_ports() -> Iterator[int]:
    """Yield the ports of this process of the tests, from any of them on, so that two runs at the same time seldom meet."""
    begin = random.randrange(_PORTS_EACH)
    yield from (_FIRST_PORT + (begin + number) % _PORTS_EACH for number in itertools.count())


_ports = _iter_ports()


@dataclass(frozen=True)
class Answer:
    """An answer, read."""

    status: int
    headers: Message
    text: str


@dataclass(frozen=True)
class Server:
    """A server that runs: where it listens, its process, and the file of what it writes to standard error."""

    home: Home
    port: int
    process: "subprocess.Popen[bytes]"
    errors: Path

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """The answer to one request, read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, named)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read().decode(errors="replace"))
        connection.close()
        return answer

    def status(self, path: str) -> int:
        """The status of a page; 0 where there is no answer."""
        try:
            return self.ask("GET", path).status
        except OSError:
            return 0


@contextmanager
def serve(home: Home, *options: str, program: Sequence[str] = (forks.MUSTER,), **variables: str) -> Iterator[Server]:
    """A server of the installation, with these options of `muster serve` and these environment variables.

    `program`: the program to start instead of `muster`.
    """
    port, errors = free_port(), home.folder.parent / "errors"
    environment = home.environment | {"COVERAGE_PROCESS_START": ""} | variables
    with errors.open("wb") as said:
        command = [*program, "serve", "--port", str(port), *options]
        process = databases.start(command, environment, stdout=said, stderr=said)
        server = Server(home, port, process, errors)
        try:
            wait_until(lambda: server.status("/static/none") != 0, 60)
            yield server
        finally:
            process.terminate()
            process.wait(60)


def free_port() -> int:
    """A port that nobody listens at: of this process of the tests alone, and none that the system gives to a client."""
    for port in _ports:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("the ports do not end")


def wait_until(holds: object, seconds: float = 30) -> None:
    """Waits until it holds."""
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]  # a function without arguments
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


def log(home: Home) -> str:
    """The log of the installation."""
    path = home.folder / "muster.log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (?:INFO|WARNING|ERROR|CRITICAL) [\w.]+ \d+ \S+ .*")
"""What the first line of a record of the log looks like."""


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return path.stat().st_mode & 0o777
