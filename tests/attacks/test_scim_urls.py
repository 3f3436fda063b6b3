"""Every address of SCIM under attack, from its list of addresses, so that a new one is attacked too."""

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from musterbook.directory import models
from musterbook.directory.permissions import ALL
from tests.accounts.conftest import Springfield, signed_in
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.attacks.test_api import METHODS, make_secret, make_state

pytestmark = pytest.mark.any_database


@dataclass(frozen=True, slots=True)
class Address:
    """An address of SCIM, with one of its methods and the permission that this needs."""

    path: str
    method: str
    permission: str

    def __str__(self) -> str:
        """Return how the test is called."""
        return f"{self.method} {self.path}"

    def send(self, secret: str = "", *, method: str = "", agency: str = "springfield", **more: Any) -> Any:
        """The answer to a request with that token."""
        client = more.pop("client", None) or Client(raise_request_exception=False)
        headers = {**({"Authorization": f"Bearer {secret}"} if secret else {}), **more.pop("headers", {})}
        body = more.pop("body", b"{}" if self.method not in {"GET", "DELETE"} else b"")
        kind = more.pop("kind", "application/scim+json")
        return client.generic(
            method or self.method, f"/{agency}/{self.path}", body, content_type=kind, headers=headers
        )  # fmt: skip


def _list_addresses() -> list[Address]:
    found = []
    for pattern in get_resolver("musterbook.scim.urls").url_patterns:
        assert isinstance(pattern, URLPattern)
        path = re.sub(r"<\w+:\w+>", "1", str(pattern.pattern))
        permissions = vars(pattern.callback)["permission"]
        found += [Address(path, method, permission) for method, permission in permissions.items()]
    return found


ADDRESSES = _list_addresses()
every = pytest.mark.parametrize("address", ADDRESSES, ids=str)
with_permission = pytest.mark.parametrize("address", [one for one in ADDRESSES if one.permission], ids=str)
with_body = pytest.mark.parametrize(
    "address", [one for one in ADDRESSES if one.method in {"POST", "PUT", "PATCH"}], ids=str
)


def check_error(answer: Any, *statuses: int) -> None:
    """The answer is an error of SCIM with one of these statuses, and sets no cookie."""
    content = json.loads(answer.content)
    assert answer.status_code in statuses, content
    assert answer.headers["Content-Type"].partition(";")[0] == "application/scim+json"
    assert content["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert content["status"] == str(answer.status_code) and not answer.cookies


def test_there_are_addresses() -> None:
    assert {"scim/v2/Users", "scim/v2/Users/1", "scim/v2/Groups/1", "scim/v2/Bulk"} <= {one.path for one in ADDRESSES}


@every
def test_nothing_opens_without_a_token_that_is_whole(springfield: Springfield, address: Address) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    for given in (
        "",
        "Bearer",
        "Basic bXVzdGVyOmE=",
        "Bearer a b",
        f"Bearer {secret[:-1]}",
        f"Bearer {secret}0",
        f"Token {secret}",
    ):
        answer = address.send(headers={"Authorization": given} if given else {})
        check_error(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="springfield"')
    assert make_state(springfield.agency) == before


@every
def test_the_token_of_another_agency_opens_nothing(
    springfield: Springfield, shelbyville: Springfield, address: Address
) -> None:
    _, secret = make_token(shelbyville, *ALL)
    before = make_state(springfield.agency)
    check_error(address.send(secret), 401)
    event = models.Event.objects.get(kind="api.token-refused")
    assert (event.agency, event.through) == (springfield.agency, "scim")
    assert make_state(springfield.agency) == before


@with_permission
def test_every_other_permission_is_not_enough(springfield: Springfield, address: Address) -> None:
    _, secret = make_token(springfield, *(ALL - {address.permission}))
    before = make_state(springfield.agency)
    answer = address.send(secret)
    check_error(answer, 403)
    assert f'scope="{address.permission}"' in answer.headers["WWW-Authenticate"]
    event = models.Event.objects.get(kind="act.refused")
    assert (event.actor, event.through, event.outcome) == ("E-1", "scim", "refused")
    assert make_state(springfield.agency) == before


@every
def test_a_session_without_a_token_opens_nothing(springfield: Springfield, address: Address) -> None:
    springfield.registered(1)
    client = signed_in(Client(raise_request_exception=False, enforce_csrf_checks=True), "user1@agency.example")
    before = make_state(springfield.agency)
    answer = address.send(client=client)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"]
    assert make_state(springfield.agency) == before


@with_body
def test_a_body_that_cannot_be_read_changes_nothing(springfield: Springfield, address: Address) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    for body in (b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"9" * 5_000):
        check_error(address.send(secret, body=body), 400, 404, 411, 415, 501)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"):
        check_error(address.send(secret, kind=kind), 415, 404, 501)
    assert make_state(springfield.agency) == before


@with_body
def test_members_of_a_wrong_type_change_nothing(springfield: Springfield, address: Address) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    names = (
        "schemas",
        "userName",
        "displayName",
        "members",
        "emails",
        "name",
        "active",
        "Operations",
        "filter",
        "startIndex",
    )
    values: tuple[Any, ...] = (None, True, 7, 1.5, "a text", [7], {"a": 1}, [[]], "a\x00b", "\ud800")
    for name in names:
        for value in values:
            if (name, value) == ("displayName", "a text"):
                continue  # a group may have this name
            answer = address.send(secret, body=json.dumps({name: value}).encode())
            assert answer.status_code < 500 or answer.status_code == 501, (name, value, answer.content)
    assert make_state(springfield.agency) == before


@every
def test_an_address_names_its_methods_and_refuses_others(springfield: Springfield, address: Address) -> None:
    secret = make_secret(springfield)
    before = make_state(springfield.agency)
    has = {one.method for one in ADDRESSES if one.path == address.path}
    answer = address.send(method="OPTIONS", body=b"")
    allowed = set(answer.headers["Allow"].split(", "))
    assert (answer.status_code, allowed) == (204, has | {"OPTIONS"} | ({"HEAD"} if "GET" in has else set()))
    for method in (*METHODS, "HEAD"):
        if method not in allowed:
            refused = address.send(secret, method=method)
            assert (refused.status_code, set(refused.headers["Allow"].split(", "))) == (405, allowed)
    assert make_state(springfield.agency) == before


@every
def test_an_answer_has_what_is_left_of_the_limit_and_a_number(springfield: Springfield, address: Address) -> None:
    secret = make_secret(springfield)
    answer = address.send(secret, headers={"Origin": "https://elsewhere.example"})
    assert answer.headers["RateLimit"].startswith('"token";r=') and answer.headers["X-Request-ID"]
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]
    assert answer.status_code < 500 or answer.status_code == 501
