"""The requests of Okta's SCIM client, in the order and with the bodies that Okta documents.

The bodies follow “Okta and SCIM Version 2.0” of developer.okta.com. Ids are ours. Of the answers, it is asked what Okta
says of them.
"""

from typing import Any
from urllib.parse import quote

import pytest

from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.scim.conftest import GROUP, PATCH, USER, Scim, read

AGENT: dict[str, Any] = {"User-Agent": "Okta SCIM Client 1.0.0"}
NEW_USER = {
    "schemas": [USER],
    "userName": "test.user@okta.example",
    "name": {"givenName": "Test", "familyName": "User"},
    "emails": [{"primary": True, "value": "test.user@okta.example", "type": "work"}],
    "displayName": "Test User",
    "locale": "en-US",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "1mz050nq",
    "active": True,
}
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@pytest.fixture
def okta(springfield: Springfield) -> Scim:
    """Okta's client, with a token that the how-to tells to make. New users are officers."""
    springfield.agency.defaults = {"ROLE": "Officer"}
    springfield.agency.save()
    _, secret = make_token(springfield, "users.view", "users.edit", "groups.manage")
    return Scim(springfield.agency, secret)


def send(okta: Scim, method: str, path: str, body: Any, status: int = 200) -> Any:
    """The JSON of the answer to a request with a body."""
    return read(okta.ask(path, method, body, **AGENT), status)


def patch(okta: Scim, path: str, *operations: Any) -> Any:
    return send(okta, "patch", path, {"schemas": [PATCH], "Operations": list(operations)})


def test_provisioning_is_switched_on(okta: Scim) -> None:
    users = okta.get("Users?startIndex=1&count=2", **AGENT)
    assert (users["schemas"], users["totalResults"], users["startIndex"], users["itemsPerPage"]) == ([LIST], 3, 1, 2)
    groups = okta.get("Groups?startIndex=1&count=100", **AGENT)
    assert all(isinstance(groups[name], int) for name in ("totalResults", "startIndex", "itemsPerPage"))


def test_a_user_is_sought_and_created_once(okta: Scim) -> None:
    text = quote('userName eq "test.user@okta.example"')
    assert okta.get(f"Users?filter={text}&startIndex=1&count=100", **AGENT)["Resources"] == []
    made = send(okta, "post", "Users", NEW_USER, 201)
    for name in ("userName", "emails", "displayName", "externalId", "active"):
        assert made[name] == NEW_USER[name]
    assert made["id"] and "password" not in made
    found = okta.get(f"Users?filter={text}&startIndex=1&count=100", **AGENT)
    assert [one["id"] for one in found["Resources"]] == [made["id"]]
    again = send(okta, "post", "Users", NEW_USER, 409)
    assert again["scimType"] == "uniqueness"
    account = models.User.objects.get(pk=made["id"])
    assert account.registered_at is None  # the password that Okta makes up opens nothing


def test_a_user_without_an_external_id_is_created(okta: Scim) -> None:
    made = send(okta, "post", "Users", {name: value for name, value in NEW_USER.items() if name != "externalId"}, 201)
    assert okta.get(f"Users/{made['id']}", **AGENT)["userName"] == NEW_USER["userName"]


def test_a_user_is_read_and_put_and_put_again(okta: Scim) -> None:
    made = send(okta, "post", "Users", NEW_USER, 201)
    path = f"Users/{made['id']}"
    read_back = okta.get(path, **AGENT)
    body = {
        "schemas": [USER],
        "id": made["id"],
        "userName": "test.user@okta.example",
        "name": {"givenName": "Another", "middleName": "Excited", "familyName": "User"},
        "emails": [
            {"primary": True, "value": "test.user@okta.example", "type": "work", "display": "test.user@okta.example"}
        ],
        "active": True,
        "groups": [],
        "meta": {"resourceType": "User"},
    }
    changed = send(okta, "put", path, body)
    assert (changed["name"]["givenName"], changed["name"]["familyName"]) == ("Another", "User")
    assert changed["externalId"] == read_back["externalId"]
    events = models.Event.objects.count()
    assert send(okta, "put", path, body) == changed
    assert models.Event.objects.count() == events  # nothing differs, so nothing is written
    off = send(okta, "put", path, {**body, "active": False})
    assert not off["active"]
    assert send(okta, "put", path, body)["active"]


def test_a_user_is_deactivated_and_reactivated_by_patch(okta: Scim) -> None:
    made = send(okta, "post", "Users", NEW_USER, 201)
    off = patch(okta, f"Users/{made['id']}", {"op": "replace", "value": {"active": False}})
    assert (off["active"], models.User.objects.get(pk=made["id"]).active) == (False, False)
    assert not okta.get(f"Users/{made['id']}", **AGENT)["active"]
    on = patch(okta, f"Users/{made['id']}", {"op": "replace", "value": {"active": True}})
    assert on["active"]


def test_users_are_imported_page_by_page_in_one_order(okta: Scim) -> None:
    send(okta, "post", "Users", NEW_USER, 201)
    pages = [okta.get(f"Users?startIndex={start}&count=2", **AGENT) for start in (1, 3, 5)]
    assert [page["totalResults"] for page in pages] == [4, 4, 4]
    seen = [one["id"] for page in pages for one in page["Resources"]]
    assert len(seen) == len(set(seen)) == 4


def test_a_group_is_pushed_renamed_filled_and_deleted(okta: Scim) -> None:
    text = quote('displayName eq "Test SCIMv2"')
    assert okta.get(f"Groups?filter={text}&startIndex=1&count=100", **AGENT)["totalResults"] == 0
    made = send(okta, "post", "Groups", {"schemas": [GROUP], "displayName": "Test SCIMv2", "members": []}, 201)
    assert (made["displayName"], made["meta"]["resourceType"]) == ("Test SCIMv2", "Group")
    found = okta.get(f"Groups?filter={text}&startIndex=1&count=100", **AGENT)
    assert [one["id"] for one in found["Resources"]] == [made["id"]]

    path, officer = f"Groups/{made['id']}", send(okta, "post", "Users", NEW_USER, 201)["id"]
    value = {"id": made["id"], "displayName": "Test SCIMv20"}
    assert patch(okta, path, {"op": "replace", "value": value})["displayName"] == "Test SCIMv20"
    member = {"value": officer, "display": "test.user@okta.example"}
    patch(okta, path, {"op": "add", "path": "members", "value": [{"value": "3", "display": "user.3"}]})
    both = patch(
        okta,
        path,
        {"op": "remove", "path": 'members[value eq "3"]'},
        {"op": "add", "path": "members", "value": [member]},
    )
    assert [one["value"] for one in both["members"]] == [officer]

    full = [member, {"value": "3", "display": "test.user@okta.example"}]
    patch(okta, path, {"op": "replace", "path": "members", "value": full})
    assert sorted(one["value"] for one in okta.get(path, **AGENT)["members"]) == sorted([officer, "3"])
    put = {"schemas": [GROUP], "displayName": "Test SCIMv2", "members": [member]}
    answer = send(okta, "put", path, put)
    assert (answer["displayName"], [one["value"] for one in answer["members"]]) == ("Test SCIMv2", [officer])

    assert okta.ask(path, "delete", **AGENT).status_code == 204
    okta.get(path, 404, **AGENT)
    assert models.User.objects.get(pk=officer).group is None


def test_a_group_with_the_same_name_is_not_made_a_second_time(okta: Scim) -> None:
    body = {"schemas": [GROUP], "displayName": "Test SCIMv2", "members": []}
    send(okta, "post", "Groups", body, 201)
    assert send(okta, "post", "Groups", body, 409)["scimType"] == "uniqueness"


def test_the_trail_names_okta(okta: Scim) -> None:
    made = send(okta, "post", "Users", NEW_USER, 201)
    event = models.Event.objects.get(kind="user.added", subject=made["id"])
    assert (event.actor, event.through, event.agent) == ("E-1", "scim", "Token “HR”: Okta SCIM Client 1.0.0")
