"""A small application behind the server of `muster serve`, for attacks on the server alone."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.server import Server

from musterbook.server.concurrency import LimitedApplication

LONG = 64 * 1024 * 1024
PART = bytes(range(256)) * 256
SECONDS = 1.5


class Parts(list[bytes]):
    """An answer."""

    def close(self) -> None:
        """Says so."""
        sys.stderr.write("closed\n")


class Long:
    """An answer of LONG bytes, which breaks off if it is to."""

    def __init__(self, *, breaks: bool) -> None:
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        for number in range(LONG // len(PART)):
            if self._breaks and number == 100:
                raise ValueError("It breaks off.")
            yield PART

    def close(self) -> None:
        """Says so."""
        sys.stderr.write("closed\n")


def pages(environ: dict[str, Any], start: Any) -> Any:
    """Answers with what it was asked; `/long`, `/break`, `/fail`, `/read`, `/sleep` and `/empty` do as they say."""
    path = environ["PATH_INFO"]
    if path in ("/long", "/break"):
        headers = [("Content-Length", str(LONG))] if environ["QUERY_STRING"] else []
        start("200 OK", headers)
        return Long(breaks=path == "/break")
    if path == "/fail":
        raise ValueError("It fails.")
    if path == "/sleep":
        time.sleep(1.5)
    if path == "/empty":
        start("204 No Content", [])
        return Parts()
    if path == "/read":
        try:
            said: Any = sum(len(part) for part in iter(lambda: environ["wsgi.input"].read(65_536), b""))
        except OSError as error:
            sys.stderr.write(f"unread: {error}\n")
            said = "unread"
    else:
        said = {name: value for name, value in environ.items() if isinstance(value, str)}
    body = json.dumps(said).encode()
    start("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Length", str(len(body)))])
    return Parts([body])


application = LimitedApplication(pages, SECONDS, https=True)

if __name__ == "__main__":
    Server(
        "tests.attacks.toy:application", port=int(sys.argv[1]), interface=Interfaces.ASGINL, workers=1,
        http=HTTPModes.http1, websockets=False, workers_kill_timeout=20,
    ).serve()  # fmt: skip
