"""A user's visits to a real server: sign in, the first page of All Users, and a search, again and again, at a set pace.

The next visit begins at its time even if the one before was slow, as far as one visitor can.
"""

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from urllib.parse import urlencode

PAGES = ("sign in", "first page", "search")
_PATIENCE = 300
_OK, _FOUND, _BUSY = 200, 302, 503
_TEXT = "harbo"

Seconds = dict[str, list[float]]


@contextmanager
def visit_meanwhile(port: int, slug: str, logins: Sequence[str], password: str, every: float) -> Iterator[Seconds]:
    """Visit the agency's pages until the end of the block, and for as long as it takes to have visited each once.

    The yielded seconds of each page grow meanwhile. `every`: the seconds between the begins of two visits.
    """
    seconds: Seconds = {page: [] for page in PAGES}
    stop, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        number, due = 0, time.monotonic()
        try:
            while number == 0 or not stop.wait(max(due - time.monotonic(), 0)):
                _visit(seconds, port, slug, logins[number % len(logins)], password)
                number, due = number + 1, due + every
        except BaseException as error:  # noqa: BLE001  (it is raised below, in the thread that waits)
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seconds
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


def _visit(seconds: Seconds, port: int, slug: str, login: str, password: str) -> None:
    browser = _Browser(port)
    _, form = browser.ask("GET", f"/{slug}/sign-in")
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[-1]
    body = urlencode({"csrfmiddlewaretoken": token, "login": login, "password": password})
    steps = (("POST", "sign-in", body), ("GET", "users/", ""), ("GET", f"users/?{urlencode({'q': _TEXT})}", ""))
    for page, (method, path, sent) in zip(PAGES, steps, strict=True):
        since = time.perf_counter()
        status, _ = browser.ask(method, f"/{slug}/{path}", sent)
        seconds[page].append(time.perf_counter() - since)
        if status != (_FOUND if sent else _OK):
            raise SystemExit(f"{method} /{slug}/{path} answered {status}.")
    browser.close()


class _Browser:
    """A connection that stays open, and cookies."""

    def __init__(self, port: int) -> None:
        self._http = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        """Return the status and the text of the response. One that says that the server is busy is asked for again at once."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        status = _BUSY
        while status == _BUSY:
            self._http.request(method, path, body or None, headers)
            response = self._http.getresponse()
            status, text = response.status, response.read().decode()
            for cookie in response.headers.get_all("Set-Cookie", ()):
                self._cookies.update({name: one.value for name, one in SimpleCookie(cookie).items()})
        return status, text

    def close(self) -> None:
        self._http.close()
