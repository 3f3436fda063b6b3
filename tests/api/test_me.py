"""The API through real requests: who gets in, what it answers to those who do not, and that cookies mean nothing."""

import json
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import BadRequest
from django.test import Client, RequestFactory
from django.urls import URLPattern, get_resolver

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.accounts.tokens import TokenData
from musterbook.api import problems, rest
from musterbook.api.access import Needs, needs
from musterbook.core.domain.problems import CATALOG
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.http.bearer import AccessRefused
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.accounts.test_entrance import sign_in

pytestmark = pytest.mark.any_database


ME = "/springfield/api/v1/me"


def make_token(
    springfield: Springfield, *may: str, name: str = "HR", addresses: tuple[str, ...] = ()
) -> tuple[Token, str]:
    """A token of the administrator that may do that, good from now on."""
    data = TokenData(name, frozenset(may or ("users.view", "users.import")), 90, addresses)
    operator = snapshot_queries.read_operator(springfield.agency, "E-1")
    return tokens.create_token(springfield.agency, data, AuditContext(datetime.now(UTC), "E-1", "page"), operator)


def ask(secret: str, path: str = ME, scheme: str = "Bearer", client: Client | None = None) -> Any:
    """The answer to a program with that token."""
    return (client or Client()).get(path, headers={"Authorization": f"{scheme} {secret}", "User-Agent": "curl/8"})


def problem(answer: Any, status: int) -> dict[str, Any]:
    """What the answer says is wrong."""
    content: dict[str, Any] = json.loads(answer.content)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (content["status"], content["title"]) == (status, HTTPStatus(status).phrase)
    page = f"{settings.MUSTER_URL}/springfield/help/reference/problems#code-{content.get('code')}"
    assert content["type"] == (page if content.get("code") in CATALOG else "about:blank")
    assert not answer.cookies
    return content


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_a_token_describes_itself(springfield: Springfield, scheme: str) -> None:
    token, secret = make_token(springfield)
    answer = ask(secret, scheme=scheme)
    assert answer.status_code == 200
    assert json.loads(answer.content) == {
        "agency": {"slug": "springfield", "name": springfield.agency.name},
        "token": {
            "name": "HR",
            "made_at": token.made_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "expires_at": token.expires_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        },
        "made_by": {"external_id": "E-1", "name": "First 1 Last 1"},
        "permissions": ["users.import", "users.view"],
    }
    assert (answer.headers["Cache-Control"], len(answer.cookies)) == ("no-store, private", 0)
    token.refresh_from_db()
    assert (token.used_on, token.used_from) == (datetime.now(UTC).date(), "127.0.0.1")


def test_nobody_comes_in_without_a_token(springfield: Springfield) -> None:
    _, secret = make_token(springfield)
    for answer in (
        Client().get(ME),
        ask(secret, scheme="Basic"),
        ask("", scheme=secret),
        Client().get(f"{ME}?token={secret}"),
    ):
        assert "Authorization: Bearer" in problem(answer, 401)["detail"]
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="springfield"'
    assert not models.Event.objects.filter(kind="api.token-refused").exists()


def test_a_session_opens_nothing_here_and_a_token_opens_no_page(springfield: Springfield, client: Client) -> None:
    _, secret = make_token(springfield)
    springfield.registered(1)
    sign_in(client, "user.1")
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    problem(client.get(ME), 401)
    assert ask(secret, client=client).status_code == 200
    assert client.cookies[settings.SESSION_COOKIE_NAME].value == session
    assert client.get("/springfield/users/").status_code == 200
    for path in ("", "users/", "api-access/", "my-account/"):
        answer = ask(secret, f"/springfield/{path}")
        assert answer.headers["Location"].startswith("/springfield/sign-in"), path


def _revoked(token: Token) -> None:
    tokens.revoke(token, AuditContext(datetime.now(UTC), "E-1", "page"))


def _expired(token: Token) -> None:
    Token.objects.filter(pk=token.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))


def _inactive(token: Token) -> None:
    models.User.objects.filter(pk=token.maker_id).update(active=False)


def _once_inactive(token: Token) -> None:
    models.User.objects.filter(pk=token.maker_id).update(access_ended_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("ends", "said"),
    [(_revoked, "revoked"), (_expired, "expired"), (_inactive, "lost access"), (_once_inactive, "lost access")],
)
def test_the_reason_why_a_token_ended_is_named_and_recorded_in_the_trail(
    springfield: Springfield, ends: Any, said: str
) -> None:
    token, secret = make_token(springfield)
    ends(token)
    answer = ask(secret)
    assert said in problem(answer, 401)["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="springfield", error="invalid_token"'
    event = models.Event.objects.get(kind="api.token-refused")
    assert (event.actor, event.through, event.address, event.outcome) == ("E-1", "api", "127.0.0.1", "failed")
    assert (event.agent, event.subject_external_id) == ("Token “HR”: curl/8", "E-1")
    assert said in event.changes and secret not in event.changes


def test_a_token_of_another_agency_is_as_one_that_there_is_not(
    springfield: Springfield, shelbyville: Springfield
) -> None:
    _, secret = make_token(springfield)
    theirs, unknown = ask(secret, "/shelbyville/api/v1/me"), ask(f"muster_{'0' * 64}", "/shelbyville/api/v1/me")
    assert problem(theirs, 401) == problem(unknown, 401)
    events = models.Event.objects.filter(kind="api.token-refused").values_list(
        "agency__slug", "actor", "subject_external_id"
    )
    assert set(events) == {("shelbyville", "", "")}


def test_there_is_an_answer_in_json_where_there_is_nothing(springfield: Springfield) -> None:
    _, secret = make_token(springfield)
    for path in ("/springfield/api", "/springfield/api/", "/springfield/api/users/1", "/nowhere/api/v1/me"):
        client = Client()
        answer = ask(secret, path, client=client)
        problem(client.get(answer.headers["Location"]) if answer.status_code == 301 else answer, 404)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_what_only_answers_takes_nothing(springfield: Springfield, method: str) -> None:
    _, secret = make_token(springfield)
    client = Client(enforce_csrf_checks=True)
    answer = getattr(client, method)(ME, headers={"Authorization": f"Bearer {secret}"})
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_too_many_wrong_tokens_are_put_off_and_good_ones_are_not(springfield: Springfield) -> None:
    _, secret = make_token(springfield)
    codes = [ask(f"muster_{number:064x}").status_code for number in range(32)]
    assert codes == [401] * 30 + [429] * 2
    answer = ask("wrong")
    assert "five minutes" in problem(answer, 429)["detail"] and answer.headers["Retry-After"] == "300"
    assert models.Event.objects.filter(kind="api.token-refused").count() == 30
    assert ask(secret).status_code == 200


def test_a_permission_that_a_token_lacks_is_named_and_recorded_in_the_trail(springfield: Springfield) -> None:
    _, secret = make_token(springfield, "users.view")

    def asked(permission: str) -> Any:
        request = RequestFactory().get("/api/x", headers={"Authorization": f"Bearer {secret}"})
        request.agency = springfield.agency  # type: ignore[attr-defined]
        try:
            return needs(permission)(request)
        except AccessRefused as refused:
            return problems.answer_refusal(request, refused)

    assert asked("users.view").name == "HR"
    answer = asked("users.edit")
    assert "users.edit" in problem(answer, 403)["detail"]
    assert 'error="insufficient_scope", scope="users.edit"' in answer.headers["WWW-Authenticate"]
    event = models.Event.objects.get(kind="act.refused")
    assert (event.actor, event.through, event.outcome) == ("E-1", "api", "refused")


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, 500), (BadRequest, 400)])
def test_what_nobody_expected_is_said_in_json_too(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch, error: type[Exception], status: int
) -> None:
    _, secret = make_token(springfield)

    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr(tokens, "get_permissions", broken)
    problem(ask(secret, client=Client(raise_request_exception=False)), status)


def test_every_address_asks_for_a_token() -> None:
    patterns = get_resolver("musterbook.api.urls").url_patterns
    guarded = [one for one in patterns if isinstance(one, URLPattern)]
    assert guarded
    for pattern in guarded:
        assert {"permission", "csrf_exempt"} <= vars(pattern.callback).keys(), pattern
    operations = [
        one
        for bound in rest.api._get_bound_routers()
        for view in bound.path_operations.values()
        for one in view.operations
    ]
    assert operations
    for operation in operations:
        assert [isinstance(one, Needs) for one in operation.auth_callbacks] == [True], operation.path
