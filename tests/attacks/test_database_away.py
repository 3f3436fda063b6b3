"""While the database is away or takes no changes, each interface says so with 503, in plain words, and the log in one line."""

import json
import logging
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.utils import InternalError
from django.test import Client
from psycopg import errors

from musterbook.directory.installation import readiness
from musterbook.directory.storage import frames
from tests.accounts.conftest import Springfield

pytestmark = pytest.mark.django_db(transaction=True)


def _lose(*_: object, **__: object) -> None:
    cause = psycopg.OperationalError("server closed the connection unexpectedly\n\tThis probably means …")
    raise OperationalError(str(cause)) from cause


def _refuse(*_: object, **__: object) -> None:
    cause = errors.ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction")
    raise InternalError(str(cause)) from cause


@pytest.mark.parametrize("fail", [_lose, _refuse])
@pytest.mark.parametrize("path", ["sign-in", "api/v1/me", "scim/v2/Users"])
def test_each_interface_answers_in_its_own_way(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str, fail: Any
) -> None:
    client = Client(raise_request_exception=False)
    with monkeypatch.context() as patch:
        patch.setattr("musterbook.web.middleware.find_agency", fail)
        answer = client.get(f"/{springfield.agency.slug}/{path}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    text = answer.content.decode()
    assert "cannot reach its database right now" in text
    assert "Traceback" not in text and "psycopg" not in text and "read-only" not in text
    if path == "sign-in":
        assert "Nothing has changed." in text
    else:
        assert json.loads(text)["status"] in (503, "503")
    [line] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "\n" not in line.getMessage() and line.exc_info is None


def test_a_connection_that_is_lost_within_a_request_of_a_program_is_no_error_of_ours(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musterbook.accounts.tokens.check_secret", _lose)
    client = Client(raise_request_exception=False, headers={"Authorization": "Bearer muster_x"})
    for path in ("api/v1/me", "scim/v2/Users"):
        answer = client.get(f"/{springfield.agency.slug}/{path}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30"), answer.content
        assert "cannot reach its database right now" in answer.json()["detail"]


def test_after_a_form_the_page_does_not_claim_that_nothing_has_changed(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may have gone after it committed, before it said so."""
    client = Client(raise_request_exception=False)
    monkeypatch.setattr("musterbook.web.middleware.find_agency", _lose)
    text = client.post(f"/{springfield.agency.slug}/sign-in").content.decode()
    assert "may or may not have been saved" in text and "Nothing has changed" not in text


def test_on_a_standby_pages_can_be_read_and_forms_are_to_be_sent_again(springfield: Springfield) -> None:
    if not frames.on_postgres():
        pytest.skip("SQLite has no standby")
    client, path = Client(raise_request_exception=False), f"/{springfield.agency.slug}/sign-in"
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        name = cursor.fetchone()[0]
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    connection.close()
    try:
        readiness.forget()
        assert Client().get("/readyz").content.decode().strip() == "The database takes no changes."
        assert client.get(path).status_code == 200
        answer = client.post(path, {"login": "user.1", "password": "a wrong one"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        connection.close()
    readiness.forget()
    assert client.get("/readyz").content == b"ok"
