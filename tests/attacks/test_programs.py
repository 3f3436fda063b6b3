"""Attacks of programs on REST and SCIM: bodies that cost much, tokens that give more, and changes at the same time."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client

from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.scim import groups
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.api.test_users_at_once import PROGRAMS, ROUNDS, at_once
from tests.scim.conftest import GROUP, PATCH, SEARCH, Scim, read

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
MAY = ("users.view", "users.edit", "users.import", "groups.manage", "api.manage")


@pytest.fixture
def client(springfield: Springfield) -> Scim:
    """A program that may manage users and groups."""
    return Scim(springfield.agency, make_token(springfield, *MAY)[1])


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that each have a connection of their own."""
    with ThreadPoolExecutor(PROGRAMS) as threads:
        yield threads


def make_group(client: Scim, name: str) -> str:
    """The address of a new group."""
    return f"Groups/{client.post({'schemas': [GROUP], 'displayName': name}, path='Groups')['id']}"


def patch(*operations: object) -> dict[str, object]:
    """The body of a PATCH."""
    return {"schemas": [PATCH], "Operations": list(operations)}


@pytest.mark.django_db
@pytest.mark.parametrize("schemas", [5, True, 1.5, None, "x", {SEARCH: 1, BULK: 1}, [5], [[SEARCH]]])
def test_a_message_must_list_its_schema(client: Scim, schemas: object) -> None:
    for path in ("Users/.search", "Groups/.search", ".search", "Bulk"):
        answer = client.ask(path, "post", {"schemas": schemas, "Operations": [{"method": "POST"}]})
        assert read(answer, 400)["scimType"] == "invalidSyntax"


@pytest.mark.django_db
@pytest.mark.parametrize("op", [[], {}, [[]], {"add": 1}, ["add"], 5, True, None])
def test_an_operation_that_is_no_text_is_refused(client: Scim, op: object) -> None:
    body = patch({"op": op, "path": "displayName", "value": "x"})
    for path in (make_group(client, "Patrol"), "Users/2"):
        read(client.ask(path, "patch", body), 400)


@pytest.mark.django_db
@pytest.mark.parametrize("depth", [63, 64, 65, 300, 900])
def test_a_deep_body_with_many_texts_costs_no_more_than_a_flat_one(client: Scim, depth: int) -> None:
    body = f'{{"a":{"[" * depth}{chr(34) * 2}{f",{chr(34) * 2}" * 300_000}{"]" * depth}}}'
    began = time.perf_counter()
    assert read(client.ask("Users/.search", "post", body), 400)["scimType"] == "invalidSyntax"
    assert time.perf_counter() - began < 3


@pytest.mark.django_db
def test_a_body_of_many_objects_is_refused_before_it_is_read(client: Scim) -> None:
    path = make_group(client, "Patrol")
    for part in ("{}", "[]", '{"value":"7"}'):
        content = f'{{"schemas":["{PATCH}"],"Operations":[{",".join([part] * 200_000)}]}}'
        assert "Split it" in read(client.ask(path, "patch", content), 413)["detail"]


@pytest.mark.django_db
def test_a_large_body_is_read_up_to_the_limit_that_the_documentation_names(client: Scim) -> None:
    path = make_group(client, "Patrol")
    entries = [{"value": f"{number}", "display": "x" * 30} for number in range(10**6, 10**6 + 80_000)]
    body = json.dumps(patch({"op": "add", "path": "members", "value": entries}))
    assert 5 << 20 < len(body) < 8 << 20
    assert read(client.ask(path, "patch", body))["displayName"] == "Patrol"
    read(client.ask(path, "patch", body + " " * (4 << 20)), 413)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("own", "asked", "status", "stored"),
    [
        (["127.0.0.1"], [], 201, ["127.0.0.1"]),
        (["127.0.0.0/8", "::1"], ["127.1.0.0/16"], 201, ["127.1.0.0/16"]),
        (["127.0.0.0/8", "::1"], ["::1"], 201, ["::1"]),
        (["127.0.0.1"], ["0.0.0.0/0"], 422, None),
        (["127.0.0.1"], ["::/0"], 422, None),
        (["127.0.0.1"], ["127.0.0.1", "192.0.2.7"], 422, None),
        ([], ["192.0.2.7"], 201, ["192.0.2.7"]),
        ([], [], 201, []),
    ],
)
def test_a_token_gives_no_token_more_addresses_than_it_has(
    springfield: Springfield, own: list[str], asked: list[str], status: int, stored: list[str] | None
) -> None:
    secret = make_token(springfield, "api.manage", "users.view")[1]
    Token.objects.update(addresses=own)
    body = json.dumps({"name": "Child", "permissions": ["users.view"], "addresses": asked})
    answer = send(secret, "tokens", body)
    assert answer.status_code == status, answer.content
    made = Token.objects.filter(name="Child").values_list("addresses", flat=True).first()
    assert made == stored


def send(secret: str, path: str, body: str, **headers: str) -> Any:
    """The answer to a POST at the API."""
    known = {"Authorization": f"Bearer {secret}", **headers}
    return Client().post(f"/springfield/api/v1/{path}", body, content_type="application/json", headers=known)


@pytest.mark.django_db
def test_a_change_of_a_group_that_is_refused_moves_nobody(client: Scim, springfield: Springfield) -> None:
    make_group(client, "Patrol")
    path = make_group(client, "Traffic")
    member = {"op": "add", "path": "members", "value": [{"value": f"{springfield.user(2).pk}"}]}
    for other in (patch(member, {"op": "replace", "path": "externalId", "value": "Patrol"}),):
        read(client.ask(path, "patch", other), 409)
    assert springfield.user(2).group is None
    put = {"schemas": [GROUP], "displayName": "T", "externalId": "Patrol", "members": member["value"]}
    read(client.ask(path, "put", put), 409)
    assert springfield.user(2).group is None
    assert models.Group.objects.get(external_id="Traffic").name == "Traffic"


@pytest.mark.django_db(transaction=True)
def test_one_of_those_who_change_the_same_version_of_a_group_succeeds(client: Scim, pool: ThreadPoolExecutor) -> None:
    path = make_group(client, "Patrol")
    for number in range(ROUNDS):
        tag = client.ask(path).headers["ETag"]

        def rename(program: int, tag: str = tag, number: int = number) -> int:
            body = patch({"op": "replace", "path": "displayName", "value": f"Patrol {number} {program}"})
            return int(client.ask(path, "patch", body, **{"If-Match": tag}).status_code)

        assert sorted(at_once(pool, rename)) == [200, *[412] * (PROGRAMS - 1)]


@pytest.mark.django_db(transaction=True)
def test_those_who_change_other_attributes_of_a_group_lose_nothing(client: Scim, pool: ThreadPoolExecutor) -> None:
    path = make_group(client, "Marine unit")
    pk = models.Group.objects.get(name="Marine unit").pk
    for number in range(ROUNDS):

        def change(program: int, number: int = number) -> int:
            name, value = [("displayName", f"Patrol {number}"), ("externalId", f"P-{number}")][program % 2]
            return int(client.ask(path, "patch", patch({"op": "replace", "path": name, "value": value})).status_code)

        assert at_once(pool, change) == [200] * PROGRAMS
        group = models.Group.objects.get(pk=pk)
        assert (group.name, group.external_id) == (f"Patrol {number}", f"P-{number}")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["Users", "Groups", ""])
def test_attributes_are_bounded(client: Scim, path: str) -> None:
    for name in ("attributes", "excludedAttributes"):
        many = {"schemas": [SEARCH], name: ["userName"] * 50_000}
        assert "more than 100 names" in read(client.ask(f"{path}/.search".lstrip("/"), "post", many), 400)["detail"]
        text = f"{path}?{name}={','.join(['displayName'] * 101)}"
        assert "more than 100 names" in read(client.ask(text), 400)["detail"]
    read(client.ask(f"{path}?attributes={','.join(['userName'] * 100)}"))


@pytest.mark.django_db
def test_paths_are_bounded(client: Scim) -> None:
    terms = " or ".join(['type eq "work"'] * 1_000)  # 18,000 characters
    for path, name in ((make_group(client, "Marine unit"), "members"), ("Users/2", "emails")):
        many = {"op": "remove", "Path": f"{name}[{terms}]"}
        assert "characters together" in read(client.ask(path, "patch", patch(*[many] * 6)), 413)["detail"]


@pytest.mark.django_db
def test_filters_that_compare_all_members_are_bounded(client: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_group(client, "Marine unit")
    filtered = {"op": "remove", "path": 'members[display co "x" or display co "y"]'}
    monkeypatch.setattr(groups, "_MOST_LOOKED_AT", 200)
    read(client.ask(path, "patch", patch(*[filtered] * 100)))
    assert "compare too much" in read(client.ask(path, "patch", patch(*[filtered] * 101)), 413)["detail"]
