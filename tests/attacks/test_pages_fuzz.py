"""Random queries and forms on every page: no error of ours (500), and no answer that takes longer than two seconds.

`MUSTER_FUZZ_SECONDS=600 ./test tests/attacks/test_pages_fuzz.py` goes on for ten minutes; `MUSTER_FUZZ_SEED` begins elsewhere.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import tokens
from musterbook.accounts.tokens import TokenData
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports.options import Options
from tests import worker
from tests.accounts.conftest import Springfield, context
from tests.accounts.test_attacks import PAGES as ADDRESSES
from tests.accounts.test_entrance import sign_in
from tests.directory import cast
from tests.directory.cast import person
from tests.web.every_page import pages

SECONDS = float(os.environ.get("MUSTER_FUZZ_SECONDS", "30"))
SEED = int(os.environ.get("MUSTER_FUZZ_SEED", "11"))
MOST = 2.0
"""Seconds of a processor that an answer may take."""

VALUES = (
    "", " ", "0", "1", "2", "-1", "007", "1.5", "1e309", "NaN", "-Infinity", "٣", "²", "0x1f", "1_000", str(2**31),
    str(2**63 - 1), str(2**63), "9" * 25, "9" * 5000, "true", "on", "null", "None", "[]", "{}",
    '{"a": [1, {"b": null}]}', "[" * 5000, '{"a":' * 3000, "'", '"', "`", "\\", "%", "%%s", "%00", "_", "';--",
    "1 OR 1=1", "{{7*7}}", "${7*7}", "<script>alert(1)</script>", "../../etc/passwd", "\x00", "a\x00b", "\x1b[31m",
    "\r\nX: y", "\t", "\u202e", "\u2028", "\ufeff", "\ufffd", "İ", "ß", "ﬀ", "e\u0301" * 50, "😀" * 200, "x" * 256,
    "x" * 5000, "x" * 100_000, "a " * 20_000, "@" * 300, "a@b.example", "user1@agency.example", "E-1", "user.2",
    "Officer", "Captain", "PATROL", "update", "sync", "preview", "upload", "csv", "xlsx", "pdf", "name", "-name",
    "desc", "errored", "added", "9999-12-31", "0001-01-01", "0000-00-00", "9999-12-31T23:59", "2026-02-30",
    "2026-11-01T01:30", "24:00", "1.2.3", "1." * 700, "." * 999, "01J9ZKQ4M5V7N8P2R3S4T5W6X7",
    "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "MQ:1x:y", "eyJhIjoxfQ:1tAbCd:" + "A" * 43, "gAAAAA==", "1-x", "-----BEGIN",
    "https://idp.example/", "http://[::1", "https://a b/", "//evil.example", "javascript:alert(1)", "UTC", "../UTC",
    "US", "deactivate", "rank",
)  # fmt: skip
NAMES = (
    "q", "status", "role", "rank", "group", "supervisor", "signed_in_from", "signed_in_before", "never", "import",
    "sort", "desc", "place", "chosen", "shown", "user", "all", "act", "value", "page", "show", "which", "before",
    "since", "until", "by", "about", "of", "kind", "through", "outcome", "form", "next", "progress", "number", "once",
    "map", "do", "mode", "end", "who", "remove", "so_far", "keep", "code", "state", "credential", "supervisor_email",
    "cell-2-EMAIL", "was-2-EMAIL", "map-0", "roles", "permissions", "process", "error", "from", "to", "source", "column",
    "differs", "decide", "any", "text", "again-mode", "again-strict", "here", "size", "compact", "query", "kinds", "zone",
    "language", "time_zone", "kept_form", "back", "quiet", "max", "header_row", "sheet", "default-ROLE", "fixes",
)  # fmt: skip
FILES = (
    "a.csv",
    "a.xlsx",
    "a.ods",
    "<img src=x>.csv",
    "a'b\".csv",
    "\u202ecsv.exe",
    "x" * 300 + ".csv",
    "a.b.c",
    ".csv",
    "%00.csv",
)
HEADERS = (
    "HX-Request",
    "HX-Current-URL",
    "HX-Target",
    "User-Agent",
    "Referer",
    "Accept",
    "Accept-Language",
    "X-Forwarded-For",
)
_ENDS_THE_SESSION = {"account_logout"}
_FIELDS: dict[tuple[str, str], list[str]] = {}
"""The fields of each page as each of the two sees it, for all tests: they are the same in each."""


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSTER_HOME = tmp_path
    worker.at_hand(monkeypatch)


@pytest.fixture
def paths(springfield: Springfield) -> list[tuple[str, str]]:
    """The name and the route of every page, and an agency that has something on each."""
    springfield.imported(person(2, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL"))
    springfield.registered(1)
    springfield.registered(2)
    agency = springfield.agency
    cast.run(agency, [person(7), person(8, ROLE="Nobody")], Options(preview=True))
    tokens.create_token(
        agency, TokenData("HR", frozenset({"users.view"}), 90), context(), snapshot_queries.read_operator(agency, "E-1")
    )
    found = {one.name: one.path(agency) for one in pages()}
    return [*found.items(), *((name, path) for name, path in ADDRESSES if name not in found)]


def fields(page: str) -> list[str]:
    """The names of what can be filled in on a page."""
    return sorted(
        set(re.findall(r'<(?:input|select|textarea|button)[^>]* name="([^"]+)"', page)) - {"csrfmiddlewaretoken"}
    )


class Attack:
    """One request after the other, each undone again."""

    def __init__(self, client: Client, paths: list[tuple[str, str]], who: str) -> None:
        self.chance, self.paths = random.Random(SEED), paths
        self.client, self.who = client, who
        self.wrong: list[str] = []
        self.sent = 0

    def go_on(self, seconds: float) -> None:
        """Sends requests for that long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(self.wrong) < 5:
            name, path = self.chance.choice(self.paths)
            if name not in _ENDS_THE_SESSION:
                self.send(path, self.chance.choice(("get", "get", "post", "post", "post")))

    def send(self, path: str, method: str) -> None:
        """Sends one request by chance, and notes what is wrong with its answer."""
        self.judge(path, method, lambda: self.request(path, method))

    def fill(self, path: str, value: str) -> None:
        """Send a form with this value in every field of the page, or of any page; note what is wrong with the answer."""
        sent = dict.fromkeys(self.own(path) or NAMES, value)
        self.judge(path, "post", lambda: self.answered(f"/springfield/{path}", "post", sent, {}))

    def judge(self, path: str, method: str, ask: Callable[[], tuple[int, Any, str]]) -> None:
        """Note an answer that is an error of ours, or slow; undo what the request has changed."""
        before, place, self.sent = time.process_time(), transaction.savepoint(), self.sent + 1
        answer = ask()
        took = time.process_time() - before
        connection.needs_rollback = False
        transaction.savepoint_rollback(place)
        if (answer[0] >= 500 and answer[0] != 503) or took > MOST:
            self.wrong.append(f"{method} {path} {answer[1]!r:.1500}: {answer[0]} in {took:.1f} s {answer[2]}")

    def request(self, path: str, method: str) -> tuple[int, Any, str]:
        """Sends one request; gives the status, what was sent, and the error."""
        address = f"/springfield/{self.bent(path)}"
        headers = {
            self.chance.choice(HEADERS): self.value()[:4000].encode("ascii", "ignore").decode()
            for _ in range(self.chance.choice((0, 0, 1)))
        }
        headers = {name: re.sub(r"[\r\n\x00]", " ", value) for name, value in headers.items()}
        query = list(self.pairs(path)) if method == "get" or self.chance.random() < 0.2 else []
        encoded = "&".join(f"{quote_plus(name)}={quote_plus(value)[:20_000]}" for name, value in query)
        body = list(self.pairs(path)) if method == "post" else []
        sent: dict[str, Any] = {}
        for name, value in body:
            sent.setdefault(name, []).append(value)
        if method == "post" and self.chance.random() < 0.1:
            sent["file"] = SimpleUploadedFile(f"{self.chance.choice(FILES)}", self.value().encode()[:2000])
        status, _, why = self.answered(f"{address}?{encoded}", method, sent, headers)
        return status, (query, sent, headers), why

    def answered(
        self, address: str, method: str, sent: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, Any, str]:
        """Send a request; return the status, what was sent, and the error."""
        answer = getattr(self.client, method)(address, sent or None, headers=headers)
        if answer.streaming:
            for _ in answer.streaming_content:
                pass
        why = repr(answer.exc_info[1])[:300] if getattr(answer, "exc_info", None) else ""
        return answer.status_code, sent, why

    def bent(self, path: str) -> str:
        """The path, at times with another value in the place of a number or a name."""
        parts = path.split("/")
        if self.chance.random() < 0.15:
            parts[self.chance.randrange(len(parts))] = quote(self.value()[:3000], safe="")
        return "/".join(parts)

    def pairs(self, path: str) -> Iterator[tuple[str, str]]:
        """Names and values, of the page's own fields or of any page's."""
        for _ in range(self.chance.choice((0, 1, 1, 2, 3, 6))):
            own = self.own(path) or NAMES
            yield self.chance.choice(own if self.chance.random() < 0.7 else NAMES), self.value()
        if self.chance.random() < 0.3:
            yield from ((name, self.value()) for name in self.own(path))
        if self.chance.random() < 0.05:
            yield self.value()[:2000], self.value()

    def own(self, path: str) -> list[str]:
        """The names of the page's own fields."""
        if (self.who, path) not in _FIELDS:
            page = self.client.get(f"/springfield/{path}")
            _FIELDS[self.who, path] = [] if page.streaming else fields(page.content.decode(errors="replace"))
        return _FIELDS[self.who, path]

    def value(self) -> str:
        """A value that somebody may send."""
        value = self.chance.choice(VALUES)
        return value if self.chance.random() < 0.9 else value + self.chance.choice(VALUES)[:200]


@pytest.mark.parametrize("who", ["the administrator", "nobody"])
def test_no_query_and_no_form_breaks_a_page(springfield: Springfield, paths: list[tuple[str, str]], who: str) -> None:
    client = Client(raise_request_exception=False)
    if who != "nobody":
        sign_in(client, "user.1")
    attack = Attack(client, paths, who)
    attack.go_on(SECONDS * (0.7 if who != "nobody" else 0.3))
    assert attack.wrong == []
    assert attack.sent > SECONDS / 3


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("[" * 5000, id="deep", marks=pytest.mark.any_database),
        pytest.param("9" * 5000, id="long", marks=pytest.mark.any_database),
        pytest.param('"\\ud800"', id="half a character"),
    ],
)
@pytest.mark.parametrize("who", ["the administrator", "nobody"])
def test_every_field_of_every_form_takes_any_json(
    springfield: Springfield, paths: list[tuple[str, str]], who: str, value: str
) -> None:
    client = Client(raise_request_exception=False)
    if who != "nobody":
        sign_in(client, "user.1")
    attack = Attack(client, paths, who)
    for name, path in paths:
        if name not in _ENDS_THE_SESSION:
            attack.fill(path, value)
    assert attack.wrong == []
    assert attack.sent > 50
