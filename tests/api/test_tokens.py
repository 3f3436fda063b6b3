"""Tokens through the API, the addresses that may use them, and everything that makes one useless."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.calls import Program, make_program, read
from tests.api.test_me import problem

pytestmark = pytest.mark.any_database
NEW = {"name": "Nightly", "permissions": ["users.view"], "days": 30, "addresses": ["192.0.2.0/24", "2001:db8::7"]}


@pytest.fixture
def program(springfield: Springfield) -> Program:
    """A program with every permission."""
    return make_program(springfield)


def test_a_token_is_created_listed_read_and_revoked(springfield: Springfield, program: Program) -> None:
    answer = program.send("POST", "tokens", NEW)
    made = read(answer, 201)
    path = f"tokens/{made['token']['id']}"
    assert answer.headers["Location"] == f"/springfield/api/v1/{path}"
    assert made["secret"].startswith("muster_") and made["token"]["ending"] == made["secret"][-4:]
    assert made["token"]["made_by"] == {"external_id": "E-1", "name": "First 1 Last 1"}
    assert made["token"]["addresses"] == NEW["addresses"]
    assert program.get(path) == made["token"]
    assert [one["name"] for one in program.get("tokens")["items"]] == ["Nightly", "Program 0"]
    event = models.Event.objects.filter(kind="api.token-made").latest("pk")
    assert (event.actor, event.through) == ("E-1", "api")
    assert "192.0.2.0/24, 2001:db8::7" in event.changes and made["secret"] not in event.changes
    assert read(program.send("DELETE", path), 204) is None
    (ended,) = program.get("tokens?state=ended")["items"]
    assert (ended["name"], ended["problem"], ended["permissions"]) == ("Nightly", "It was revoked.", ["users.view"])
    assert read(program.send("DELETE", path), 204) is None
    assert models.Event.objects.filter(kind="api.token-revoked").count() == 1
    assert verify.verify_trail(springfield.agency).error == "" and tokens.find_unrecorded(springfield.agency) == ""


def test_a_token_creates_none_that_can_do_more(springfield: Springfield) -> None:
    less = make_program(springfield, "api.manage", "users.view")
    refused = problem(less.send("POST", "tokens", {**NEW, "permissions": ["users.view", "users.edit"]}), 403)
    assert refused["code"] == "not-allowed" and "users.edit" in refused["detail"]
    assert read(less.send("POST", "tokens", NEW), 201)


def test_a_token_can_revoke_itself(springfield: Springfield, program: Program) -> None:
    read(program.send("DELETE", f"tokens/{Token.objects.get().pk}"), 204)
    problem(program.send("GET", "me"), 401)


def test_no_token_of_another_agency_is_found(
    springfield: Springfield, shelbyville: Springfield, program: Program
) -> None:
    make_program(shelbyville)
    theirs = Token.objects.get(agency=shelbyville.agency)
    for method in ("GET", "DELETE"):
        problem(program.send(method, f"tokens/{theirs.pk}"), 404)
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


@pytest.mark.parametrize("text", ["", "192.0.2.7/24", "192.0.2.256", "example.org", "10.0.0.0/33", "::g", "*", "1"])
def test_what_is_no_network_is_refused(program: Program, text: str) -> None:
    found = problem(program.send("POST", "tokens", {**NEW, "addresses": ["192.0.2.7", text]}), 422)
    assert found["errors"][0]["pointer"].startswith("/addresses")
    many = problem(program.send("POST", "tokens", {**NEW, "addresses": [f"192.0.2.{n}" for n in range(51)]}), 422)
    assert many["errors"][0]["pointer"] == "/addresses"
    assert Token.objects.count() == 1


@pytest.mark.parametrize(
    ("networks", "address", "opens"),
    [
        ([], "198.51.100.1", True),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.8", False),
        (["192.0.2.0/24", "198.51.100.0/25"], "198.51.100.127", True),
        (["192.0.2.0/24", "198.51.100.0/25"], "198.51.100.128", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.9", True),
        (["192.0.2.0/24"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["0.0.0.0/0"], "203.0.113.9", True),
    ],
)
def test_a_token_opens_only_from_its_addresses(
    springfield: Springfield, program: Program, networks: list[str], address: str, opens: bool
) -> None:
    secret = read(program.send("POST", "tokens", {**NEW, "addresses": networks}), 201)["secret"]
    answer = ask(secret, REMOTE_ADDR=address)
    assert answer.status_code == (200 if opens else 401)
    if not opens:
        assert "may not be used from this address" in problem(answer, 401)["detail"]
        event = models.Event.objects.get(kind="api.token-refused")
        assert (event.actor, event.subject_external_id, event.outcome) == ("E-1", "E-1", "failed")
        assert event.address in {address, address.removeprefix("::ffff:")}
        assert Token.objects.get(name="Nightly").used_on is None


def ask(secret: str, **environ: Any) -> Any:
    """The answer to a program that asks who it is."""
    return Client().get("/springfield/api/v1/me", headers={"Authorization": f"Bearer {secret}"}, **environ)


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_has_seen(
    springfield: Springfield, program: Program, settings: Settings
) -> None:
    secret = read(program.send("POST", "tokens", {**NEW, "addresses": ["192.0.2.7"]}), 201)["secret"]
    inside, outside = {"REMOTE_ADDR": "10.0.0.1"}, {"REMOTE_ADDR": "192.0.2.7"}
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert ask(secret, HTTP_X_FORWARDED_FOR="203.0.113.5, 192.0.2.7", **inside).status_code == 200
    assert ask(secret, HTTP_X_FORWARDED_FOR="192.0.2.7, 203.0.113.5", **inside).status_code == 401
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    assert ask(secret, HTTP_X_FORWARDED_FOR="192.0.2.7", **inside).status_code == 401
    assert ask(secret, HTTP_X_FORWARDED_FOR="203.0.113.5", **outside).status_code == 200


def test_addresses_that_were_widened_outside_of_musterbook_are_found(
    springfield: Springfield, program: Program
) -> None:
    read(program.send("POST", "tokens", NEW), 201)
    assert tokens.find_unrecorded(springfield.agency) == ""
    Token.objects.filter(name="Nightly").update(addresses=["192.0.0.0/8"])
    assert "Nightly" in tokens.find_unrecorded(springfield.agency)
    Token.objects.filter(name="Nightly").update(addresses=[])
    assert "Nightly" in tokens.find_unrecorded(springfield.agency)


def _elsewhere(token: Token) -> str:
    return "shelbyville"


def _expire(token: Token) -> None:
    Token.objects.filter(pk=token.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))


def _revoke(token: Token) -> None:
    tokens.revoke(token, AuditContext(datetime.now(UTC), "E-1", "page"))


def _move(token: Token) -> None:
    Token.objects.filter(pk=token.pk).update(addresses=["192.0.2.0/24"])


def _deactivate(token: Token) -> None:
    models.User.objects.filter(pk=token.maker_id).update(active=False)


def _take_permission(token: Token) -> None:
    Token.objects.filter(pk=token.pk).update(permissions=["users.edit"])


@pytest.mark.parametrize("path", ["/api/v1/groups", "/scim/v2/Users"])
@pytest.mark.parametrize(
    ("ends", "status", "kind"),
    [
        (_elsewhere, 401, "api.token-refused"),
        (_take_permission, 403, "act.refused"),
        (_expire, 401, "api.token-refused"),
        (_revoke, 401, "api.token-refused"),
        (_move, 401, "api.token-refused"),
        (_deactivate, 401, "api.token-refused"),
    ],
)
def test_every_token_that_must_not_open_is_refused_and_this_is_in_the_trail(
    springfield: Springfield,
    shelbyville: Springfield,
    path: str,
    ends: Callable[[Token], str | None],
    status: int,
    kind: str,
) -> None:
    program = make_program(springfield)
    headers = {"Authorization": f"Bearer {program.secret}"}
    assert Client().get(f"/springfield{path}", headers=headers).status_code == 200
    agency = ends(Token.objects.get()) or "springfield"
    assert Client().get(f"/{agency}{path}", headers=headers).status_code == status
    event = models.Event.objects.get(kind=kind)
    assert (event.agency.slug, event.address) == (agency, "127.0.0.1")
    assert event.through == ("scim" if "scim" in path else "api")
    assert program.secret not in event.changes
