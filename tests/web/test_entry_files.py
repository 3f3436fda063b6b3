"""Files of groups, members, roles and ranks on pages: chosen, previewed, held, applied, undone, and refused."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Page
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.imports.options import Options
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

GROUPS = "EXTERNAL_ID,NAME,STATUS,PARENT_EXT_ID"
MEMBERS = "GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION"


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@built_once
def _build_springfield() -> Springfield:
    """An agency with an administrator, a chief and eight officers on patrol."""
    made = Springfield(cast.agency())
    made.imported(
        person(1, ROLE="Admin"), person(2, ROLE="Chief"), *cast.people(*range(3, 11), EVIDENCE_GROUP_EXT_ID="PATROL")
    )
    made.registered(1)
    made.registered(2)
    return made


@pytest.fixture
def admin(db: None, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    _build_springfield()
    return signed_in(client, "user.1")


def send(client: Client, page: str, *lines: str, **fields: str) -> Any:
    """The answer to a file of these lines."""
    file = SimpleUploadedFile("entries.csv", "\n".join([*lines, ""]).encode())
    usual = {"do": "preview"} | ({"what": "groups", "mode": "update"} if page == "groups" else {})
    return client.post(f"/springfield/{page}/import", usual | fields | {"file": file})


def read(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_groups_are_previewed_fixed_applied_and_undone(admin: Client) -> None:
    assert "Columns of a file of groups" in read(admin, "/springfield/groups/import")
    plan = send(admin, "groups", GROUPS, "HQ,Headquarters,Active,", "PATROL,Patrol,Active,HQ", "K9,K,Active,").headers[
        "Location"
    ]
    page = read(admin, plan)
    assert "Groups: add or update" in page and "1 entry will be added. 1 entry will be changed." in page
    assert "The length of NAME is 1. Use 3 to 128 characters." in page
    fixed = admin.post(f"{plan}/recheck", {"cell-4-NAME": "Canine unit", "was-4-NAME": "K"}).headers["Location"]
    fixed = fixed.split("?")[0]
    assert '<ins class="m-becomes">Canine unit</ins>' in read(admin, f"{fixed}?show=added")
    assert '<del class="m-was">' not in read(admin, f"{fixed}?show=added")
    done = admin.post(fixed).headers["Location"]
    assert models.Group.objects.get(external_id="PATROL").parent == models.Group.objects.get(external_id="HQ")
    page = read(admin, done)
    assert "2 entries were added. 1 entry was changed." in page and "Show these users" not in page
    assert 'href="/springfield/groups/import"' in page
    assert "File of groups" in read(admin, "/springfield/imports/?kind=groups")
    assert admin.get(f"{done}/results").status_code == 200
    back = admin.post(f"{done}/undo", {"once": "1"}).headers["Location"]
    assert read(admin, back).count("This entry will be removed.") == 2
    answer = admin.post(back)
    assert read(admin, answer.headers["Location"]).count("This entry was removed.") == 2
    assert models.Group.objects.count() == 1


def test_members_that_leave_hold_the_plan_and_are_shown_first(admin: Client) -> None:
    answer = send(
        admin, "groups", MEMBERS, "PATROL,User,E-3,Member", "PATROL,User,E-2,Monitor", what="members", mode="sync"
    )
    plan = answer.headers["Location"]
    page = read(admin, plan)
    assert "7 users will lose a group or a permission. The limit is 5. Active users: 10." in page
    assert "These users will lose the group that they are in" in page and "First 4 Last 4</strong></a>" in page
    removed = read(admin, f"{plan}?show=removed")
    assert "The file does not list these entries" in removed and '<del class="m-was">PATROL</del>' in removed
    assert "E-10" in read(admin, f"{plan}?show=removed&q=e-10") and "E-4" not in read(
        admin, f"{plan}?show=removed&q=e-10"
    )
    assert admin.post(plan, {"losses": "6"}).status_code == 422
    done = admin.post(plan, {"losses": "7"}).headers["Location"]
    assert models.User.objects.filter(group__isnull=False).count() == 1
    assert "7 users lost a group or a permission." in read(admin, done)
    assert "These users lost the group" in read(admin, f"{done}?show=losses")


def test_roles_and_ranks_have_one_kind_of_file_and_no_mode(admin: Client) -> None:
    for page, lines, title in (
        ("roles", ("NAME,PERMISSIONS", "Clerk,users.view"), "Roles: add or update"),
        ("ranks", ("NAME,ABBREVIATION,ORDER", "Chief,Ch,1"), "Ranks: add or update"),
    ):
        assert 'name="mode"' not in read(admin, f"/springfield/{page}/import")
        plan = send(admin, page, *lines).headers["Location"]
        shown = read(admin, plan)
        assert title in shown and 'name="again-mode"' not in shown and 'name="again-quiet"' not in shown
        again = admin.post(f"{plan}/again", {"again-strict": "on"}).headers["Location"]
        assert admin.post(again).status_code == 302
    assert models.Role.objects.filter(name="Clerk").exists() and models.Rank.objects.get(position=0).name == "Chief"


def test_the_mode_of_a_plan_of_members_can_be_changed(admin: Client) -> None:
    plan = send(admin, "groups", MEMBERS, "PATROL,User,E-3,Member", what="members").headers["Location"]
    assert "Synchronize the groups named in the file" in read(admin, plan)
    again = admin.post(f"{plan}/again", {"again-mode": "sync"}).headers["Location"]
    assert "Members: synchronize the groups in the file" in read(admin, again)


def test_other_headings_are_matched_on_the_page(admin: Client) -> None:
    plan = send(admin, "groups", "EXTERNAL_ID,Unit title", "HQ,Headquarters").headers["Location"]
    page = read(admin, plan)
    assert "We remember them for next time" not in page and 'href="/springfield/groups/import"' in page
    again = admin.post(plan, {"map-0": "NAME"}).headers["Location"]
    assert '<ins class="m-becomes">Headquarters</ins>' in read(admin, again)


def test_a_form_without_a_file_or_with_another_kind_is_refused(admin: Client) -> None:
    answer = admin.post("/springfield/groups/import", {"do": "preview", "what": "users", "mode": "rekey"})
    assert answer.status_code == 422
    assert "Select a file: CSV, .xlsx or .ods." in answer.content.decode()
    assert models.Import.objects.filter(kind__in=models.ENTRY_KINDS).count() == 0


@pytest.mark.parametrize(
    ("page", "permission"), [("groups", "groups.manage"), ("roles", "roles.manage"), ("ranks", "ranks.manage")]
)
def test_a_permission_opens_its_own_files_and_no_others(
    client: Client, admin: Client, page: str, permission: str
) -> None:
    lines = {"groups": (GROUPS, "HQ,Headquarters,Active,"), "roles": ("NAME", "Clerk"), "ranks": ("NAME", "Chief")}
    theirs = {name: send(admin, name, *rows).headers["Location"] for name, rows in lines.items()}
    models.Role.objects.filter(name="Chief").update(permissions=[permission])
    chief = signed_in(Client(), "user.2")
    own = send(chief, page, *lines[page]).headers["Location"]
    assert "entry will be added" in read(chief, own) and chief.get(f"{own}/results").status_code == 200
    assert chief.post(f"{own}/discard").status_code == 302
    assert chief.post(theirs[page]).status_code == 302
    for other in set(lines) - {page}:
        assert send(chief, other, *lines[other]).status_code == 403
        assert chief.get(theirs[other]).status_code == 403
        for act in ("/results", "/errors"):
            assert chief.get(f"{theirs[other]}{act}").status_code == 403
        for act in ("", "/undo", "/recheck", "/discard", "/cancel", "/again"):
            assert chief.post(f"{theirs[other]}{act}", {"once": "1"}).status_code == 403
    users = models.Import.objects.filter(kind="file").latest("pk").number
    assert chief.get(f"/springfield/imports/{users}").status_code == 403
    assert chief.get("/springfield/imports/01NOTHING").status_code == 403


def test_who_imports_users_does_not_see_files_of_roles(admin: Client) -> None:
    plan = send(admin, "roles", "NAME,PERMISSIONS", "Clerk,users.view").headers["Location"]
    assert signed_in(Client(), "user.2").get(plan).status_code == 403


def test_nobody_gives_a_permission_by_a_file_that_their_role_lacks(admin: Client) -> None:
    models.Role.objects.filter(name="Chief").update(permissions=["roles.manage"])
    chief = signed_in(Client(), "user.2")
    plan = send(
        chief, "roles", "NAME,PERMISSIONS", "Clerk,users.view", "Chief,", "Admin,all", "Officer,roles.manage"
    ).headers["Location"]
    assert "8 users will gain a permission." in read(chief, plan)
    page = read(chief, f"{plan}?show=errored")
    assert "It does not have: users.view." in page and "This is your own role" in page
    assert chief.post(plan, {"privileges": "8"}).status_code == 302
    assert not models.Role.objects.filter(name="Clerk").exists()
    assert models.Role.objects.get(name="Chief").permissions == ["roles.manage"]
    assert models.Role.objects.get(name="Officer").permissions == ["roles.manage"]


def test_another_agency_is_out_of_reach(admin: Client) -> None:
    other = cast.agency("shelbyville")
    group = models.Group.objects.get(agency=other, external_id="PATROL")
    cast.apply_rows(other, [person(77, EVIDENCE_GROUP_EXT_ID="PATROL")])
    plan = send(
        admin, "groups", MEMBERS, "PATROL,User,E-77,Member", "PATROL,User,E-3,Member", what="members", mode="sync"
    ).headers["Location"]
    assert "There is no user with the external ID “E-77”." in read(admin, plan)
    admin.post(plan)
    assert models.User.objects.get(external_id="E-77").group == group
    theirs = models.Import.objects.filter(agency=other).latest("pk").number
    assert admin.get(f"/springfield/imports/{theirs}").status_code == 404
    here = models.Group.objects.get(agency__slug="springfield")
    address = f"/springfield/groups/{here.pk}/"
    assert admin.post(f"{address}monitor", {"remove_group": str(group.pk)}).status_code == 302
    sent = {"external_id": "PATROL", "name": "Patrol", "active": "on", "parent": "ELSEWHERE"}
    models.Group.objects.create(agency=other, external_id="ELSEWHERE", name="Elsewhere")
    assert admin.post(f"{address}edit", sent).status_code == 422


def test_formulas_stay_text(admin: Client) -> None:
    plan = send(
        admin, "groups", GROUPS, '"=HYPERLINK(""http://x"")",=1+1,Active,', "HQ,<script>alert(1)</script>,Active,"
    ).headers["Location"]
    page = read(admin, plan)
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
    done = admin.post(plan).headers["Location"]
    results = b"".join(admin.get(f"{done}/results")).decode("utf-8-sig")
    assert "'=HYPERLINK" in results and "'=1+1" in results
    assert models.Group.objects.filter(name="=1+1").exists()


def test_a_file_sent_after_the_session_ended_waits_for_the_sign_in(admin: Client) -> None:
    admin.post("/springfield/sign-out")
    answer = send(admin, "groups", GROUPS, "HQ,Headquarters,Active,")
    assert answer.status_code == 302 and "/sign-in" in answer.headers["Location"]
    assert models.Import.objects.filter(kind="groups").count() == 0


def test_the_waiting_file_of_another_kind_takes_its_permission(admin: Client) -> None:
    user = models.User.objects.get(agency__slug="springfield", external_id="E-2")
    token = cast.keep_waiting(user, b"NAME\nClerk\n", datetime.now(UTC), Options(what="roles"), name="roles.csv")
    chief = signed_in(Client(), "user.2")
    assert chief.get(f"/springfield/users/import/waiting/{token}").status_code == 403
    models.Role.objects.filter(name="Chief").update(permissions=["roles.manage"])
    page = read(chief, f"/springfield/users/import/waiting/{token}")
    assert "Roles: add or update" in page and 'href="/springfield/roles/import"' in page
    assert chief.get("/springfield/users/import/waiting/nothing").status_code == 403
    assert Client().get(f"/springfield/users/import/waiting/{token}").status_code == 302


def test_groups_that_are_part_of_others_and_monitor_them_are_shown_and_changed_by_hand(admin: Client) -> None:
    send(admin, "groups", GROUPS, "HQ,Headquarters,Active,", "K9,Canine unit,Active,HQ", do="upload")
    here, k9 = models.Group.objects.get(external_id="HQ"), models.Group.objects.get(external_id="K9")
    address = f"/springfield/groups/{here.pk}/"
    assert "Groups in this group (1)" in read(admin, address) and "Canine unit" in read(admin, address)
    assert f'Part of <a href="{address}">Headquarters</a>' in read(admin, f"/springfield/groups/{k9.pk}/")
    assert "Headquarters" in read(admin, "/springfield/groups/?q=K9")
    page = admin.post(f"{address}monitor", {"who": "K9"}, follow=True).content.decode()
    assert "Every member of Canine unit now monitors this group." in page
    again = admin.post(f"{address}monitor", {"who": "K9"}, follow=True).content.decode()
    assert "Every member of Canine unit already monitors this group." in again
    page = admin.post(f"{address}monitor", {"remove_group": str(k9.pk)}, follow=True).content.decode()
    assert "The group Canine unit no longer monitors this group." in page
    assert admin.post(f"{address}monitor", {"remove_group": str(k9.pk)}).status_code == 302
    sent = {"external_id": "HQ", "name": "Headquarters", "active": "on"}
    for parent, sentence in (
        ("K9", "is part of this one"),
        ("HQ", "is part of this one"),
        ("NOPE", "There is no group"),
    ):
        assert sentence in admin.post(f"{address}edit", sent | {"parent": parent}).content.decode()
    assert (
        admin.post(f"/springfield/groups/{k9.pk}/edit", sent | {"external_id": "K9", "parent": ""}).status_code == 302
    )
    assert models.Group.objects.get(external_id="K9").parent is None
    assert admin.post(f"{address}edit", sent | {"parent": "K9"}).status_code == 302
    trail = "".join(models.Event.objects.filter(kind="agency.changed").values_list("changes", flat=True))
    assert "part of HQ" in trail and "monitored by the groups K9" in trail


def test_members_are_synchronized_in_a_browser(page: Page, transactional_db: None, tmp_path: Path) -> None:
    _build_springfield()
    enter(page, "user.1")
    file = tmp_path / "members.csv"
    file.write_text(f"{MEMBERS}\nPATROL,User,E-3,Member\nPATROL,User,E-1,Monitor\n", encoding="utf-8")
    page.goto("/springfield/groups/")
    page.get_by_role("link", name="Import groups").click()
    assert barriers(page) == []
    page.get_by_role("radio", name="Members and monitors").check()
    page.get_by_role("radio", name="Synchronize the groups named in the file").check()
    page.get_by_label("Select file").set_input_files(file)
    page.get_by_role("button", name="Preview").click()
    page.get_by_label("Number of users who lose a group or a permission").fill("7")
    assert barriers(page) == []
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("heading", name="Applied").wait_for()
    page.get_by_role("link", name=re.compile("removed")).click()
    assert barriers(page) == []
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="Preview: nothing has changed yet").wait_for()
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("heading", name="Applied").wait_for()
    assert models.User.objects.filter(group__external_id="PATROL").count() == 8
