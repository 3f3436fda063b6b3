"""Bodies that programs read differently, or that no database can hold, are refused before anything is done."""

import json
import sqlite3
from typing import Any

import pytest
from django.db import OperationalError

from musterbook.directory import models
from musterbook.directory.users import editing
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_users import call, problem, read
from tests.api.test_users import secret as secret  # noqa: PLC0414

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"first_name": "a", "first_name": "b"}', "twice"),
        (b'{"x": {"a": 1, "a": 1}}', "twice"),
        (b'{"first_name": NaN}', "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b'{"first_name": "\xff"}', "UTF-8"),
        (b'{"first_name": "\xed\xa0\x80"}', "UTF-8"),
        ('{"first_name": "x"}'.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "deeply"),
        (b'{"first_name": ' + b"9" * 5_000 + b"}", "JSON"),
        (b"{" + b",".join(b'"m%d":1' % number for number in range(2_001)) + b"}", "2,000 members"),
        (b"[" + b"[]," * 200_000 + b"1]", "too many objects"),
        (b"{", "JSON"),
        (b"{} {}", "JSON"),
        (b"{'first_name': 'x'}", "JSON"),
        (b"first_name=x", "JSON"),
    ],
)
def test_a_body_that_is_no_strict_json_is_refused(
    springfield: Springfield, secret: str, body: bytes, said: str
) -> None:
    found = problem(call(secret, "PATCH", f"/{springfield.user(2).pk}", body), 400)
    assert said in found["detail"] and found["code"] == "invalid-json"
    assert len(found["detail"]) < 300
    assert springfield.user(2).first_name == "First 2"


@pytest.mark.parametrize("body", ["[]", "7", "true", "null", '"x"', "[[]]"])
def test_a_body_that_is_no_object_is_refused(springfield: Springfield, secret: str, body: str) -> None:
    problem(call(secret, "PATCH", f"/{springfield.user(2).pk}", body.encode()), 422)
    problem(call(secret, "POST", "", body.encode()), 422)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"first_name": "a\\u0000b"}', "/first_name"),
        ('{"first_name": "\\ud800"}', "/first_name"),
        ('{"first_name": "\\uDFFFx"}', "/first_name"),
        ('{"a/b~": {"c": ["ok", "\\u0000"]}}', "/a~1b~0/c/1"),
        ('{"x": {"\\u0000": 1}}', "/x"),
    ],
)
def test_a_text_that_cannot_be_stored_is_refused_with_its_place(
    springfield: Springfield, secret: str, body: str, pointer: str
) -> None:
    found = problem(call(secret, "PATCH", f"/{springfield.user(2).pk}", body.encode()))
    assert [(one["pointer"], one["code"]) for one in found["errors"]] == [(pointer, "illegal-character")]


def test_a_whole_character_that_is_written_in_halves_is_a_character(springfield: Springfield, secret: str) -> None:
    body = b'{"location": "\\ud83d\\ude00 \\\\u0000"}'
    assert read(call(secret, "PATCH", f"/{springfield.user(2).pk}", body))["location"] == "😀 \\u0000"


@pytest.mark.parametrize("path", ["?q=a%00b", "?role=%00", "?cursor=%00", "?external_id=%00", "/%00", "%00"])
def test_an_address_with_a_nul_leads_nowhere(secret: str, path: str) -> None:
    assert problem(call(secret, "GET", path), 404)["title"] == "Not Found"


def test_a_body_that_is_too_large_is_refused(springfield: Springfield, secret: str, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    path = f"/{springfield.user(2).pk}"
    assert "too large" in problem(call(secret, "PATCH", path, {"location": "x" * 10_000}), 413)["detail"]
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2_000_000
    found = problem(call(secret, "PATCH", path, {"location": "x" * 10_000}))
    assert [one["pointer"] for one in found["errors"]] == ["/location"]
    assert len(json.dumps(found)) < 2_000


def test_a_change_while_an_import_is_written_is_put_off(
    springfield: Springfield, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        cause = sqlite3.OperationalError("database is locked")
        cause.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise OperationalError("database is locked") from cause

    monkeypatch.setattr(editing, "change", busy)
    answer = call(secret, "PATCH", f"/{springfield.user(2).pk}", {"location": "x"})
    assert problem(answer, 503)["code"] == "busy"
    assert answer.headers["Retry-After"] == "60"
    assert not models.Event.objects.filter(through="api").exists()
