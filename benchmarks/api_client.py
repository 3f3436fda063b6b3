"""Programs that send requests: a few at a time, each over a connection that stays open, and the seconds of each response."""

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

CLIENTS = 4
"""The requests at a time."""
_PATIENCE = 300
_TOKEN_USES = 500
"""The requests with one token, before the next one is used. A token may send 600 in a minute."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `body`: what is sent as JSON, None for nothing. `check`: whether the JSON of the response is as expected."""

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    check: Callable[[Any], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Done:
    """A burst: the seconds of each response, of all of it, and of the processors (None if this system does not say)."""

    waits: Sequence[float]
    seconds: float
    processor: float | None


class Program:
    """A server that runs, and what is asked of it. `pid`: the process whose children serve."""

    def __init__(self, name: str, port: int, pid: int, secrets: Sequence[str]) -> None:
        self.name, self._port, self._pid, self._secrets = name, port, pid, secrets
        self._sent, self._lock = 0, threading.Lock()

    def send_all(self, requests: Sequence[Request], seconds: float) -> Done:
        """Send the requests, and stop after some seconds even if not all have been sent."""
        waits: list[float] = []
        failures: list[BaseException] = []
        waiting = iter(requests)
        before, since = read_processor_seconds(self._pid), time.perf_counter()

        def take() -> Request | None:
            with self._lock:
                late = time.perf_counter() - since > seconds and waits
                return None if late or failures else next(waiting, None)

        def work() -> None:
            try:
                with self.connect() as connection:
                    waits.extend(connection.send(request)[0] for request in iter(take, None))
            except BaseException as error:  # noqa: BLE001  (it is raised below, in the thread that waits)
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(min(CLIENTS, len(requests)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole, after = time.perf_counter() - since, read_processor_seconds(self._pid)
        if failures:
            raise failures[0]
        return Done(waits, whole, None if after is None or before is None else after - before)

    def connect(self) -> "Connection":
        """Return a new connection."""
        return Connection(self._port, self._choose_secret)

    def _choose_secret(self) -> str:
        with self._lock:
            self._sent += 1
            return self._secrets[self._sent // _TOKEN_USES % len(self._secrets)]


class Connection:
    """A connection that stays open."""

    def __init__(self, port: int, choose_secret: Callable[[], str]) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        self._choose_secret = choose_secret

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, request: Request) -> tuple[float, Any]:
        """Return the seconds until the response was read, and its JSON. Exit if it is an error.

        503 (another change is being written) is no error: the request is sent again at once, and its seconds go on.
        """
        body = None if request.body is None else json.dumps(request.body)
        headers = {"Authorization": f"Bearer {self._choose_secret()}", "Content-Type": request.content_type}
        since, status = time.perf_counter(), http.client.SERVICE_UNAVAILABLE
        while status == http.client.SERVICE_UNAVAILABLE and time.perf_counter() - since < _PATIENCE:
            self._http.request(request.method, request.path, body, headers)
            response = self._http.getresponse()
            content, status = response.read(), response.status
        seconds = time.perf_counter() - since
        if status >= http.client.BAD_REQUEST:
            sent = f"{request.method} {request.path}"
            raise SystemExit(f"{sent} was answered with {status}: {content[:500].decode(errors='replace')}")
        read = json.loads(content) if content else None
        if not request.check(read):
            raise SystemExit(f"{request.method} {request.path} was answered with {content[:2000].decode()}")
        return seconds, read


def read_processor_seconds(pid: int) -> float | None:
    """Return the processor time of a process and all below it, those that have ended included. None without /proc."""
    if not Path("/proc/self/stat").exists():
        return None
    ticks: int = os.sysconf("SC_CLK_TCK")
    return sum(_read_ticks(one) for one in _list_family(pid)) / ticks


def _read_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])


def _list_family(pid: int) -> Iterator[int]:
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text(encoding="utf-8").split():
            yield from _list_family(int(child))
