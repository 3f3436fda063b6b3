"""Attacks on the SCIM service: other agencies, tokens that lack something, and requests that no client sends."""

import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from django.urls import get_resolver

from musterbook.accounts.models import Token
from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.scim.conftest import ENTERPRISE, OWN, PATCH, SEARCH, USER, Scim, person, read

pytestmark = pytest.mark.any_database

_PLACES = [
    ("get", "Users"), ("post", "Users"), ("get", "Users/1"), ("put", "Users/1"), ("patch", "Users/1"), ("delete", "Users/1"),
    ("post", "Users/.search"), ("post", ".search"), ("get", ""), ("get", "Schemas"), ("get", "ResourceTypes"),
    ("get", "ServiceProviderConfig"), ("get", "Me"), ("get", f"Schemas/{USER}"), ("get", "ResourceTypes/User"),
]  # fmt: skip


def _ask(scim: Scim, method: str, path: str) -> Any:
    body = None if method in ("get", "delete") else {"schemas": [USER]}
    return scim.ask(path, method, body)


@pytest.mark.parametrize(("method", "path"), _PLACES)
def test_nobody_comes_in_without_a_token_of_the_agency(
    scim: Scim, shelbyville: Springfield, method: str, path: str
) -> None:
    read(_ask(Scim(scim.agency, "muster_" + "0" * 64), method, path), 401)
    answer = _ask(Scim(shelbyville.agency, scim.secret), method, path)
    read(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="shelbyville"')
    event = models.Event.objects.filter(agency=shelbyville.agency, kind="api.token-refused").get()
    assert (event.through, event.outcome) == ("scim", "failed")
    Token.objects.update(expires_at="2001-01-01T00:00:00Z")
    read(_ask(scim, method, path), 401)


def test_users_of_other_agencies_are_not_there(scim: Scim, shelbyville: Springfield) -> None:
    theirs = models.User.objects.filter(agency=shelbyville.agency).first()
    assert theirs
    number = str(theirs.pk)
    scim.get(f"Users/{number}", 404)
    scim.put(number, person(), 404)
    scim.patch(number, {"op": "replace", "path": "active", "value": False}, status=404)
    scim.delete(number, 404)
    assert scim.find(f'id eq "{number}"') == []
    assert scim.post(person(**{ENTERPRISE: {"manager": {"value": number}}}), 400)["scimType"] == "invalidValue"
    assert len(scim.find("userName pr")) == 3
    theirs.refresh_from_db()
    assert theirs.active


def test_a_token_that_may_only_view_or_only_edit_does_no_more(scim: Scim, springfield: Springfield) -> None:
    viewer, editor = (Scim(scim.agency, _make(springfield, one)) for one in ("users.view", "users.edit"))
    viewer.get("Users/2")
    for other, status in (("post", 403), ("put", 403), ("patch", 403), ("delete", 403)):
        path = "Users" if other == "post" else "Users/2"
        read(_ask(viewer, other, path), status)
    read(editor.ask("Users/2"), 403)
    editor.post(person(), 403)
    editor.patch("2", {"op": "replace", "path": "active", "value": False}, status=403)
    assert models.Event.objects.filter(kind="act.refused", through="scim").count() == 7


def _make(springfield: Springfield, permission: str) -> str:
    Token.objects.filter(name="HR").update(name=f"not only {permission}")
    return make_token(springfield, permission)[1]


def test_the_administrator_cannot_be_locked_out_and_nobody_rises_above_the_token(
    scim: Scim, springfield: Springfield
) -> None:
    springfield.registered(1)
    scim.patch("1", {"op": "replace", "path": "active", "value": False}, status=403)
    scim.delete("1", 403)
    assert scim.patch("2", {"op": "replace", "path": f"{OWN}:role", "value": "Admin"}, status=403)["detail"]
    roles = next(one for one in scim.get(f"Schemas/{OWN}")["attributes"] if one["name"] == "role")
    assert roles["canonicalValues"] == ["Officer"]


_BODIES = [
    b"[", b"[]", b"null", b'"x"', b"{}", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 6_000,
    b'{"schemas": NaN}', b'{"userName": "\\ud800"}', b'{"\\u0000": 1}',
    json.dumps({"schemas": [USER], "userName": 7}).encode(), json.dumps({"schemas": USER}).encode(),
    json.dumps({**person(), "name": "x"}).encode(), json.dumps(person(emails="x")).encode(),
    json.dumps(person(emails=[{"value": "a" * 400 + "@x.org"}])).encode(), json.dumps(person(userName="a" * 5_000)).encode(),
    json.dumps(person("a\u0000b")).encode(), json.dumps(person("a\u202eb")).encode(), json.dumps(person("a\nb")).encode(),
    json.dumps(person(active="perhaps")).encode(), json.dumps(person(active=10**400)).encode(),
    json.dumps(person(**{ENTERPRISE: {"manager": {"value": "9" * 400}}})).encode(),
    json.dumps(person(**{ENTERPRISE: {"manager": {"value": "1'; DROP TABLE directory_user; --"}}})).encode(),
    json.dumps(person(**{OWN: [1]})).encode(), json.dumps(person(**{OWN: {"role": {"value": "Admin"}}})).encode(),
    json.dumps(person(phoneNumbers=[{"value": {"a": 1}}])).encode(), json.dumps(person(phoneNumbers=[7])).encode(),
    json.dumps(person(displayName="a\u0000")).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", _BODIES, ids=range(len(_BODIES)))
def test_a_body_that_no_client_sends_is_refused_and_changes_nothing(scim: Scim, body: bytes) -> None:
    before = models.User.objects.count()
    for path, method in (("Users", "post"), ("Users/2", "put"), ("Users/2", "patch"), ("Users/.search", "post")):
        answer = scim.ask(path, method, body)
        if not (path == "Users/2" and method == "put" and answer.status_code == 200):
            assert read(answer, 400)["scimType"], answer.content
    assert models.User.objects.count() == before


def test_bodies_are_bounded_and_named(scim: Scim) -> None:
    large = json.dumps(person(displayName="x" * (1 << 20)))
    read(scim.ask("Users", "post", large), 413)
    read(scim.ask("Users", "post", b"x" * (30 << 20)), 413)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        read(scim.ask("Users", "post", "{}", **{"Content-Type": kind}), 415)
    for kind in ("application/json", "application/scim+json; charset=utf-8", "APPLICATION/JSON"):
        read(scim.ask("Users", "post", "{}", **{"Content-Type": kind}), 400)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000 + "active pr" + ")" * 5_000, "not (" * 2_000 + "active pr" + ")" * 2_000,
        "not (" * 40 + "active pr" + ")" * 40,
        " or ".join(['userName eq "x"'] * 101), 'userName eq "' + "x" * 10_000 + '"', "x" * 9_000, '"' * 9_000,
        "userName", "userName eq", 'userName eq "x', "userName eq x", "userName xx 1", 'userName eq "\ud800"', "(", "emails[",
        'emails[type eq "work"', 'userName eq "a" and', "title pr", "password pr", f"{OWN}:none pr", "urn:x:y:z pr",
        "active gt true",
        'active co "t"', "userName[value pr]", 'meta.created gt "yesterday"', "1 eq 1", "userName eq 'x'", "x.y.z pr", "\u0000",
        'userName eq "\\ud800"', 'userName eq "a\\u0000"', 'emails[value co "\\udfff"]',
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_refused_soon(scim: Scim, text: str) -> None:
    began = time.monotonic()
    answer = read(scim.ask("Users/.search", "post", json.dumps({"schemas": [SEARCH], "filter": text})), 400)
    assert answer["scimType"] in ("invalidFilter", "invalidSyntax", "invalidValue")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "value",
    [
        "' OR 1=1 --", '\\" or userName pr or userName eq \\"', "%", "_", ".*", "(a+)+$", "\\\\",
        "\\ud83d\\ude00", "x" * 300,
    ],
)  # fmt: skip
@pytest.mark.parametrize("operator", ["eq", "co", "sw", "ew"])
def test_a_value_of_a_filter_is_only_a_value(scim: Scim, value: str, operator: str) -> None:
    for name in ("userName", "externalId", "emails.value", "displayName", "name.familyName", f"{OWN}:rank", "id"):
        assert scim.find(f'{name} {operator} "{value}"') == []
    for name in ("displayName", "externalId", "id", "members.value", "members.display"):
        text = quote(f'{name} {operator} "{value}"')
        assert scim.get(f"Groups?filter={text}")["totalResults"] == 0, name


def test_parameters_of_pages_are_bounded(scim: Scim) -> None:
    for query in (
        "count=-5",
        "startIndex=-5",
        "startIndex=99999999999999999999",
        "count=99999999999",
        "count=0",
        "x=1",
    ):
        scim.get(f"Users?{query}")
    assert scim.get("Users?count=0") == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 3,
        "startIndex": 1,
        "itemsPerPage": 0,
        "Resources": [],
    }
    for query in ("count=x", "startIndex=1.5", "sortBy=x y", "sortBy=title", "sortOrder=up", "attributes=a&excludedAttributes=b",
                  "cursor=" + "a" * 5_000, "sortBy=active", "attributes=emails[type]"):  # fmt: skip
        assert scim.get(f"Users?{query}", 400)["status"] == "400", query


def test_the_attributes_that_are_asked_for_are_returned(scim: Scim) -> None:
    only = scim.get("Users/1?attributes=userName,name.givenName")
    assert set(only) == {"schemas", "id", "userName", "name"} and only["name"] == {"givenName": "First 1"}
    without = scim.get("Users/1?excludedAttributes=emails,meta")
    assert "emails" not in without and "meta" not in without and "id" in without
    asked = scim.get(f"Users/1?attributes={OWN}:state,name.formatted,{ENTERPRISE}:employeeNumber")
    assert (asked[OWN], asked["name"]) == ({"state": "Invited"}, {"formatted": "First 1 Last 1"})
    assert scim.get("Users/1?attributes=doesNotExist").keys() == {"schemas", "id"}


def test_every_method_that_is_not_there_is_refused(scim: Scim) -> None:
    for path in ("Users", "Users/1", "Users/.search", "Schemas", "ServiceProviderConfig", ""):
        options = scim.ask(path, "options")
        assert options.status_code == 204
        allowed = options.headers["Allow"].split(", ")
        for method in ("get", "head", "post", "put", "patch", "delete"):
            if method.upper() not in allowed:
                answer = scim.ask(path, method, None)
                assert answer.status_code == 405 and answer.headers["Allow"] == ", ".join(allowed)
    assert scim.ask("Users/1", "head").status_code == 200
    for path in (
        "Nothing",
        "Users/x",
        "Users/1/x",
        "Users/-1",
        "Users/" + "9" * 30,
        "Users/\u0661",
        "Schemas/x",
        "ResourceTypes/x",
    ):
        scim.get(path, 404)
    scim.get("Schemas?filter=id pr", 403)


def test_there_is_no_user_behind_a_token(scim: Scim) -> None:
    """A token is of a program, so /Me is nobody (RFC 7644 §3.11), whatever is done with it."""
    before = list(models.User.objects.order_by("pk").values())
    bodies: dict[str, Any] = {
        "get": None,
        "delete": None,
        "post": person(),
        "put": person(),
        "patch": {"schemas": [PATCH]},
    }
    for method, body in bodies.items():
        assert "users" in read(scim.ask("Me", method, body), 501)["detail"].lower()
    assert list(models.User.objects.order_by("pk").values()) == before
    assert scim.ask("Me/x").status_code == 404


def test_discovery_describes_our_extension_and_nothing_that_a_user_does_not_have(scim: Scim) -> None:
    kind = scim.get("ResourceTypes/User")
    extensions = {one["schema"]: one["required"] for one in kind["schemaExtensions"]}
    assert extensions == {ENTERPRISE: False, OWN: True}
    described = {one["name"]: one for one in scim.get(f"Schemas/{OWN}")["attributes"]}
    assert set(described) == {"role", "rank", "evidenceGroup", "location", "state"}
    assert all(one["description"] for one in described.values())
    assert described["state"]["mutability"] == "readOnly" and described["state"]["returned"] == "request"
    assert {one["mutability"] for name, one in described.items() if name != "state"} == {"readWrite"}
    user = scim.get("Users/2?attributes=" + ",".join(f"{OWN}:{name}" for name in described))
    assert set(user[OWN]) <= set(described) and user[OWN]["state"] == "Invited"
    config = scim.get("ServiceProviderConfig")
    for name in ("patch", "bulk", "filter", "sort", "etag"):
        assert config[name]["supported"] is True
    assert config["pagination"]["cursor"] is True and config["changePassword"]["supported"] is False


def test_a_bug_of_ours_is_said_in_the_form_of_scim(scim: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("musterbook.directory.users.provisioning.read_user", fail)
    assert "The log has the details" in read(scim.ask("Users/1"), 500)["detail"]


def test_every_address_asks_for_a_token() -> None:
    patterns = get_resolver("musterbook.scim.urls").url_patterns
    assert len(patterns) > 8
    for pattern in patterns:
        assert {"permission", "csrf_exempt"} <= vars(pattern.callback).keys(), pattern


def test_a_patch_that_is_large_or_deep_is_refused_soon(scim: Scim) -> None:
    began = time.monotonic()
    paths = [
        "emails[" * 5_000,
        "(" * 5_000,
        "a." * 10_000,
    ]
    for path in paths:
        body = {"schemas": [PATCH], "Operations": [{"op": "add", "path": path, "value": "x"}]}
        read(scim.ask("Users/2", "patch", body), 400)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("value", ["\\ud800", "a\\u0000"])
def test_a_path_with_a_value_that_no_database_stores_is_refused(scim: Scim, value: str) -> None:
    path = f'emails[type eq "{value}"].value'
    for operation in ({"op": "add", "path": path, "value": "x@y.org"}, {"op": "add", "value": {path: "x@y.org"}}):
        assert scim.patch("2", operation, status=400)["scimType"] == "invalidPath"
