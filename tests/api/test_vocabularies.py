"""Roles, ranks and groups through the API: the same rules, events and refusals as on the pages."""

import pytest
from django.test import Client

from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.calls import Program, make_program, read
from tests.api.test_me import problem

pytestmark = pytest.mark.any_database


@pytest.fixture
def program(springfield: Springfield) -> Program:
    """A program with every permission."""
    return make_program(springfield)


def last_event() -> tuple[str, str, str]:
    """Kind, actor and channel of the last event."""
    return models.Event.objects.order_by("-pk").values_list("kind", "actor", "through")[0]


def test_a_rank_is_added_read_changed_moved_and_deleted(program: Program) -> None:
    before = program.get("ranks")["items"]
    answer = program.send("POST", "ranks", {"name": "Brigadier", "abbreviation": "BRIG"})
    made = read(answer, 201)
    assert made == {
        "id": made["id"], "name": "Brigadier", "abbreviation": "BRIG", "position": len(before) + 1, "users": 0,
    }  # fmt: skip
    path = f"ranks/{made['id']}"
    assert answer.headers["Location"] == f"/springfield/api/v1/{path}"
    assert last_event() == ("agency.changed", "E-1", "api")
    changed = program.send("PATCH", path, {"abbreviation": "BG"}, If_Match=answer.headers["ETag"])
    assert (read(changed)["name"], read(changed)["abbreviation"]) == ("Brigadier", "BG")
    moved = program.send("POST", f"{path}:move", {"direction": "up"}, If_Match=changed.headers["ETag"])
    assert read(moved)["position"] == len(before)
    assert [one["name"] for one in program.get("ranks")["items"]][-2] == "Brigadier"
    assert read(program.send("DELETE", path, If_Match=moved.headers["ETag"]), 204) is None
    problem(program.send("GET", path), 404)


@pytest.mark.parametrize("noun", ["ranks", "roles", "groups"])
def test_a_change_of_another_version_is_refused(program: Program, noun: str) -> None:
    body = {"external_id": "x-1", "name": "New"} if noun == "groups" else {"name": "New"}
    first = program.send("POST", noun, body)
    path = f"{noun}/{read(first, 201)['id']}"
    second = program.send("PATCH", path, {"name": "Newer"}, If_Match=first.headers["ETag"])
    assert read(second)["name"] == "Newer"
    events = models.Event.objects.count()
    for method, sent in (("PATCH", {"name": "Newest"}), ("DELETE", None)):
        refused = program.send(method, path, sent, If_Match=first.headers["ETag"])
        assert problem(refused, 412)["code"] == "changed-meanwhile"
        assert refused.headers["ETag"] == second.headers["ETag"]
    assert (program.get(path)["name"], models.Event.objects.count()) == ("Newer", events)
    assert read(program.send("PATCH", path, {}, If_Match="*"))["name"] == "Newer"
    assert read(program.send("DELETE", path), 204) is None


def test_a_rank_that_users_have_stays(springfield: Springfield, program: Program) -> None:
    rank = models.Rank.objects.filter(agency=springfield.agency).earliest("position")
    models.User.objects.filter(pk=springfield.user(2).pk).update(rank=rank)
    assert program.get(f"ranks/{rank.pk}")["users"] == 1
    assert problem(program.send("DELETE", f"ranks/{rank.pk}"), 409)["code"] == "in-use"


def test_a_name_that_is_taken_is_refused_at_its_member(program: Program) -> None:
    taken = program.get("ranks")["items"][0]["name"]
    found = problem(program.send("POST", "ranks", {"name": taken.upper()}), 422)
    assert [(one["pointer"], one["code"]) for one in found["errors"]] == [("/name", "invalid-value")]
    group = read(program.send("POST", "groups", {"external_id": "g-1"}), 201)
    assert (group["name"], group["active"]) == ("g-1", True)
    found = problem(program.send("POST", "groups", {"external_id": "g-1"}), 422)
    assert found["errors"][0]["pointer"] == "/external_id"


def test_no_token_gives_a_permission_that_it_lacks(springfield: Springfield, program: Program) -> None:
    less = make_program(springfield, "roles.manage", "users.view")
    assert read(less.send("POST", "roles", {"name": "Viewer", "permissions": ["users.view"]}), 201)["users"] == 0
    refused = less.send("POST", "roles", {"name": "Owner", "permissions": ["users.edit"]})
    assert problem(refused, 403)["code"] == "not-allowed"
    role = read(program.send("POST", "roles", {"name": "Editor", "permissions": ["users.edit"]}), 201)
    for method, body in (("PATCH", {"permissions": []}), ("DELETE", None)):
        assert problem(less.send(method, f"roles/{role['id']}", body), 403)["code"] == "not-allowed"
    admin = next(one for one in program.get("roles")["items"] if one["administrator"])
    problem(less.send("PATCH", f"roles/{admin['id']}", {"second_factor": True}), 403)
    changed = read(program.send("PATCH", f"roles/{admin['id']}", {"second_factor": True, "name": "Boss"}))
    assert (changed["name"], changed["second_factor"]) == ("Admin", True)
    problem(program.send("DELETE", f"roles/{admin['id']}"), 403)
    kept = read(program.send("PATCH", f"roles/{role['id']}", {"second_factor": True}))
    assert (kept["name"], kept["permissions"]) == ("Editor", ["users.edit"])
    renamed = read(program.send("PATCH", f"roles/{role['id']}", {"name": "Writer", "permissions": []}))
    assert (renamed["name"], renamed["permissions"]) == ("Writer", [])
    assert program.get(f"roles/{role['id']}") == renamed
    assert read(program.send("DELETE", f"roles/{role['id']}"), 204) is None


def test_groups_are_listed_page_by_page_and_found(program: Program) -> None:
    for number in range(5):
        read(program.send("POST", "groups", {"external_id": f"zone-{number}", "name": f"Zone {4 - number}"}), 201)
    found = program.read_all("groups?q=zone")
    assert [one["external_id"] for one in found] == [f"zone-{number}" for number in range(5)]
    assert [one["external_id"] for one in program.read_all("groups?q=ZONE%202")] == ["zone-2"]
    everything = program.read_all("groups")
    assert [one["external_id"] for one in everything] == sorted(one["external_id"] for one in everything)
    changed = read(program.send("PATCH", f"groups/{found[0]['id']}", {"active": False}))
    assert (changed["active"], changed["name"]) == (False, "Zone 4")


def test_members_are_moved_between_groups(springfield: Springfield, program: Program) -> None:
    groups = [read(program.send("POST", "groups", {"external_id": f"g-{number}"}), 201)["id"] for number in (1, 2)]
    people = [springfield.user(number).pk for number in (1, 2, 3)]
    for user in people:
        assert read(program.send("PUT", f"groups/{groups[0]}/members/{user}"), 204) is None
    assert [one["id"] for one in program.read_all(f"groups/{groups[0]}/members")] == people
    assert program.get(f"groups/{groups[0]}")["members"] == 3
    events = models.Event.objects.count()
    read(program.send("PUT", f"groups/{groups[0]}/members/{people[0]}"), 204)
    read(program.send("DELETE", f"groups/{groups[1]}/members/{people[0]}"), 204)
    assert models.Event.objects.count() == events
    read(program.send("PUT", f"groups/{groups[1]}/members/{people[1]}"), 204)
    assert last_event() == ("user.updated", "E-1", "api")
    read(program.send("DELETE", f"groups/{groups[0]}/members/{people[0]}"), 204)
    assert [one["external_id"] for one in program.read_all(f"groups/{groups[0]}/members")] == ["E-3"]
    read(program.send("PATCH", f"groups/{groups[0]}", {"active": False}))
    refused = problem(program.send("PUT", f"groups/{groups[0]}/members/{people[1]}"), 422)
    assert refused["errors"][0]["pointer"] == "/group"
    problem(program.send("DELETE", f"groups/{groups[0]}"), 409)


def test_monitors_are_added_and_removed_once(springfield: Springfield, program: Program) -> None:
    group = read(program.send("POST", "groups", {"external_id": "g-1"}), 201)["id"]
    people = [springfield.user(number).pk for number in (1, 2, 3)]
    for user in (*people, people[0]):
        assert read(program.send("PUT", f"groups/{group}/monitors/{user}"), 204) is None
    assert models.Event.objects.filter(kind="group.monitor-added", through="api").count() == 3
    assert [one["id"] for one in program.read_all(f"groups/{group}/monitors")] == people
    for _ in range(2):
        read(program.send("DELETE", f"groups/{group}/monitors/{people[0]}"), 204)
    assert models.Event.objects.filter(kind="group.monitor-removed", through="api").count() == 1


def test_nothing_of_another_agency_is_found(
    springfield: Springfield, shelbyville: Springfield, program: Program
) -> None:
    theirs = models.Group.objects.create(agency=shelbyville.agency, external_id="t", name="Theirs")
    role = models.Role.objects.filter(agency=shelbyville.agency).first()
    rank = models.Rank.objects.filter(agency=shelbyville.agency).first()
    ours = read(program.send("POST", "groups", {"external_id": "g-1"}), 201)["id"]
    assert role and rank
    for path in (f"groups/{theirs.pk}", f"groups/{theirs.pk}/members", f"roles/{role.pk}", f"ranks/{rank.pk}"):
        problem(program.send("GET", path), 404)
    for kind in ("members", "monitors"):
        problem(program.send("PUT", f"groups/{theirs.pk}/{kind}/{springfield.user(2).pk}"), 404)
        problem(program.send("PUT", f"groups/{ours}/{kind}/{shelbyville.user(2).pk}"), 404)
    assert not [one for one in program.read_all("groups") if one["name"] == "Theirs"]


def test_a_number_of_json_without_a_fraction_is_whole(springfield: Springfield, program: Program) -> None:
    path, client = "/springfield/api/v1/agency", Client()
    for text, status in (("14.0", 200), ("1.4e1", 200), ("14.5", 422), ("1e400", 400), ("1e300", 422)):
        answer = client.patch(
            path, f'{{"grace_days": {text}}}', content_type="application/json",
            headers={"Authorization": f"Bearer {program.secret}"},
        )  # fmt: skip
        assert answer.status_code == status, text
    assert program.get("agency")["grace_days"] == 14


def test_a_name_of_a_file_is_no_longer_than_the_document_says(springfield: Springfield, program: Program) -> None:
    answer = Client().post(
        f"/springfield/api/v1/imports?name={'a' * 256}", b"EXTERNAL_ID\r\n", content_type="text/csv",
        headers={"Authorization": f"Bearer {program.secret}"},
    )  # fmt: skip
    assert problem(answer, 422)["errors"][0]["pointer"] == "name"
