"""PATCH: a law that it does what a small model says, and the forms of clients that the RFC does not know."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musterbook.directory import models
from tests.accounts.conftest import build_springfield
from tests.built_once import built_each_minute
from tests.examples import examples
from tests.scim.conftest import ENTERPRISE, OWN, PATCH, USER, Scim, build_scim, person, read

pytestmark = pytest.mark.any_database


@pytest.fixture
def known(db: None) -> tuple[Scim, dict[str, Any]]:
    """A program, and a user that it has created."""
    return _build_known()


@built_each_minute
def _build_known() -> tuple[Scim, dict[str, Any]]:
    scim = build_scim(build_springfield())
    models.Role.objects.create(agency=scim.agency, name="Deputy", name_key="deputy")
    full = person(
        externalId="X-1",
        displayName="Jane",
        phoneNumbers=[{"value": "+12025550143"}],
        **{
            ENTERPRISE: {"employeeNumber": "7", "manager": {"value": "1"}},
            OWN: {"location": "East", "rank": "Captain"},
        },
    )
    return scim, scim.post(full)


Known = tuple[Scim, dict[str, Any]]


@pytest.mark.parametrize(
    ("operation", "path", "now"),
    [
        ({"op": "Replace", "path": "active", "value": "False"}, "active", False),
        ({"op": "replace", "value": {"active": "false"}}, "active", False),
        ({"op": "Add", "path": "displayName", "value": "J."}, "displayName", "J."),
        ({"op": "Replace", "path": "displayName", "value": [{"$ref": None, "value": "J."}]}, "displayName", "J."),
        ({"op": "Replace", "path": "displayName", "value": ""}, "displayName", None),
        ({"op": "Replace", "path": "DISPLAYNAME", "value": None}, "displayName", None),
        (
            {"op": "replace", "value": {"name.givenName": "Joan", "name.formatted": "Joan Doe"}},
            "name.givenName",
            "Joan",
        ),
        ({"op": "replace", "path": "name", "value": {"familyName": "Roe", "formatted": "x"}}, "name.familyName", "Roe"),
        ({"op": "Add", "path": f"{USER}:userName", "value": "joan"}, "userName", "joan"),
        (
            {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "joan@agency.example"},
            "emails",
            [{"value": "joan@agency.example", "type": "work", "primary": True}],
        ),
        (
            {"op": "Add", "value": {'emails[type eq "work"].value': "joan@agency.example"}},
            "emails",
            [{"value": "joan@agency.example", "type": "work", "primary": True}],
        ),
        (
            {"op": "add", "path": "emails", "value": [{"value": "j@a.example", "type": "home", "primary": True}]},
            "emails",
            [{"value": "j@a.example", "type": "home", "primary": True}],
        ),
        ({"op": "remove", "path": 'phoneNumbers[type eq "work"]'}, "phoneNumbers", None),
        ({"op": "Remove", "path": "phoneNumbers", "value": [{"value": "+12025550143"}]}, "phoneNumbers", None),
        ({"op": "Replace", "path": 'phoneNumbers[type eq "work"].value', "value": ""}, "phoneNumbers", None),
        (
            {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+12025550144"},
            "phoneNumbers",
            [{"value": "+12025550143", "type": "work", "primary": True}],
        ),
        ({"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "2"}, f"{ENTERPRISE}.manager.value", "2"),
        ({"op": "Add", "path": f"{ENTERPRISE}:manager", "value": [{"value": "2"}]}, f"{ENTERPRISE}.manager.value", "2"),
        ({"op": "Add", "path": f"{ENTERPRISE}:manager.value", "value": "E-2"}, f"{ENTERPRISE}.manager.value", "2"),
        (
            {"op": "add", "path": f"{ENTERPRISE}:manager", "value": {"value": "2", "displayName": "x"}},
            f"{ENTERPRISE}.manager.value",
            "2",
        ),
        (
            {"op": "replace", "path": f"{ENTERPRISE}:manager", "value": {"$ref": "https://x/scim/v2/Users/2"}},
            f"{ENTERPRISE}.manager.value",
            "2",
        ),
        ({"op": "Remove", "path": f"{ENTERPRISE}:manager"}, f"{ENTERPRISE}.manager", None),
        ({"op": "Replace", "path": f"{ENTERPRISE}:manager", "value": ""}, f"{ENTERPRISE}.manager", None),
        ({"op": "Remove", "path": ENTERPRISE}, ENTERPRISE, None),
        ({"op": "Remove", "path": f"{ENTERPRISE}:employeeNumber"}, f"{ENTERPRISE}.employeeNumber", None),
        ({"op": "Remove", "path": "externalId"}, "externalId", None),
        ({"op": "replace", "path": "externalId", "value": "X-2"}, "externalId", "X-2"),
        ({"op": "replace", "value": {f"{OWN}:rank": "sergeant"}}, f"{OWN}.rank", "Sergeant"),
        ({"op": "replace", "value": {OWN: {"evidenceGroup": "PATROL"}}}, f"{OWN}.evidenceGroup", "PATROL"),
        ({"op": "replace", "value": {"id": "9", "schemas": [], "meta": {}, "displayName": "J."}}, "displayName", "J."),
        ({"op": "add", "path": "title", "value": "Dr"}, "title", None),
        (
            {"op": "add", "value": {"nickName": "J", f"{ENTERPRISE}:department": "x", "displayName": "J."}},
            "displayName",
            "J.",
        ),
    ],
)
def test_a_patch_of_a_client_is_understood(known: Known, operation: Any, path: str, now: Any) -> None:
    scim, made = known
    scim.patch(made["id"], operation)
    content = scim.get(f"Users/{made['id']}")
    extension = next((urn for urn in (ENTERPRISE, OWN) if path.startswith(urn)), "")
    parts = [extension, *filter(None, path.removeprefix(extension).split("."))] if extension else path.split(".")
    for part in parts:
        content = (content or {}).get(part)
    assert content == now


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "remove", "path": "active"}, "mutability"),
        ({"op": "remove", "path": f"{OWN}:role"}, "mutability"),
        ({"op": "remove", "path": "emails"}, "mutability"),
        ({"op": "replace", "path": "id", "value": "9"}, "mutability"),
        ({"op": "replace", "path": "groups", "value": [{"value": "1"}]}, "mutability"),
        ({"op": "replace", "path": f"{OWN}:state", "value": "Locked"}, "mutability"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "move", "path": "userName", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "userName[", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
        ({"op": "replace", "path": f"{OWN}:role", "value": "King"}, "invalidValue"),
        ({"op": "replace", "path": f"{ENTERPRISE}:manager", "value": "999"}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": [{"value": "x"}]}, "invalidValue"),
        ({"op": "replace", "path": 7, "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "name", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": "x"}, "invalidValue"),
    ],
)
def test_a_patch_that_cannot_be_is_refused_and_changes_nothing(known: Known, operation: Any, scim_type: str) -> None:
    scim, made = known
    change = {"op": "replace", "path": "displayName", "value": "Changed"}
    said = scim.patch(made["id"], change, operation, status=400)
    assert said["scimType"] == scim_type, said
    assert scim.get(f"Users/{made['id']}") == made


def test_operations_must_be_a_list_of_objects(known: Known) -> None:
    scim, made = known
    bodies: tuple[dict[str, Any], ...] = ({"Operations": "x"}, {"Operations": ["x"]}, {"Operations": []}, {})
    for wrong in bodies:
        body = {"schemas": [PATCH], **wrong}
        assert read(scim.ask(f"Users/{made['id']}", "patch", body), 400)["scimType"] in (
            "invalidSyntax",
            "invalidValue",
        )
    many = [{"op": "replace", "path": "displayName", "value": "x"}] * 1_001
    scim.patch(made["id"], *many, status=413)


_SIMPLE: dict[str, tuple[str, ...]] = {
    "displayName": ("Ann", "Bo"),
    "userName": ("ann", "bo"),
    "externalId": ("A-1", "B-2"),
    "name.givenName": ("Ann", "Bo"),
    "name.familyName": ("Lee", "Li"),
    f"{ENTERPRISE}:employeeNumber": ("1", "002"),
    f"{OWN}:location": ("East", "West"),
    f"{OWN}:rank": ("Captain", "Sergeant"),
    f"{OWN}:role": ("Officer", "Deputy"),
}
_KEPT = {"userName", "name.givenName", "name.familyName"}
"""The attributes that cannot be removed. The role can be, if it is added again."""


def _build_operation(path: str, op: str, choice: int) -> dict[str, Any]:
    value = _SIMPLE[path][choice]
    if op == "remove":
        return {"op": op, "path": path}
    return {"op": "replace", "value": {path: value}} if op == "whole" else {"op": op, "path": path, "value": value}


_OPERATIONS = st.lists(
    st.builds(
        _build_operation,
        st.sampled_from(sorted(_SIMPLE)),
        st.sampled_from(["add", "replace", "Replace", "remove", "whole"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=5,
)


def _read(resource: dict[str, Any], path: str) -> Any:
    extension, _, name = path.rpartition(":")
    content: Any = resource.get(extension, {}) if extension else resource
    for part in name.split("."):
        content = content.get(part)
    return content


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=_OPERATIONS)
def test_a_patch_does_what_a_small_model_says(known: Known, operations: list[dict[str, Any]]) -> None:
    scim, made = known
    before = scim.get(f"Users/{made['id']}")
    model = {path: _read(before, path) for path in _SIMPLE}
    possible = True
    for one in operations:
        path = one.get("path") or next(iter(one["value"]))
        possible = possible and not (one["op"] == "remove" and path in _KEPT)
        model[path] = None if one["op"] == "remove" else one["value"] if "path" in one else one["value"][path]
    possible = possible and model[f"{OWN}:role"] is not None
    answer = scim.patch(made["id"], *operations, status=200 if possible else 400)
    now = scim.get(f"Users/{made['id']}")
    if possible:
        assert answer == now
        assert {path: _read(now, path) for path in _SIMPLE} == model
    else:
        assert now == before
