"""Clients that ask for pages and write, again and again, while a test takes the database away."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.running.machines import LONG

Connect = Callable[..., "psycopg.Connection[Any]"]
PATHS = ("/readyz", "/riverton-pd/sign-in", "/riverton-pd/api/v1/me")


@dataclass
class Watch:
    """What clients saw: the answers by path, the writes that were confirmed, and the longest time between two of them."""

    answers: dict[str, list[tuple[int, str | None, str]]] = field(default_factory=dict)
    """Status, `Retry-After` and text of each answer."""
    confirmed: list[int] = field(default_factory=list)
    longest: float = 0
    broken: list[str] = field(default_factory=list)
    """Requests without an answer."""
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, port: int, path: str) -> None:
        """Ask for the path until it is over."""
        while not self.over.wait(0.2):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)) as connection:
                try:
                    connection.request("GET", path)
                    response = connection.getresponse()
                    answer = response.status, response.headers["Retry-After"], response.read().decode()
                    self.answers.setdefault(path, []).append(answer)
                except OSError as error:
                    self.broken.append(f"{path}: {error!r}")

    def write(self, connect: Connect) -> None:
        """Write number after number until it is over, on a new connection after each error."""
        number, last = 0, time.monotonic()
        while not self.over.wait(0.05):
            with suppress(psycopg.Error), closing(connect(autocommit=True)) as connection:
                while not self.over.wait(0.05):
                    number += 1
                    connection.execute("INSERT INTO probe VALUES (%s)", [number])
                    self.confirmed.append(number)
                    self.longest, last = max(self.longest, time.monotonic() - last), time.monotonic()


@contextmanager
def watch(port: int, connect: Connect) -> Iterator[Watch]:
    """Ask at the port for each of PATHS, and write to the table `probe`, until the block ends."""
    seen = Watch()
    threads = [threading.Thread(target=seen.ask, args=(port, path)) for path in PATHS]
    threads.append(threading.Thread(target=seen.write, args=(connect,)))
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen.over.set()
        for thread in threads:
            thread.join(LONG)
