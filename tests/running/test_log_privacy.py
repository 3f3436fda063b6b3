"""A day of an agency, with what fails in it: no line of the log has a name, a mailbox, a badge, a phone or a secret in it."""

import json
import re
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.attacks.serving import Answer, Server, log, serve, wait_until
from tests.databases import Home
from tests.directory import cast
from tests.directory.processes import Site

_SETUP = """
import django
django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from datetime import UTC, datetime
from django.test import Client
from musterbook.accounts import registration, tokens
from musterbook.accounts.tokens import TokenData
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from tests.accounts.conftest import Springfield
from tests.directory import cast
from tests.running.test_log_privacy import PASSWORD, PEOPLE
springfield = Springfield(cast.agency())
springfield.imported(*PEOPLE)
springfield.registered(1, PASSWORD)
now = AuditContext(datetime.now(UTC), "E-1", "page")
operator = snapshot_queries.read_operator(springfield.agency, "E-1")
_, secret = tokens.create_token(
    springfield.agency, TokenData("Payroll", frozenset({"users.view", "users.import"}), 90), now, operator
)
link = registration.issue_invitation(springfield.user(2), now).rpartition("/")[2]
print(secret, link)
"""
PASSWORD = "quiet-brown-heron-94"
PEOPLE = [
    cast.person(
        1, ROLE="Admin", FIRST_NAME="Quentinella", LAST_NAME="Zybrowska", EMAIL="quentinella.z@agency.example",
        BADGE_NUMBER="BDG778899", USERNAME="qzybrow", PHONE="+14155550147",
    ),
    cast.person(
        2, FIRST_NAME="Barnabasius", LAST_NAME="Okonedovich", EMAIL="b.okonedovich@agency.example",
        BADGE_NUMBER="BDG665544", USERNAME="bokoned", PHONE="+14155550199",
    ),
]  # fmt: skip
PERSONAL = (
    "quentinella", "zybrow", "barnabasius", "okoned", "bdg778899", "bdg665544", "5550147", "555-0147", "5550199", "555-0199",
    "agency.example", PASSWORD, "typed-by-mistake", "quietly-secret", "payroll", "nightly-roster",
)  # fmt: skip


class Browser:
    """A browser, as far as cookies and forms go."""

    def __init__(self, server: Server) -> None:
        self.server, self.cookies = server, dict[str, str]()

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.server.ask(method, path, body, **({"Cookie": cookie} if cookie else {}), **headers)
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def send(self, path: str, to: str = "", **fields: str) -> Answer:
        """Send the form of a page."""
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.ask("GET", path).text)[-1]
        body = urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        return self.ask("POST", to or path, body, Content_Type="application/x-www-form-urlencoded")

    def upload(self, path: str, content: bytes, **fields: str) -> Answer:
        """Send a file."""
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.ask("GET", path).text)[-1]
        part = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
        texts = {"csrfmiddlewaretoken": token, **fields}
        before = "".join(f"{part.format(name, '')}{value}\r\n" for name, value in texts.items())
        before += part.format("file", '; filename="nightly-roster.csv"')
        return self.ask(
            "POST", path, before.encode() + content + b"\r\n--x--\r\n", Content_Type="multipart/form-data; boundary=x"
        )


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_day_leaves_no_personal_data_and_no_secret_in_the_log(fresh_home: Home, form: str) -> None:
    done = fresh_home.run(sys.executable, "-c", _SETUP, timeout=120)
    assert done.returncode == 0, done.stderr
    token, link = done.stdout.split()
    broken = {"DJANGO_SETTINGS_MODULE": "tests.attacks.broken", "PYTHONPATH": str(Path(__file__).parents[2])}
    variables = {**broken, "MUSTER_LOG_FORMAT": form, "MUSTER_METRICS_TOKEN": "quietly-secret-metrics-token"}
    # The worker of these settings is broken on purpose: this one is whole.
    worker = fresh_home.start("worker")
    try:
        with serve(fresh_home, "--workers", "1", "--no-worker", **variables) as server:
            browser = Browser(server)
            _sign_in(browser)
            _search_and_change(browser)
            _import(browser, Site(fresh_home))
            _call(server, token)
            _fail(server, link)
            wait_until(lambda: not {"waiting", "running"} & set(Site(fresh_home).states()), 60)
            cookies = [value for value in browser.cookies.values() if len(value) > 20]
            said = server.errors.read_text()
    finally:
        worker.terminate()
        said_by_worker = "".join(worker.communicate(timeout=60))
    text = log(fresh_home) + said + said_by_worker
    for hidden in (*PERSONAL, token, token[-20:], link, *cookies):
        assert hidden.lower() not in text.lower(), hidden
    # It says what happened nevertheless.
    for shown in (
        "Failed sign-in to springfield as 'E-1'", "Failed sign-in to springfield as nobody known", "Refused with 403",
        "Internal Server Error: /broken", "The import has ended: previewed", "The import has ended: applied",
    ):  # fmt: skip
        assert shown in text, shown
    numbers = [number for (number,) in Site(fresh_home).select("SELECT number FROM directory_import ORDER BY id")]
    for number in numbers[1:]:
        assert re.search(rf"[ /]{number} The import has ended", text), "each import is under its number"
    if form == "json":
        entries = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        assert entries and all({"time", "level", "logger", "process", "message"} <= set(entry) for entry in entries)
        assert all(re.fullmatch("[0-9a-f]{16}", entry["request"]) for entry in entries if "request" in entry)


def _sign_in(browser: Browser) -> None:
    page = "/springfield/sign-in"
    assert browser.send(page, login="quentinella.z@agency.example", password="typed-by-mistake").status == 200
    assert browser.send(page, login="typed-by-mistake", password=PASSWORD).status == 200
    assert browser.send("/springfield/forgotten-password", name="b.okonedovich@agency.example").status in (200, 302)
    assert browser.send(page, login="qzybrow", password=PASSWORD).status == 302


def _search_and_change(browser: Browser) -> None:
    for path in ("/springfield/users/?q=Zybrowska", "/springfield/users/?q=%2B14155550147", "/springfield/users/2/"):
        assert browser.ask("GET", path).status == 200
    assert browser.ask("GET", "/springfield/users/Okonedovich/").status == 404
    assert browser.ask("POST", "/springfield/users/2/edit", b"last_name=Okonedovich").status in (403, 405, 404)
    assert browser.ask("GET", "/springfield/users/?q=Zybrowska", Host="evil.example").status == 400


def _import(browser: Browser, site: Site) -> None:
    rows = [*PEOPLE, cast.person(3, EMAIL="quentinella.z@agency.example", BADGE_NUMBER="BDG778899", PHONE="555-0147 x")]
    page = "/springfield/users/import"
    assert browser.upload(page, cast.file(rows), mode="update", do="preview").status == 302
    wait_until(lambda: site.states()[-1] == "previewed", 60)
    assert browser.upload(page, cast.file(rows), mode="update", do="apply").status in (200, 302)
    assert browser.upload(page, b"Zybrowska;quentinella\r\n1;2\r\n", mode="update", do="preview").status == 302
    wait_until(lambda: site.states()[-1] in ("refused", "previewed", "failed"), 60)


def _call(server: Server, token: str) -> None:
    for secret in (token, f"{token[:-4]}0000", "not-even-a-token-Zybrowska"):
        server.ask("GET", "/springfield/api/v1/me", Authorization=f"Bearer {secret}")
        server.ask("GET", "/springfield/api/v1/users?q=Zybrowska", Authorization=f"Bearer {secret}")
        server.ask("POST", "/springfield/api/v1/users", b'{"last_name": "Zybrowska"}', Authorization=f"Bearer {secret}")
    rows = cast.file([PEOPLE[1] | {"LOCATION": "Okonedovich"}])
    headers = {"Authorization": f"Bearer {token}", "Content_Type": "text/csv", "Idempotency_Key": "Zybrowska-1"}
    server.ask("POST", "/springfield/api/v1/imports?mode=update", rows, **headers)
    server.ask("GET", "/metrics", Authorization="Bearer quietly-secret-wrong")


def _fail(server: Server, link: str) -> None:
    assert server.ask("GET", "/broken?name=Zybrowska&token=quietly-secret").status == 500
    assert server.ask("GET", f"/springfield/register/{link}").status in (200, 302, 404)
    assert server.ask("POST", f"/springfield/register/{link}", b"password=typed-by-mistake").status in (403, 404)
    assert server.ask("GET", f"/springfield/reset/{link}").status in (200, 302, 404, 410)
