"""Roles, ranks and groups through their pages."""

from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.directory import models
from tests.accounts.conftest import Springfield, age_session, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database

GIVEN = ["roles.manage", "ranks.manage", "groups.manage", "users.view"]


@built_once
def fill() -> Springfield:
    """An agency with an administrator (1), an officer of PATROL (2), and one who may change roles, ranks and groups (5)."""
    made = Springfield(cast.agency())
    models.Role.objects.filter(agency=made.agency, name="Chief").update(permissions=GIVEN)
    made.imported(person(1, ROLE="Admin"), person(2, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL"))
    made.imported(person(5, ROLE="Chief"))
    made.registered(5)
    return made


@pytest.fixture
def springfield(db: None) -> Springfield:
    return fill()


@pytest.fixture
def chief(springfield: Springfield, client: Client) -> Client:
    """A browser in which user 5 is signed in."""
    signed_in(client, "user.5")
    return client


def at(path: str) -> str:
    return f"/springfield/{path}"


def read_page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(at(path))
    assert answer.status_code == status
    return answer.content.decode()


def post(client: Client, path: str, follow: bool = True, **values: Any) -> str:
    answer = client.post(at(path), values, follow=follow)
    return answer.content.decode()


def pk(model: Any, **by: Any) -> int:
    return int(model.objects.get(**by).pk)


def test_roles_are_a_table_of_permissions(chief: Client) -> None:
    page = read_page(chief, "roles/")
    assert page.count('<span class="usa-sr-only">yes</span>') == 11 + 1 + len(GIVEN)
    assert ">Officer</a>" in page


def test_each_role_has_the_number_of_its_users_as_a_link(chief: Client) -> None:
    page = read_page(chief, "roles/")
    admin = pk(models.Role, name="Admin")
    assert f'?role={admin}" aria-label="1 user with the role Admin">1</a>' in page
    models.Role.objects.filter(name="Chief").update(permissions=["roles.manage"])
    assert f"?role={admin}" not in read_page(chief, "roles/")


def test_after_a_move_the_button_that_was_pressed_has_the_focus(chief: Client) -> None:
    """D19."""
    for name in ("Major", "Colonel"):
        post(chief, "ranks/", name=name, abbreviation="")
    colonel = pk(models.Rank, name="Colonel")
    places = [chief.post(at(f"ranks/{colonel}/move"), {"way": "up"}).headers["Location"] for _ in range(3)]
    assert [place.partition("#")[2] for place in places] == [f"up-{colonel}", f"up-{colonel}", f"down-{colonel}"]
    page = read_page(chief, "ranks/")
    assert (
        f'id="down-{colonel}"' in page and f'id="up-{colonel}"' not in page and "Move Colonel down, now 1 of 4" in page
    )


def test_a_role_is_added_changed_and_deleted(chief: Client) -> None:
    assert "The role Clerk was saved." in post(chief, "roles/add", name="Clerk", permissions=["users.view"])
    clerk = pk(models.Role, name="Clerk")
    page = post(chief, f"roles/{clerk}/", name="Office", permissions=["users.view"], second_factor="on")
    assert "The role Office was saved." in page
    assert models.Role.objects.get(pk=clerk).second_factor
    assert "No user has it" in read_page(chief, f"roles/{clerk}/delete")
    assert "The role Office was deleted." in post(chief, f"roles/{clerk}/delete")
    assert not models.Role.objects.filter(pk=clerk).exists()


@pytest.mark.parametrize(
    ("role", "values", "sentence"),
    [
        ("Officer", {"name": "Officer", "permissions": ["users.edit"]}, "It does not have: Add, edit,"),
        ("Officer", {"name": "Officer", "permissions": ["everything"]}, "everything is not one of the available choices"),
        ("Officer", {"name": "chief"}, "The name chief is taken"),
        ("Officer", {"name": ""}, "Enter a value for “Name”."),
        ("Chief", {"name": "Chief", "permissions": ["roles.manage"]}, "This is your own role, and you would lose:"),
        ("Admin", {"second_factor": "on"}, "You can only give or remove permissions"),
    ],
)  # fmt: skip
def test_an_invalid_value_of_a_role_is_reported_at_its_field(
    chief: Client, role: str, values: dict[str, Any], sentence: str
) -> None:
    answer = chief.post(at(f"roles/{pk(models.Role, name=role)}/"), values)
    assert answer.status_code == 422 and sentence in answer.content.decode()
    assert not models.Event.objects.filter(kind="agency.changed").exists()


def test_admin_can_be_neither_renamed_nor_deleted(chief: Client) -> None:
    admin = pk(models.Role, name="Admin")
    page = read_page(chief, f"roles/{admin}/")
    assert "cannot be renamed or deleted" in page and 'name="name"' not in page
    assert "cannot be deleted" in read_page(chief, f"roles/{admin}/delete")
    assert "Admin cannot be deleted." in post(chief, f"roles/{admin}/delete")


@pytest.mark.parametrize("path", ["roles/add", "roles/{}/", "roles/{}/delete"])
def test_who_signed_in_long_ago_signs_in_again_before_a_role_changes(chief: Client, path: str) -> None:
    age_session(chief, 16)
    address = at(path.format(pk(models.Role, name="Officer")))
    assert chief.get(address).status_code == 200
    assert "/sign-in/again" in chief.post(address, {"name": "Clerk"}).headers["Location"]


@pytest.mark.parametrize(
    ("path", "model", "by"),
    [
        ("roles/{}/delete", models.Role, {"name": "Officer"}), ("ranks/{}/delete", models.Rank, {"name": "Captain"}),
        ("groups/{}/delete", models.Group, {"external_id": "PATROL"}),
    ],
)  # fmt: skip
def test_what_users_have_is_kept_and_the_page_says_by_how_many(
    chief: Client, path: str, model: Any, by: dict[str, str]
) -> None:
    path = path.format(pk(model, **by))
    assert "1 user has it" in read_page(chief, path)
    assert "1 user has it" in post(chief, path)
    assert model.objects.filter(**by).exists()


def test_who_may_edit_users_gives_them_another_from_there(springfield: Springfield, chief: Client) -> None:
    captain = pk(models.Rank, name="Captain")
    assert "users/bulk" not in read_page(chief, f"ranks/{captain}/delete")
    models.Role.objects.filter(name="Chief").update(permissions=[*GIVEN, "users.edit"])
    assert f"users/bulk?rank={captain}" in read_page(chief, f"ranks/{captain}/delete")
    asked = post(chief, f"users/bulk?rank={captain}", all="1", act="rank")
    assert "Sergeant</option>" in asked and "Choose" in asked


def test_ranks_are_added_renamed_moved_and_deleted(chief: Client) -> None:
    assert "The rank Major was added" in post(chief, "ranks/", name="Major", abbreviation="Maj")
    major = pk(models.Rank, name="Major")
    post(chief, f"ranks/{major}/move", way="up")
    page = read_page(chief, "ranks/")
    assert page.index("Sergeant") < page.index("Major") < page.index("Captain")
    post(chief, f"ranks/{major}/move", way="down")
    assert "The rank Colonel was saved." in post(chief, f"ranks/{major}/", name="Colonel", abbreviation="Col")
    assert "The rank Colonel was deleted." in post(chief, f"ranks/{major}/delete")
    assert not models.Rank.objects.filter(pk=major).exists()


def test_ranks_that_files_could_not_distinguish_are_refused(chief: Client) -> None:
    assert "already uses this" in post(chief, "ranks/", name="Major", abbreviation="cap")
    captain = pk(models.Rank, name="Captain")
    assert "The name SERGEANT is taken" in post(chief, f"ranks/{captain}/", name="SERGEANT", abbreviation="")


def test_groups_are_found_added_changed_and_deleted(chief: Client) -> None:
    assert "The group Dogs was added." in post(chief, "groups/add", external_id="K9", name="Dogs")
    dogs = pk(models.Group, external_id="K9")
    assert "Another group has the external ID K9" in post(chief, "groups/add", external_id="K9", name="")
    assert "Dogs</a>" in read_page(chief, "groups/?q=k9") and "Patrol</a>" not in read_page(chief, "groups/?q=k9")
    assert "No group has" in read_page(chief, "groups/?q=nothing")
    assert "No members yet" in read_page(chief, f"groups/{dogs}/")
    assert "Another group has the external ID" in post(chief, f"groups/{dogs}/edit", external_id="PATROL", name="Dogs")
    assert "Not active" in post(chief, f"groups/{dogs}/edit", external_id="K9", name="Dogs")
    assert "The group Dogs was deleted." in post(chief, f"groups/{dogs}/delete")


def test_a_group_shows_its_members_and_its_monitors(springfield: Springfield, chief: Client) -> None:
    patrol = f"groups/{pk(models.Group, external_id='PATROL')}/"
    assert "First 2" in read_page(chief, patrol)
    for who in ("USER1@agency.example", "E-5"):
        assert "now monitors this group." in post(chief, f"{patrol}monitor", who=who)
    assert "already monitors this group" in post(chief, f"{patrol}monitor", who="E-5")
    assert "No user or group has the email address" in post(chief, f"{patrol}monitor", who="nobody\0")
    assert "Monitors (2)" in read_page(chief, patrol)
    first = springfield.user(1).pk
    assert "no longer monitors this group" in post(chief, f"{patrol}monitor", remove=first)
    assert "no longer" not in post(chief, f"{patrol}monitor", remove=first)
    assert "Monitors (1)" in read_page(chief, patrol)


def test_nobody_of_another_agency_becomes_a_monitor(springfield: Springfield, chief: Client) -> None:
    cast.apply_rows(cast.agency("shelbyville"), [person(77)])
    patrol = f"groups/{pk(models.Group, agency=springfield.agency, external_id='PATROL')}/"
    other = pk(models.User, external_id="E-77")
    assert "No user or group has the email address" in post(chief, f"{patrol}monitor", who="E-77")
    post(chief, f"{patrol}monitor", remove=other)
    assert not models.Monitor.objects.exists()


def test_who_may_only_view_sees_groups_but_changes_none(springfield: Springfield, chief: Client) -> None:
    models.Role.objects.filter(agency=springfield.agency, name="Chief").update(permissions=["users.view"])
    patrol = f"groups/{pk(models.Group, external_id='PATROL')}/"
    assert "Add group" not in read_page(chief, "groups/") and "Add monitor" not in read_page(chief, patrol)
    assert chief.post(at(f"{patrol}monitor"), {"who": "E-1"}).status_code == 403


def test_empty_pages_say_what_to_do_first(springfield: Springfield, chief: Client) -> None:
    models.User.objects.update(rank=None, group=None)
    models.Rank.objects.all().delete()
    models.Group.objects.all().delete()
    assert "There are no ranks yet" in read_page(chief, "ranks/")
    assert "There are no groups yet" in read_page(chief, "groups/")


def test_a_role_a_rank_and_a_group_are_made_in_a_browser(page: Page, transactional_db: None) -> None:
    made = fill()
    enter(page, "user.5")
    page.get_by_text("Admin", exact=True).click()
    page.get_by_role("link", name="Roles", exact=True).click()
    page.get_by_role("link", name="Add role").click()
    page.get_by_role("button", name="Save").click()
    page.locator(".usa-alert--error").wait_for()
    assert barriers(page) == []
    page.get_by_label("Name", exact=True).fill("Clerk")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Clerk").wait_for()

    page.goto("/springfield/ranks/")
    page.get_by_role("button", name="Move Captain up").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Move Sergeant up").wait_for()
    expect(page.get_by_role("button", name="Move Captain down, now 1 of 2")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Move Captain up, now 2 of 2")).to_be_focused()
    assert barriers(page) == []
    page.goto(f"/springfield/groups/{pk(models.Group, agency=made.agency)}/")
    page.get_by_label("Email address or external ID of a user, or external ID of a group").fill("E-1")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove First 1 Last 1 as a monitor").wait_for()
    assert barriers(page) == []
    page.get_by_role("link", name="Delete").click()
    assert "1 user has it" in page.locator("main").inner_text() and barriers(page) == []
