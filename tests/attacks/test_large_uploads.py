"""A real server takes a file of 200 MB: no process that answers requests ever has it in memory."""

import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from musterbook.core.domain.columns import REQUIRED
from tests.accounts.conftest import GOOD
from tests.attacks.serving import Server, serve
from tests.databases import Home

pytestmark = pytest.mark.any_database

_MB = 1024 * 1024
_SIZE = 200 * _MB
_MORE = 64
"""The megabytes that all requests together may add to what the server takes before."""
_STAFF = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from tests.accounts.conftest import Springfield
from tests.directory import cast
made = Springfield(cast.agency())
made.imported(cast.person(5, ROLE="Chief"))
made.registered(5)
"""


class _Browser(requests.Session):
    """A browser at the pages of the agency."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.root = f"http://127.0.0.1:{server.port}"

    def form(self, path: str) -> dict[str, str]:
        """The hidden token of the page's form."""
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(self.root + path, timeout=60).text)
        assert found
        return {"csrfmiddlewaretoken": found[1]}


def _body(folder: Path, fields: dict[str, str]) -> Path:
    """The body of a form with a large CSV file, as a browser sends it."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n'
    path = folder / "body"
    with path.open("wb") as body:
        body.write("".join([*parts, head, ",".join(column.heading for column in REQUIRED), ",X_NOTES\n"]).encode())
        for number in range(_SIZE // 9_000):
            row = f"{number},{number}@a.example,{number},Ann,Lee,Active,u{number},Officer,"
            body.write(f"{row}{'x' * (8_999 - len(row))}\n".encode())
        body.write(b"\r\n--x--\r\n")
    return path


def _processes(parent: int) -> Iterator[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    for child in map(int, children):
        yield child
        yield from _processes(child)


def _peak(server: Server) -> float:
    """The largest peak of any process of the server so far, in megabytes."""
    found = [Path(f"/proc/{number}/status").read_text(encoding="ascii") for number in _processes(server.process.pid)]
    return max(int(text.split("VmHWM:")[1].split()[0]) / 1024 for text in found)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")
def test_a_large_file_is_sent_previewed_and_given_back_and_the_server_stays_small(
    fresh_home: Home, tmp_path: Path
) -> None:
    made = fresh_home.run(sys.executable, "-c", _STAFF, timeout=600)
    assert made.returncode == 0, made.stderr
    with serve(fresh_home, "--no-worker", "--workers", "1") as server, _Browser(server) as browser:
        form = browser.form("/springfield/sign-in") | {"login": "user.5", "password": GOOD}
        browser.post(f"{browser.root}/springfield/sign-in", form, allow_redirects=False, timeout=60)
        page = "/springfield/users/import"
        body = _body(tmp_path, browser.form(page) | {"mode": "update", "do": "preview"})
        before = _peak(server)
        with body.open("rb") as sent:
            kind = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = browser.post(browser.root + page, sent, headers=kind, allow_redirects=False, timeout=600)
        assert answer.status_code == 302, answer.text
        assert _peak(server) < before + _MORE
        assert fresh_home.muster("worker", "--once", timeout=600).returncode == 0
        address = browser.root + answer.headers["Location"].removeprefix("http://localhost:8000")
        assert f"{_SIZE // 9_000:,}" in browser.get(address, timeout=600).text
        with browser.get(f"{address}/results", stream=True, timeout=600) as results:
            assert sum(map(len, results.iter_content(_MB))) > _SIZE
        assert _peak(server) < before + _MORE


_SENT = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from datetime import UTC, datetime
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from tests.directory import cast
context = AuditContext(datetime.now(UTC), "", "cli")
feed = feeds.add(cast.agency(), {"name": "hr", "location": {"kind": "sent"}}, context, None)
print(feeds.make_token(feed, context, None))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")
def test_a_large_file_that_a_program_sends_to_a_feed_leaves_the_server_small(fresh_home: Home, tmp_path: Path) -> None:
    made = fresh_home.run(sys.executable, "-c", _SENT, timeout=600)
    assert made.returncode == 0, made.stderr
    known = {"Authorization": f"Bearer {made.stdout.strip()}", "Content-Type": "text/csv"}
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    body = _body(tmp_path, {})
    with serve(fresh_home, "--no-worker", "--workers", "1") as server:
        address = f"http://127.0.0.1:{server.port}/springfield/api/v1/feeds/hr/file"
        assert requests.post(address, b"x", headers=known | {"Content-Encoding": "gzip"}, timeout=60).status_code == 415
        before = _peak(server)
        with body.open("rb") as sent:
            answer = requests.post(address, sent, headers=known | form, timeout=600)
        assert answer.status_code == 202, answer.text
        assert answer.json()["file"]["size"] > _SIZE - 10_000
        with body.open("rb") as sent:
            assert requests.post(address, sent, headers=known, timeout=600).status_code == 202
        assert _peak(server) < before + _MORE
        _send_half(server, known, body)
        assert not list((fresh_home.folder / "waiting").glob("*/*/*"))


def _send_half(server: Server, known: dict[str, str], body: Path) -> None:
    """Send half of a file, and go away."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection, body.open("rb") as sent:
        fields = known | {"Host": f"127.0.0.1:{server.port}", "Content-Length": f"{_SIZE}"}
        head = [f"{name}: {text}\r\n" for name, text in fields.items()]
        connection.sendall(f"POST /springfield/api/v1/feeds/hr/file HTTP/1.1\r\n{''.join(head)}\r\n".encode())
        connection.sendall(sent.read(_SIZE // 2))
    waiting = time.monotonic() + 60
    while list((server.home.folder / "waiting").glob("*/*/arriving-*")) and time.monotonic() < waiting:
        time.sleep(0.1)
