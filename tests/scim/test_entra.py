"""The requests of the provisioning service of Entra ID, in the order and with the bodies that Microsoft documents.

The bodies follow “Develop and plan provisioning for a SCIM endpoint” and “Known issues with SCIM 2.0 protocol compliance”
of learn.microsoft.com. Ids and names are ours. Of the answers, it is asked what Microsoft says of them.
"""

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from musterbook.directory import models
from musterbook.directory.agency.provisioned_groups import parse_id
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.scim.conftest import ENTERPRISE, GROUP, OWN, PATCH, USER, Scim, read

ADSCIM = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
NEW_USER = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": "Test_User_ab6490ee",
    "active": True,
    "emails": [{"primary": True, "type": "work", "value": "Test_User_fd0ea19b@testuser.example"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
    "roles": [],
}
OTHER_FORM = {
    "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],
    "externalId": "jyoung",
    "userName": "jyoung@testuser.example",
    "active": True,
    "addresses": None,
    "displayName": "Joy Young",
    "emails": [{"type": "work", "value": "jyoung@agency.example", "primary": True}],
    "meta": {"resourceType": "User"},
    "name": {"familyName": "Young", "givenName": "Joy"},
    "phoneNumbers": None,
    "preferredLanguage": None,
    "title": None,
    "department": None,
    "manager": None,
}
"""The other form of a new user in the same document: a schema without its last colon, and null for what there is not."""
NEW_GROUP = {
    "schemas": [GROUP, ADSCIM],
    "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
    "displayName": "Precinct North",
    "meta": {"resourceType": "Group"},
}


@pytest.fixture
def entra(springfield: Springfield) -> Scim:
    """The provisioning service, with a token that the how-to tells to make. New users are officers."""
    springfield.agency.defaults = {"ROLE": "Officer"}
    springfield.agency.save()
    _, secret = make_token(springfield, "users.view", "users.edit", "groups.manage")
    return Scim(springfield.agency, secret)


def patch(entra: Scim, path: str, *operations: Any, status: int = 200, schemas_last: bool = False) -> Any:
    """The JSON of the answer to a PATCH."""
    parts = {"schemas": [PATCH], "Operations": list(operations)}
    body = dict(reversed(parts.items())) if schemas_last else parts
    return read(entra.ask(path, "patch", body), status)


def query(entra: Scim, path: str, text: str, **others: str) -> Any:
    """The list that a filter finds."""
    more = "".join(f"&{name}={value}" for name, value in others.items())
    answer = entra.get(f"{path}?filter={quote(text)}{more}")
    assert answer["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    assert all(isinstance(answer[name], int) for name in ("totalResults", "startIndex", "itemsPerPage"))
    return answer


def user(made: dict[str, Any]) -> models.User:
    return models.User.objects.get(pk=made["id"])


def test_the_connection_is_tested_with_a_user_who_does_not_exist(entra: Scim) -> None:
    found = query(entra, "Users", 'userName eq "f3f8a1b2-6f9c-4f2e-8e0b-0d5a2f6a7c11"')
    assert (found["totalResults"], found["Resources"]) == (0, [])
    assert entra.get("Schemas")["totalResults"] == 5
    refused = Client().get("/springfield/scim/v2/Users", headers={"Authorization": "Bearer nonsense"})
    assert refused.status_code == 401


def test_a_user_lives_as_long_as_in_entra(entra: Scim) -> None:
    assert query(entra, "Users", f'externalId eq "{NEW_USER["externalId"]}"')["totalResults"] == 0
    made = entra.post(NEW_USER)
    assert made["id"] and made["meta"]["resourceType"] == "User"
    for name in ("externalId", "userName", "active", "emails"):
        assert made[name] == NEW_USER[name]
    assert (made["name"]["familyName"], made["name"]["givenName"]) == ("familyName", "givenName")

    assert entra.get(f"Users/{made['id']}")["userName"] == NEW_USER["userName"]
    assert entra.get("Users/5171a35d82074e068ce2", 404)["status"] == "404"
    assert [one["id"] for one in query(entra, "Users", f'userName eq "{NEW_USER["userName"]}"')["Resources"]] == [
        made["id"]
    ]
    assert query(entra, "Users", 'userName eq "non-existent user"')["Resources"] == []
    mail = NEW_USER["emails"][0]["value"]  # type: ignore[index]
    assert query(entra, "Users", f'emails[type eq "work"].value eq "{mail}"')["totalResults"] == 1

    path = f"Users/{made['id']}"
    changed = patch(
        entra,
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updatedEmail@agency.example"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
    )
    assert changed["emails"] == [{"value": "updatedEmail@agency.example", "type": "work", "primary": True}]
    assert changed["name"]["familyName"] == "updatedFamilyName"
    renamed = patch(entra, path, {"op": "Replace", "path": "userName", "value": "5b50642d@testuser.example"})
    assert renamed["userName"] == "5b50642d@testuser.example"

    off = patch(entra, path, {"op": "Replace", "path": "active", "value": False}, schemas_last=True)
    assert (off["active"], user(made).active) == (False, False)
    assert not entra.get(path)["active"]  # a disabled user can still be read
    assert patch(entra, path, {"op": "Replace", "path": "active", "value": True})["active"]

    entra.delete(made["id"])
    entra.get(path, 404)
    assert query(entra, "Users", 'userName eq "5b50642d@testuser.example"')["totalResults"] == 0
    assert not user(made).active  # nobody is deleted: the trail and the imports name them


def test_null_for_what_there_is_not_and_a_misspelled_schema_are_accepted(entra: Scim) -> None:
    made = entra.post(OTHER_FORM)
    assert (made["displayName"], made["externalId"]) == ("Joy Young", "jyoung")
    assert user(made).phone == ""


@pytest.mark.parametrize("value", ["False", "false", False])
def test_a_user_is_disabled_with_a_text_as_with_a_boolean(entra: Scim, value: Any) -> None:
    made = entra.post(NEW_USER)
    off = patch(entra, f"Users/{made['id']}", {"op": "Replace", "path": "active", "value": value})
    assert (off["active"], user(made).active) == (False, False)
    on = patch(entra, f"Users/{made['id']}", {"op": "Replace", "path": "active", "value": "True"})
    assert on["active"]


def test_a_user_changes_in_the_usual_form(entra: Scim) -> None:
    made = entra.post(NEW_USER)
    number = f"{ENTERPRISE}:employeeNumber"
    changed = patch(
        entra,
        f"Users/{made['id']}",
        {"op": "Replace", "path": "displayName", "value": "Pvlo"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "TestBcwqnm@agency.example"},
        {"op": "Replace", "path": "name.givenName", "value": "Gtfd"},
        {"op": "Replace", "path": "name.familyName", "value": "Pkqf"},
        {"op": "Replace", "path": "externalId", "value": "Eqpj"},
        {"op": "Replace", "path": number, "value": "Eqpj"},
    )
    assert (changed["displayName"], changed["externalId"]) == ("Pvlo", "Eqpj")
    assert (changed["name"]["givenName"], changed["name"]["familyName"]) == ("Gtfd", "Pkqf")
    assert (user(made).badge_number, user(made).external_id) == ("Eqpj", "Eqpj")
    added = patch(entra, f"Users/{made['id']}", {"op": "Add", "path": "nickName", "value": "Babs"})
    assert "nickName" not in added  # the directory has none, and does not pretend to


def test_a_user_changes_in_the_form_of_the_feature_flag(entra: Scim) -> None:
    made = entra.post(NEW_USER)
    changed = patch(
        entra,
        f"Users/{made['id']}",
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "TestMhvaes@agency.example"},
        {
            "op": "replace",
            "value": {
                "displayName": "Bjfe",
                "name.givenName": "Kkom",
                "name.familyName": "Unua",
                f"{ENTERPRISE}:employeeNumber": "Aklq",
            },
        },
    )
    assert (changed["displayName"], changed["name"]["givenName"], changed["name"]["familyName"]) == (
        "Bjfe",
        "Kkom",
        "Unua",
    )
    assert (changed["emails"][0]["value"], changed[ENTERPRISE]["employeeNumber"]) == (
        "TestMhvaes@agency.example",
        "Aklq",
    )


@pytest.mark.parametrize("path", ["manager", f"{ENTERPRISE}:manager"])
@pytest.mark.parametrize("value", [[{"$ref": "http://agency.example/scim/Users/2", "value": "2"}], "2", {"value": "2"}])
def test_a_manager_is_added_and_asked_for(entra: Scim, path: str, value: Any) -> None:
    made = entra.post(NEW_USER)
    patch(entra, f"Users/{made['id']}", {"op": "Add", "path": path, "value": value})
    assert user(made).supervisor_id == 2
    found = query(entra, "Users", f'id eq "{made["id"]}" and {ENTERPRISE}:manager eq "2"', attributes="id")
    assert [one["id"] for one in found["Resources"]] == [made["id"]]
    assert set(found["Resources"][0]) <= {"schemas", "id"}


def test_a_group_lives_as_long_as_in_entra(entra: Scim) -> None:
    name = quote('displayName eq "Precinct North"')
    assert entra.get(f"Groups?excludedAttributes=members&filter={name}")["totalResults"] == 0
    made = read(entra.ask("Groups", "post", NEW_GROUP), 201)
    assert (made["externalId"], made["displayName"]) == (NEW_GROUP["externalId"], "Precinct North")
    assert (made["meta"]["resourceType"], made.get("members", [])) == ("Group", [])

    path = f"Groups/{made['id']}"
    known = entra.get(f"{path}?excludedAttributes=members")
    assert (known["displayName"], "members" in known) == ("Precinct North", False)
    found = entra.get(f"Groups?excludedAttributes=members&filter={name}")
    assert [one["id"] for one in found["Resources"]] == [made["id"]]

    new_name = "1879db59-3bdf-4490-ad68-ab880a269474updatedDisplayName"
    changed = patch(entra, path, {"op": "Replace", "path": "displayName", "value": new_name})
    assert changed["displayName"] == new_name

    officer = entra.post(NEW_USER)["id"]
    patch(entra, path, {"op": "Add", "path": "members", "value": [{"$ref": None, "value": officer}]})
    assert [one["value"] for one in entra.get(path)["members"]] == [officer]
    is_member = quote(f'id eq "{made["id"]}" and members eq "{officer}"')
    assert entra.get(f"Groups?filter={is_member}&attributes=id")["totalResults"] == 1
    patch(entra, path, {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": officer}]})
    assert "members" not in entra.get(path)
    assert entra.get(f"Groups?filter={is_member}&attributes=id")["totalResults"] == 0

    assert entra.ask(path, "delete").status_code == 204
    entra.get(path, 404)


def test_a_member_is_removed_in_both_forms(entra: Scim) -> None:
    group = read(entra.ask("Groups", "post", NEW_GROUP), 201)["id"]
    patch(entra, f"Groups/{group}", {"op": "Add", "path": "members", "value": [{"value": "2"}, {"value": "3"}]})
    patch(entra, f"Groups/{group}", {"op": "Remove", "path": "members", "value": [{"value": "2"}]})
    assert [one["value"] for one in entra.get(f"Groups/{group}")["members"]] == ["3"]
    patch(entra, f"Groups/{group}", {"op": "remove", "path": 'members[value eq "3"]'})
    assert not models.User.objects.filter(group=parse_id(group)).exists()


def test_one_request_adds_members_in_several_operations(entra: Scim) -> None:
    group = read(entra.ask("Groups", "post", NEW_GROUP), 201)["id"]
    patch(entra, f"Groups/{group}", *({"op": "Add", "path": "members", "value": [{"value": str(n)}]} for n in (2, 3)))
    assert [one["value"] for one in entra.get(f"Groups/{group}")["members"]] == ["2", "3"]
    assert models.Import.objects.get(kind="bulk").counts["updated"] == 2  # one plan


def test_the_schemas_name_every_attribute_of_the_mapping_table(entra: Scim) -> None:
    schemas = {one["id"]: {part["name"] for part in one["attributes"]} for one in entra.get("Schemas")["Resources"]}
    assert schemas[USER] >= {"userName", "name", "displayName", "active", "emails", "phoneNumbers"}
    assert schemas[ENTERPRISE] == {"employeeNumber", "manager"}
    assert schemas[OWN] >= {"role", "rank", "evidenceGroup", "location"}
    assert schemas[GROUP] == {"displayName", "members"}
