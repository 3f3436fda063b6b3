"""Groups through SCIM, as real requests: their members, filters, pages and versions, and what is refused."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.directory.agency import groups, provisioned_groups
from musterbook.directory.agency.provisioned_groups import format_id, parse_id
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import ALL
from musterbook.scim import group_resources
from musterbook.scim import groups as scim_groups
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.directory.cast import NOW
from tests.scim.conftest import GROUP, PATCH, SEARCH, Scim, person, read

OWN = "urn:ietf:params:scim:schemas:extension:musterbook:2.0:Group"
BOSS = AuditContext(NOW, "E-1", "page")


@pytest.fixture
def client(springfield: Springfield) -> Scim:
    """A program that may do everything. New users are officers."""
    springfield.agency.defaults = {"ROLE": "Officer"}
    springfield.agency.save()
    models.Group.objects.all().delete()
    _, secret = make_token(springfield, *ALL)
    return Scim(springfield.agency, secret)


def make(client: Scim, name: str, *members: object, status: Any = 201, **others: Any) -> Any:
    """The JSON of the response to a new group."""
    body = {"schemas": [GROUP], "displayName": name, "members": [{"value": str(one)} for one in members], **others}
    return read(client.ask("Groups", "post", body), status)


def patch(client: Scim, group: Any, *operations: Any, status: Any = 200, **headers: str) -> Any:
    """The JSON of the response to these operations."""
    body = {"schemas": [PATCH], "Operations": list(operations)}
    return read(client.ask(f"Groups/{group['id']}", "patch", body, **headers), status)


def change(op: str, *members: object) -> dict[str, Any]:
    return {"op": op, "path": "members", "value": [{"value": str(one)} for one in members]}


def members(client: Scim, group: Any) -> list[str]:
    return [one["value"] for one in client.get(f"Groups/{group['id']}").get("members", [])]


def find(client: Scim, text: str, **others: object) -> list[str]:
    """The names of the groups that a filter finds, in the order of the list."""
    more = "".join(f"&{name}={value}" for name, value in others.items())
    return [one["displayName"] for one in client.get(f"Groups?filter={quote(text)}{more}")["Resources"]]


def test_the_names_of_members_are_returned_if_they_are_asked_for(client: Scim) -> None:
    made = client.post({"schemas": [GROUP], "displayName": "North", "members": [{"value": "2"}]}, path="Groups")
    [shown] = client.get(f"Groups/{made['id']}")["members"]
    assert shown == {"value": "2", "type": "User", "$ref": shown["$ref"]} == made["members"][0]
    assert client.get(f"Groups/{made['id']}?attributes=members.display")["members"] == [{"display": "First 2 Last 2"}]


def test_a_group_has_the_name_and_the_external_id_that_files_use(client: Scim) -> None:
    made = make(client, "Precinct North", externalId="PN", **{OWN: {"active": True}})
    group = models.Group.objects.get(agency=client.agency)
    assert (group.external_id, group.name, group.active) == ("PN", "Precinct North", True)
    assert (made["id"], made[OWN], made["meta"]["resourceType"]) == (format_id(group.pk), {"active": True}, "Group")
    assert made["meta"]["location"].endswith(f"/springfield/scim/v2/Groups/{made['id']}")
    assert client.get(f"Groups/{made['id']}") == made
    other = make(client, "South")
    assert other["externalId"] == "South"
    event = models.Event.objects.filter(kind="agency.changed").latest("pk")
    assert (event.actor, event.through) == ("E-1", "scim")


def test_ids_of_users_and_groups_are_never_the_same(client: Scim) -> None:
    group = make(client, "North", 2)
    assert parse_id(group["id"]) == models.Group.objects.get().pk
    for wrong in ("2", "g", "gg1", "g01", "g-1", "g²", "G1", "g" + "9" * 40, "g4711", "..%2FUsers%2F2"):
        assert client.ask(f"Groups/{wrong}").status_code == 404
        assert client.ask(f"Groups/{wrong}", "delete").status_code == 404
    assert client.get("Users/2")["groups"][0]["value"] == group["id"]
    assert client.find(f'groups.value eq "{group["id"]}"') == ["user.2"]
    assert client.find('groups.value eq "1"') == []


def test_who_joins_leaves_the_group_before_and_all_members_can_be_replaced_and_removed(client: Scim) -> None:
    north, south = make(client, "North", 1, 2), make(client, "South")
    patch(client, south, change("add", 2, 3))
    assert (members(client, north), members(client, south)) == (["1"], ["2", "3"])
    patch(client, south, change("replace", 3))
    assert members(client, south) == ["3"]
    patch(client, south, {"op": "remove", "path": "members"})
    assert members(client, south) == []
    patch(client, north, {"op": "replace", "path": "members", "value": []})
    assert members(client, north) == []
    assert patch(client, north, change("add"), {"op": "add", "path": "members", "value": []})["displayName"] == "North"


def test_operations_are_done_in_their_order(client: Scim) -> None:
    group = make(client, "North", 1)
    patch(client, group, change("add", 2), change("remove", 2), change("add", 3))
    assert members(client, group) == ["1", "3"]
    patch(client, group, change("replace", 2), change("add", 1), change("remove", 2))
    assert members(client, group) == ["1"]
    patch(client, group, {"op": "remove", "path": "members"}, change("add", 2))
    assert members(client, group) == ["2"]
    patch(client, group, {"op": "add", "value": {"members": [{"value": "3"}], "displayName": "N"}})
    assert (members(client, group), client.get(f"Groups/{group['id']}")["displayName"]) == (["2", "3"], "N")
    patch(client, group, {"op": "replace", "value": {"members": {"value": "1"}}})
    assert members(client, group) == ["1"]


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ('members[value eq "2"]', ["1", "3"]),
        ('members[value eq "2" or value eq "3"]', ["1"]),
        ('members[type eq "User"]', []),
        ('members[type eq "Group"]', ["1", "2", "3"]),
        ('members[display eq "First 3 Last 3"]', ["1", "2"]),
        ('members[not (value eq "2")]', ["2"]),
        ('members[value eq "4711"]', ["1", "2", "3"]),
        (f'{GROUP}:members[value eq "1"]', ["2", "3"]),
    ],
)
def test_members_are_removed_by_a_path_with_a_filter(client: Scim, path: str, left: list[str]) -> None:
    group = make(client, "North", 1, 2, 3)
    patch(client, group, {"op": "remove", "path": path})
    assert members(client, group) == left


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "fly", "path": "members"}, "invalidValue"),
        ({"path": "members"}, "invalidValue"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "add", "value": "x"}, "invalidValue"),
        ({"op": "add", "path": 3, "value": "x"}, "invalidPath"),
        ({"op": "add", "path": "members", "value": [{"display": "x"}]}, "invalidValue"),
        ({"op": "add", "path": "members", "value": [{"value": 2}]}, "invalidValue"),
        ({"op": "add", "path": "members", "value": [[]]}, "invalidValue"),
        ({"op": "replace", "path": 'members[value eq "2"]', "value": [{"value": "3"}]}, "invalidPath"),
        ({"op": "replace", "path": "members.display", "value": "x"}, "invalidPath"),
        ({"op": "remove", "path": 'members[value eq "2"].display'}, "invalidPath"),
        ({"op": "remove", "path": "members[value eq"}, "invalidPath"),
        ({"op": "remove", "path": 'members[nonsense eq "2"]'}, ""),
        ({"op": "remove", "path": "displayName"}, "mutability"),
        ({"op": "replace", "path": "displayName", "value": " "}, "invalidValue"),
        ({"op": "replace", "path": "displayName", "value": "a\nb"}, "invalidValue"),
        ({"op": "replace", "path": "displayName", "value": "x" * 300}, "invalidValue"),
        ({"op": "replace", "path": "displayName", "value": {"a": 1}}, "invalidValue"),
    ],
)
def test_what_cannot_be_patched_is_refused_and_nothing_changes(client: Scim, operation: Any, kind: str) -> None:
    group = make(client, "North", 1)
    refused = patch(client, group, change("add", 2), operation, status=400)
    assert refused.get("scimType", "") == kind or not kind
    assert client.get(f"Groups/{group['id']}") == group


def test_a_put_replaces_the_members_if_it_names_them(client: Scim) -> None:
    group = make(client, "North", 1, externalId="N")
    path = f"Groups/{group['id']}"
    put = read(client.ask(path, "put", {"schemas": [GROUP], "displayName": "Norte"}))
    assert (put["displayName"], put["externalId"], members(client, group)) == ("Norte", "N", ["1"])
    put = read(client.ask(path, "put", {"schemas": [GROUP], "displayName": "N", "members": [{"value": "3"}], OWN: {}}))
    assert (put["displayName"], members(client, group)) == ("N", ["3"])
    read(client.ask(path, "put", {"schemas": [GROUP], "displayName": "N", "Members": []}))
    assert members(client, group) == []
    read(client.ask(path, "put", {"schemas": [GROUP], "displayName": "N", "externalId": "NN", OWN: {"active": False}}))
    now = client.get(path)
    assert (now["externalId"], now[OWN]["active"]) == ("NN", False)
    assert "is not active" in patch(client, group, change("add", 2), status=400)["detail"]
    patch(client, group, {"op": "replace", "path": f"{OWN}:active", "value": True}, change("add", 2))
    assert members(client, group) == ["2"]


def test_a_group_can_be_made_inactive_at_once(client: Scim) -> None:
    made = make(client, "North", 2, **{OWN: {"active": False}})
    assert (made[OWN]["active"], members(client, made)) == (False, ["2"])


def test_a_group_whose_members_cannot_leave_is_not_deleted(client: Scim) -> None:
    group = make(client, "North", 2, 3)
    one = {"kind": "updates", "users": 0, "percent": 0, "most": None, "off": False, "role": None, "group": None}
    models.Agency.objects.filter(pk=client.agency.pk).update(limits=[one])
    held = read(client.ask(f"Groups/{group['id']}", "delete"), 202)
    assert held["holds"][0]["users"] == 2
    assert members(client, group) == ["2", "3"]


@pytest.mark.parametrize("operations", [[], {}, "x", ["x"], None])
def test_a_patch_needs_operations(client: Scim, operations: Any) -> None:
    group = make(client, "North")
    body = {"schemas": [PATCH], "Operations": operations}
    assert read(client.ask(f"Groups/{group['id']}", "patch", body), 400)["scimType"] == "invalidSyntax"


def test_an_external_id_names_one_group(client: Scim) -> None:
    north, south = make(client, "North", externalId="N"), make(client, "South", externalId="S")
    for refused in (
        make(client, "Other", externalId="N", status=409),
        patch(client, south, {"op": "replace", "path": "externalId", "value": "N"}, status=409),
        read(
            client.ask(f"Groups/{south['id']}", "put", {"displayName": "S", "externalId": "N", "schemas": [GROUP]}), 409
        ),
    ):
        assert refused["scimType"] == "uniqueness"
        assert north["id"] in refused["detail"]
    assert make(client, "North", externalId="N2")["displayName"] == "North"  # names need not be unique


def test_members_who_are_of_no_user_are_left_out_and_the_trail_says_so(client: Scim, shelbyville: Springfield) -> None:
    foreign = models.User.objects.filter(agency=shelbyville.agency).first()
    assert foreign is not None
    other = groups.add(shelbyville.agency, "X", "X", BOSS)
    group = make(client, "North")
    done = patch(client, group, change("add", "fake-member-id", foreign.pk, format_id(other.pk), 2, "9" * 30, "²"))
    assert [one["value"] for one in done["members"]] == ["2"]
    foreign.refresh_from_db()
    other.refresh_from_db()
    assert (foreign.group, other.parent) == (None, None)
    event = models.Event.objects.filter(kind="act.refused").latest("pk")
    assert (event.through, event.outcome) == ("scim", "refused")
    assert str(foreign.pk) in event.changes and "fake-member-id" in event.changes
    make(client, "South", "nobody")
    patch(client, group, change("remove", "fake-member-id", foreign.pk))
    assert client.ask(f"Groups/{format_id(other.pk)}").status_code == 404


def test_a_group_is_part_of_another(client: Scim) -> None:
    north, east = make(client, "North"), make(client, "East", 2)
    city = make(client, "City", 3, north["id"])
    patch(client, city, change("add", east["id"]))
    shown = client.get(f"Groups/{city['id']}")["members"]
    assert [(one["value"], one["type"]) for one in shown] == [
        ("3", "User"),
        (north["id"], "Group"),
        (east["id"], "Group"),
    ]
    assert shown[1]["$ref"].endswith(f"/Groups/{north['id']}")
    assert find(client, f'members.value eq "{east["id"]}"') == ["City"]
    assert find(client, 'members[type eq "Group" and display eq "North"]') == ["City"]
    for wrong in (city["id"], north["id"]):
        circle = patch(client, {"id": wrong}, change("add", city["id"]), status=400)
        assert "member of itself" in circle["detail"]
    patch(client, city, {"op": "remove", "path": f'members[value eq "{north["id"]}"]'})
    assert members(client, city) == ["3", east["id"]]
    patch(client, city, change("replace", 3))
    assert members(client, city) == ["3"]
    patch(client, city, change("add", east["id"]))
    assert client.ask(f"Groups/{city['id']}", "delete").status_code == 204
    assert members(client, east) == ["2"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('displayName eq "north"', ["North"]),
        ('displayName ne "North"', ["Éast", "South"]),
        ('displayName co "OUT"', ["South"]),
        ('displayName sw "no" or displayName ew "TH"', ["North", "South"]),
        ('displayName eq "Éast"', ["Éast"]),
        ('externalId eq "N"', ["North"]),
        ('externalId eq "n"', []),
        ('externalId co "N"', ["North"]),
        ('externalId sw "s" or externalId ew "S"', ["South"]),
        ('not (externalId eq "N") and displayName pr', ["Éast", "South"]),
        ('members.value eq "2"', ["North"]),
        ('members eq "2"', ["North"]),
        ('members[value eq "2" and type eq "User"]', ["North"]),
        ('members[value pr and not (value eq "2")]', ["North", "South"]),
        ('members.display sw "first 3"', ["South"]),
        ('members.value ne "2"', ["Éast", "South"]),
        ("members pr", ["North", "South"]),
        ("not (members pr)", ["Éast"]),
        ('meta.resourceType eq "Group"', ["North", "Éast", "South"]),
        ('meta.resourceType ne "group"', []),
        ('meta.created gt "2020-01-01T00:00:00Z"', ["North", "Éast", "South"]),
        ('meta.lastModified lt "2020-01-01T00:00:00Z"', []),
        (f"{OWN}:active eq true", ["North", "Éast", "South"]),
        (f"{OWN}:active eq false", []),
        ("externalId eq null", []),
        ('displayName gt "A" and displayName le "North"', ["North"]),
        ('id eq "nonsense"', []),
    ],
)
def test_groups_are_found_by_every_operator(client: Scim, text: str, names: list[str]) -> None:
    make(client, "North", 1, 2, externalId="N")
    make(client, "Éast", externalId="E")
    make(client, "South", 3, externalId="S")
    assert find(client, text) == names
    body = {"schemas": [SEARCH], "filter": text}
    assert [one["displayName"] for one in read(client.ask("Groups/.search", "post", body))["Resources"]] == names


@pytest.mark.parametrize(
    "text",
    ["displayName", 'nonsense eq "x"', 'displayName eq "x', 'members[value eq "2"', 'meta.location eq "x"', "active gt true",
     'members.$ref eq "x"', "members[nonsense pr]", 'members[nonsense eq "x"]',
     'displayName[value eq "x"]', " and ".join(['displayName eq "x"'] * 200), "(" * 5_000],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused(client: Scim, text: str) -> None:
    body = {"schemas": [SEARCH], "filter": text}
    assert read(client.ask("Groups/.search", "post", body), 400)["scimType"] in ("invalidFilter", "invalidSyntax")


def test_lists_are_ordered_and_turned_by_index_and_by_cursor(client: Scim) -> None:
    for number in (3, 1, 2, 5, 4):
        make(client, f"Group {number}", externalId=f"{9 - number}")
    assert find(client, "id pr", sortBy="displayName", count=2, startIndex=2) == ["Group 2", "Group 3"]
    assert find(client, "id pr", sortBy="externalId", sortOrder="descending")[:2] == ["Group 1", "Group 2"]
    assert client.get("Groups?count=0")["totalResults"] == 5
    for order in ("", "&sortBy=displayName", "&sortBy=externalId&sortOrder=descending"):
        seen, page = [], client.get(f"Groups?count=2&cursor{order}")
        while True:
            seen += [one["id"] for one in page["Resources"]]
            if "nextCursor" not in page:
                break
            page = client.get(f"Groups?count=2&cursor={quote(page['nextCursor'])}{order}")
        assert len(seen) == len(set(seen)) == 5
    cursor = client.get("Groups?count=2&cursor")["nextCursor"]
    assert client.get(f"Groups?cursor={cursor}&sortBy=displayName", 400)["scimType"] == "invalidCursor"
    for wrong in ("x", "W10", "e30", "WzEsMiwzXQ", "bnVsbA", cursor + "AAAA"):
        assert client.get(f"Groups?cursor={wrong}", 400)["scimType"] == "invalidCursor"
    assert client.get("Groups?sortBy=members", 400)["scimType"] == "invalidPath"


def test_members_are_read_only_if_they_are_asked_for(client: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    group = make(client, "North", 1, 2)
    path = f"Groups/{group['id']}"

    def refuse(_groups: Any) -> Any:
        raise AssertionError("the members were read")

    with monkeypatch.context() as patched:
        patched.setattr(provisioned_groups, "read_members", refuse)
        for query in ("excludedAttributes=members", "attributes=displayName", f"excludedAttributes={GROUP}:members"):
            for place in (path, "Groups"):
                answer = client.get(f"{place}?{query}")
                assert "members" not in json.dumps(answer.get("Resources", answer))
    assert client.get(f"{path}?attributes=members.value")["members"] == [{"value": "1"}, {"value": "2"}]
    parts = [{"value", "$ref", "type"}] * 2
    assert [set(one) for one in client.get(f"{path}?excludedAttributes=members.display")["members"]] == parts
    only = client.get(f"{path}?attributes={GROUP}:members")
    assert (only["members"], "displayName" in only) == (client.get(path)["members"], False)


def test_too_many_members_are_refused_and_not_left_out(client: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    group = make(client, "North", 1, 2, 3)
    monkeypatch.setattr(provisioned_groups, "MOST_MEMBERS", 2)
    refused = client.get(f"Groups/{group['id']}", 400)
    assert (refused["scimType"], "excludedAttributes=members" in refused["detail"]) == ("tooMany", True)
    assert client.get("Groups", 400)["scimType"] == "tooMany"
    assert client.get("Groups?excludedAttributes=members")["totalResults"] == 1
    assert "members" not in client.get(f"Groups/{group['id']}?excludedAttributes=members")
    monkeypatch.setattr(scim_groups, "MOST_MEMBERS_SHOWN", 2)
    rename = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "N"}]}
    answer = client.ask(f"Groups/{group['id']}", "patch", rename)
    assert (answer.status_code, answer.content, answer.headers["ETag"][:2]) == (204, b"", "W/")
    named = client.ask(f"Groups/{group['id']}?excludedAttributes=members", "patch", rename)
    assert read(named)["displayName"] == "N"


def test_a_lost_race_is_refused_also_if_only_members_have_changed(client: Scim) -> None:
    group = make(client, "North", 1)
    path, old = f"Groups/{group['id']}", group["meta"]["version"]
    without = client.get(f"{path}?excludedAttributes=members")["meta"]["version"]
    assert client.ask(path).headers["ETag"] == old != without
    assert client.ask(path, **{"If-None-Match": old}).status_code == 304
    patch(client, group, change("add", 2), **{"If-Match": old})
    patch(client, group, change("add", 3), status=412, **{"If-Match": old})
    patch(client, group, change("add", 3), **{"If-Match": without})
    assert client.ask(path, **{"If-None-Match": old}).status_code == 200
    patch(client, group, {"op": "replace", "path": "displayName", "value": "N"}, **{"If-Match": "*"})
    assert client.ask(path, "delete", **{"If-Match": without}).status_code == 412
    now = client.get(path)["meta"]["version"]
    assert client.ask(path, "delete", **{"If-Match": now}).status_code == 204


@pytest.mark.parametrize("act", ["one", "many", "parts", "name", "delete", "nothing"])
def test_a_version_counts_until_the_change_is_made(client: Scim, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """Another request changes the group after the version was compared, and before the lock is taken."""
    group = make(client, "North", *([] if act == "delete" else [1]))
    part = make(client, "Part")
    old, path = group["meta"]["version"], f"Groups/{group['id']}"
    check = scim_groups._Wanted.check
    later = [lambda: patch(client, group, change("add", 2))]

    def race(wanted: Any) -> None:
        check(wanted)
        while later:
            later.pop()()

    monkeypatch.setattr(scim_groups._Wanted, "check", race)
    operations = {
        "one": [change("add", 3)], "many": [change("replace", 3, 4)], "parts": [change("add", part["id"])],
        "name": [{"op": "replace", "path": "displayName", "value": "N"}], "nothing": [change("add", 2)],
    }  # fmt: skip
    body = {"schemas": [PATCH], "Operations": operations.get(act, [])}
    answer = client.ask(path, *(["delete"] if act == "delete" else ["patch", body]), **{"If-Match": old})
    assert (answer.status_code, "has changed" in read(answer, 412)["detail"], later) == (412, True, [])
    now = client.get(path)
    assert (sorted(one["value"] for one in now["members"]), now["displayName"]) == (
        ["2"] if act == "delete" else ["1", "2"], "North",
    )  # fmt: skip


def test_a_request_that_activates_a_group_keeps_to_its_version(client: Scim) -> None:
    group = make(client, "North", **{OWN: {"active": False}})
    body = [change("add", 2, 3), {"op": "replace", "path": f"{OWN}:active", "value": True}]
    patch(client, group, *body, **{"If-Match": client.get(f"Groups/{group['id']}")["meta"]["version"]})
    assert members(client, group) == ["2", "3"]
    patch(client, group, *body, status=412, **{"If-Match": group["meta"]["version"]})


def test_each_act_needs_its_permission(client: Scim, springfield: Springfield) -> None:
    group = make(client, "North", 1)
    path, body = f"Groups/{group['id']}", {"schemas": [GROUP], "displayName": "S", "members": [{"value": "2"}]}
    operations = {"schemas": [PATCH], "Operations": [change("add", 2)]}
    for permissions, refused in (
        (("users.edit", "groups.manage"), ("get", "post", "put", "patch")),
        (("users.view", "users.edit"), ("post", "put", "patch", "delete")),
        (("users.view", "groups.manage"), ("post", "put", "patch", "delete")),
    ):
        Token.objects.all().delete()
        _, secret = make_token(springfield, *permissions)
        weak = Scim(springfield.agency, secret)
        for method in refused:
            sent = {"post": body, "put": body, "patch": operations}.get(method)
            assert weak.ask("Groups" if method == "post" else path, method, sent).status_code == 403
    assert list(models.Group.objects.values_list("name", flat=True)) == ["North"]
    assert models.User.objects.get(pk=1).group is not None


def test_a_user_above_the_own_role_does_not_move(client: Scim, springfield: Springfield) -> None:
    officer = models.Role.objects.get(agency=springfield.agency, name="Officer")
    administrator = models.User.objects.get(pk=1).role
    models.Role.objects.filter(pk=officer.pk).update(permissions=["users.view", "users.edit", "groups.manage"])
    models.User.objects.filter(pk=2).update(role=administrator)
    models.User.objects.filter(pk=1).update(role=officer)
    group = make(client, "North")
    assert "User E-2" in patch(client, group, change("add", 2, 3), status=403)["detail"]
    assert "User E-2" in patch(client, group, change("add", 2), status=403)["detail"]
    make(client, "South", 2, 3, status=403)
    assert (members(client, group), find(client, 'displayName eq "South"')) == ([], [])


def test_a_token_moves_no_user_who_may_do_more_than_it(client: Scim, springfield: Springfield) -> None:
    group = make(client, "North")
    Token.objects.all().delete()
    _, secret = make_token(springfield, "users.view", "users.edit", "groups.manage")
    weak = Scim(springfield.agency, secret)
    for wanted in ((1,), (1, 2)):
        assert "User E-1" in patch(weak, group, change("add", *wanted), status=403)["detail"]
    patch(weak, group, change("add", 2))
    assert members(weak, group) == ["2"]


def test_a_large_or_deep_request_is_refused(client: Scim) -> None:
    group = make(client, "North")
    path = f"Groups/{group['id']}"
    many = {"schemas": [PATCH], "Operations": [change("add", 2)] * 1_001}
    read(client.ask(path, "patch", many), 413)
    read(client.ask(path, "patch", " " * (8 << 20) + "{}"), 413)
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    for value in (deep, [{"value": deep}]):
        patch(client, group, {"op": "add", "path": "members", "value": value}, status=400)
        make(client, "South", status=400, members=value)
    assert client.ask(path, "patch", '{"schemas": ' + "[" * 90_000).status_code == 400
    patch(client, group, {"op": "replace", "path": "members", "value": [{"value": str(n)} for n in range(20_000)]})
    assert members(client, group) == ["1", "2", "3"]


def test_a_new_user_can_join_at_once(client: Scim) -> None:
    made = client.post(person("jane.doe"))
    group = make(client, "North", made["id"], 1)
    assert members(client, group) == ["1", made["id"]]
    assert [one["value"] for one in client.get(f"Users/{made['id']}")["groups"]] == [group["id"]]


def test_no_version_is_made_of_members_that_were_not_read() -> None:
    group = models.Group(pk=1, external_id="N", name="North", active=True)
    assert "." not in group_resources.make_version(group, None)
    assert "." in group_resources.make_version(group, [])
