"""Every address of the API under attack. The operations are those of its document, so a new one is attacked too."""

import json
from typing import Any

import pytest
from django.conf import settings as product
from django.db import connection
from django.test import Client
from pytest_django import Settings

from musterbook.api import rest
from musterbook.directory import models
from musterbook.directory.permissions import ALL
from tests.accounts.conftest import Springfield, signed_in
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.operations import OPERATIONS, Operation, list_members, list_wrong
from tests.api.test_me import make_token
from tests.built_once import built_each_minute

pytestmark = pytest.mark.any_database

every = pytest.mark.parametrize("operation", OPERATIONS, ids=str)
with_body = pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.body is not None], ids=str)
with_permission = pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.permission], ids=str)
FITS = object()
"""The body that fits the operation."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def send(
    operation: Operation,
    secret: str = "",
    *,
    body: Any = FITS,
    content: str = "application/json",
    address: str = "",
    method: str = "",
    headers: dict[str, str] | None = None,
    client: Client | None = None,
) -> Any:
    """The answer to the operation with that token and that body: what fits, unless the test has another one."""
    if operation.takes_file and body is FITS:
        body, content = b"EXTERNAL_ID,EMAIL\r\n", operation.content[-1]
    data = body if isinstance(body, bytes) else json.dumps(operation.make_body() if body is FITS else body).encode()
    has_body = body is not FITS or operation.body is not None
    given = {"Authorization": f"Bearer {secret}"} if secret else {}
    return (client or Client(raise_request_exception=False)).generic(
        method or operation.method, address or operation.address(), data if has_body else b"",
        content_type=content if has_body else "application/octet-stream", headers=given | (headers or {}),
    )  # fmt: skip


@built_each_minute
def make_secret(springfield: Springfield) -> str:
    """The secret of a token of the administrator that may do everything."""
    return make_token(springfield, *ALL)[1]


def check_problem(answer: Any, *statuses: int) -> dict[str, Any]:
    """What the answer says is wrong. It is a problem with one of these statuses, and sets no cookie."""
    content: dict[str, Any] = json.loads(answer.content)
    assert (answer.status_code in statuses, answer.headers["Content-Type"]) == (True, "application/problem+json"), (
        content
    )
    assert content["status"] == answer.status_code and content["detail"]
    assert not answer.cookies
    return content


def make_state(agency: models.Agency) -> list[object]:
    """What an attack must not change: everything but refusals and views in the trail, and the use of tokens."""
    kinds = ["act.refused", "api.token-refused", "audit.viewed", "audit.exported", "users.exported"]
    events = models.Event.objects.filter(agency=agency).exclude(kind__in=kinds)
    tables = (models.User, models.Group, models.Role, models.Rank, models.Monitor, models.Feed, models.Import)
    return [list(events.values_list("pk")), *(read_rows(table._meta.db_table) for table in tables)]


def read_rows(table: str) -> list[object]:
    """All rows of a table, as the database has them: to make values of Python of them takes longer than to read them."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')
        return list(cursor.fetchall())


def test_the_document_has_every_operation() -> None:
    assert {one.name for one in OPERATIONS} == {one.operation_id for one in rest.api.list_operations()}
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)


@every
def test_no_operation_opens_without_a_token(springfield: Springfield, operation: Operation) -> None:
    before = make_state(springfield.agency)
    for given in ("", "Bearer", "Bearer ", "Basic bXVzdGVyOmE=", "Token a", "Bearer a b", "bearer\t"):
        answer = send(operation, headers={"Authorization": given} if given else {})
        check_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="springfield"'), given
    assert make_state(springfield.agency) == before


@every
def test_no_malformed_token_opens_an_operation(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    wrong = ("muster_", secret[:-1], f"{secret}0", secret.upper(), secret.replace("muster_", "muster_feed_"))
    for text in (*wrong, "x" * 5000, "%00", "' OR 1=1 --", "münster"):
        answer = send(operation, text)
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        check_problem(answer, 401)
    assert not set(models.Event.objects.filter(kind="api.token-refused").values_list("actor", flat=True)) - {""}


@every
def test_the_token_of_another_agency_opens_nothing(
    springfield: Springfield, shelbyville: Springfield, operation: Operation
) -> None:
    _, secret = make_token(shelbyville, *ALL)
    before = make_state(springfield.agency)
    check_problem(send(operation, secret), 401)
    assert models.Event.objects.get(kind="api.token-refused").agency == springfield.agency
    assert make_state(springfield.agency) == before


@with_permission
def test_every_other_permission_is_not_enough(springfield: Springfield, operation: Operation) -> None:
    _, secret = make_token(springfield, *(ALL - {operation.permission}))
    before = make_state(springfield.agency)
    answer = send(operation, secret)
    assert operation.permission in check_problem(answer, 403)["detail"]
    assert f'error="insufficient_scope", scope="{operation.permission}"' in answer.headers["WWW-Authenticate"]
    event = models.Event.objects.get(kind="act.refused")
    assert (event.actor, event.through, event.outcome) == ("E-1", "api", "refused")
    assert make_state(springfield.agency) == before


@with_permission
def test_a_permission_that_the_creator_has_lost_is_not_enough(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    left = sorted(ALL - {operation.permission})
    models.Role.objects.filter(pk=springfield.user(1).role_id).update(administrator=False, permissions=left)
    check_problem(send(operation, secret), 403)


@every
def test_a_session_without_a_token_opens_nothing(springfield: Springfield, operation: Operation) -> None:
    springfield.registered(1)
    client = signed_in(Client(raise_request_exception=False, enforce_csrf_checks=True), "user1@agency.example")
    session = client.cookies[product.SESSION_COOKIE_NAME].value
    before = make_state(springfield.agency)
    check_problem(send(operation, client=client), 401)
    assert make_state(springfield.agency) == before
    assert client.cookies[product.SESSION_COOKIE_NAME].value == session


@every
def test_a_parameter_of_a_wrong_type_is_refused(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    texts = ("a text", "1.5", "-1", "0", "99999999999999999999", "true", "1;drop", "..", "%F0%9F%98%80", "a" * 300)
    for one in operation.list_parameters("path"):
        for text in texts:
            address = operation.address(**{one["name"]: text.replace(" ", "%20")})
            check_problem(send(operation, secret, address=address), 400, 404, 405, 409, 422)
    for name, schema in operation.list_typed():
        for value in (value for value in list_wrong(schema) if not isinstance(value, list | dict | None)):
            address = f"{operation.address()}?{name}={str(value).lower()}"
            assert send(operation, secret, address=address).status_code == 422, address
    assert make_state(springfield.agency) == before


@every
def test_an_unknown_parameter_is_refused(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    found = check_problem(send(operation, secret, address=f"{operation.address()}?unknown=1"), 422)
    assert [(one["pointer"], one["code"]) for one in found["errors"]] == [("unknown", "unknown-parameter")]
    assert make_state(springfield.agency) == before


@with_body
def test_a_member_of_a_wrong_type_is_refused(springfield: Springfield, operation: Operation) -> None:
    assert operation.body is not None
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    for name, schema in list_members(operation.body).items():
        for value in list_wrong(schema):
            found = check_problem(send(operation, secret, body={**operation.make_body(), name: value}), 422)
            assert any(one["pointer"].startswith(f"/{name}") for one in found["errors"]), (name, value, found)
    for value in list_wrong(operation.body):
        check_problem(send(operation, secret, body=value), 400, 422)
    assert make_state(springfield.agency) == before


@with_body
def test_an_unknown_member_is_refused(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    if isinstance(operation.make_body(), dict):
        found = check_problem(send(operation, secret, body={**operation.make_body(), "unknown": 1}), 422)
        assert "/unknown" in [one["pointer"] for one in found["errors"]]
    assert make_state(springfield.agency) == before


@with_body
def test_text_that_no_database_stores_is_refused(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    for name, schema in list_members(operation.body or {}).items():
        if "string" in json.dumps(schema):
            for text in (b'"a\\u0000b"', b'"\\ud800"'):
                body = json.dumps({**operation.make_body(), name: "TEXT"}).encode().replace(b'"TEXT"', text)
                check_problem(send(operation, secret, body=body), 422)
    assert make_state(springfield.agency) == before


@with_body
@pytest.mark.parametrize(
    "content", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/xml"]
)
def test_a_body_that_is_not_json_is_refused(springfield: Springfield, operation: Operation, content: str) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    if content.partition(";")[0] not in operation.content:
        assert check_problem(send(operation, secret, content=content), 415)["code"] == "not-json"
    assert make_state(springfield.agency) == before


@with_body
def test_a_body_that_cannot_be_read_is_refused(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    for body in (
        *([b""] if operation.needs_body else []),
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b"[" * 100_000,
        b'"' + b"9" * 10_000,
        b"9" * 5_000,
        b"nul",
    ):
        check_problem(send(operation, secret, body=body), 400, 411, 422)
    assert make_state(springfield.agency) == before


@pytest.fixture(scope="module")
def huge() -> bytes:
    """A body of 64 megabytes."""
    return b'{"a": "' + b"a" * (64 * 1024 * 1024) + b'"}'


@every
def test_a_huge_body_is_refused(
    springfield: Springfield, operation: Operation, settings: Settings, huge: bytes
) -> None:
    settings.MUSTER_MAX_FILE_MB = 32
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    answer = send(operation, secret, body=huge)
    if operation.content:
        check_problem(answer, 400, 413, 415, 422)
    assert make_state(springfield.agency) == before


@every
def test_an_address_names_its_methods_and_refuses_others(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    has = {one.method for one in OPERATIONS if one.path == operation.path}
    answer = send(operation, method="OPTIONS")
    allowed = set(answer.headers["Allow"].split(", "))
    assert (answer.status_code, answer.content) == (204, b"")
    assert allowed == has | {"OPTIONS"} | ({"HEAD"} if "GET" in has else set())
    for method in (*METHODS, "HEAD", "TRACE", "CONNECT", "LOCK"):
        if method not in allowed:
            refused = send(operation, secret, method=method)
            assert (refused.status_code, "Allow" in refused.headers) == (405, True), method
    assert make_state(springfield.agency) == before


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.method == "GET"], ids=str)
def test_head_answers_as_get_does_without_a_body(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    got, head = send(operation, secret), send(operation, secret, method="HEAD")
    assert (head.status_code, head.headers["Content-Type"]) == (got.status_code, got.headers["Content-Type"])
    assert head.headers.get("ETag") == got.headers.get("ETag")
    assert (b"".join(head.streaming_content) if head.streaming else head.content) == b""
    check_problem(send(operation), 401)
    assert send(operation, method="HEAD").status_code == 401


@every
def test_an_answer_has_a_number_and_allows_no_page_to_read_it(springfield: Springfield, operation: Operation) -> None:
    secret = make_secret(springfield)
    answer = send(operation, secret, headers={"Origin": "https://elsewhere.example"})
    assert answer.headers["X-Request-ID"] and answer.headers["Cache-Control"] == "no-store, private"
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]
    assert str(answer.status_code) in operation.responses
