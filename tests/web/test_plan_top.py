"""The top of a plan's page: what it will do, how it is changed there, what differs from earlier ones, and how it ended."""

import re
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.imports.options import Options
from tests.accounts.conftest import Springfield, signed_in
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers
from tests.web.test_import_look import send as send_in
from tests.web.test_import_plan import NORA, build_two_officers, damaged, preview, read_page, tiles

pytestmark = pytest.mark.any_database


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def springfield(db: None) -> Springfield:
    """An agency with an administrator, and two officers."""
    return build_two_officers()


def post(client: Client, address: str, **fields: str) -> str:
    """Sends a form of the page; gives the address led to."""
    answer = client.post(address, fields)
    assert answer.status_code == 302, answer.content.decode()
    return answer.headers["Location"]


def get_options(address: str) -> Options:
    return Options.of_json(models.Import.objects.get(number=address.rpartition("/")[2]).options)


# Changed in place


def test_the_mode_strict_and_emails_are_changed_on_the_plan(chief: Client) -> None:
    plan = preview(chief, person(1, ROLE="Admin"), person(2, RANK="Captain"), person(7))
    assert "1 user will be added." in read_page(chief, plan) and "1 invitation will be sent." in read_page(chief, plan)
    again = post(chief, f"{plan}/again", **{"again-mode": "sync", "again-quiet": "on"})
    page = read_page(chief, again)
    assert "Synchronize all user accounts" in page and "1 user will lose access." in page
    assert "No email will be sent." in page and get_options(again).mails is False
    strict = post(chief, f"{again}/again", **{"again-mode": "update", "again-strict": "on"})
    assert get_options(strict).strict and get_options(strict).mails is None
    assert "1 user will lose access." not in read_page(chief, strict)
    assert "These options cannot be used." in read_page(chief, post(chief, f"{strict}/again", **{"again-mode": "x"}))


def test_only_who_may_synchronize_can_change_a_plan_to_it(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Officer").update(permissions=["users.import", "users.view"])
    springfield.registered(2)
    signed_in(client, "user.2")
    plan = preview(client, person(7))
    assert client.post(f"{plan}/again", {"again-mode": "sync"}).status_code == 403
    assert "Change how it is imported" in read_page(client, plan)


def test_an_undo_is_planned_with_no_other_options_and_can_be_applied_without_emails(chief: Client) -> None:
    done = preview(chief, person(2, STATUS="Inactive"), do="upload")
    plan = post(chief, f"{done}/undo")
    page = read_page(chief, plan)
    assert "Change how it is imported" not in page and "Send no emails" in page and "will be sent." in page
    assert "These options cannot be used." in read_page(chief, post(chief, f"{plan}/again", **{"again-mode": "sync"}))
    assert chief.post(f"{plan}/missing").status_code == 404


# Names that are missing


def test_a_missing_rank_is_created_from_its_kind_and_the_file_is_planned_again(chief: Client) -> None:
    plan = preview(chief, person(7, RANK="Colonel"), person(8, RANK="Colonel"))
    assert "Create the rank “Colonel”" in read_page(chief, plan)
    again = post(chief, f"{plan}/missing", name="ranks Colonel")
    page = read_page(chief, again)
    assert "1 name was created." in page and tiles(chief, again) == {"added": 2}
    assert models.Rank.objects.filter(name="Colonel").exists()


def test_all_missing_names_are_created_at_once(chief: Client) -> None:
    rows = (person(7, RANK="Colonel", ROLE="Clerk"), person(8, EVIDENCE_GROUP_EXT_ID="K9"))
    plan = preview(chief, *rows)
    assert "Create all 3 missing roles, ranks and groups" in read_page(chief, plan)
    again = post(chief, f"{plan}/missing")
    assert "3 names were created." in read_page(chief, again) and tiles(chief, again)["added"] == 2
    assert models.Role.objects.get(name="Clerk").permissions == []
    assert "There was nothing to create." in read_page(chief, post(chief, f"{again}/missing"))
    assert "There was nothing to create." in read_page(chief, post(chief, f"{again}/missing", name="roles Pope"))
    assert "There was nothing to create." in read_page(chief, post(chief, f"{again}/missing", name="pk 1"))


def test_who_may_not_manage_ranks_is_not_offered_to_create_one(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Officer").update(permissions=["users.import", "users.view", "groups.manage"])
    springfield.registered(2)
    signed_in(client, "user.2")
    plan = preview(client, person(7, RANK="Colonel", EVIDENCE_GROUP_EXT_ID="K9"))
    page = read_page(client, plan)
    assert "Create the group “K9”" in page and "Create the rank" not in page
    assert client.post(f"{plan}/missing", {"name": "ranks Colonel"}).status_code == 403
    assert not models.Rank.objects.filter(name="Colonel").exists()
    assert client.post(f"{plan}/missing").status_code == 302
    assert models.Group.objects.filter(external_id="K9").exists()
    assert not models.Rank.objects.filter(name="Colonel").exists()


# Kinds of problems


def test_the_rows_of_one_kind_are_shown_and_left_blank(chief: Client) -> None:
    plan = preview(chief, person(7, PHONE="551"), person(8, PHONE="552"), person(9, ROLE="x"))
    page = read_page(chief, plan)
    assert "And 1 other value." in page and "Leave blank in 2 rows" in page
    shown = read_page(chief, f"{plan}?show=errored&code=invalid-phone&column=PHONE").partition("m-sheet")[2]
    assert "E-7" in shown and "E-8" in shown and "E-9" not in shown
    again = post(chief, f"{plan}/values", code="invalid-phone", column="PHONE", any="1", text="")
    assert tiles(chief, again) == {"errored": 1, "added": 2}


def test_no_remedy_on_a_page_names_an_option_of_a_command(springfield: Springfield, chief: Client) -> None:
    springfield.imported(person(40, STATUS="Inactive"))
    page = read_page(chief, preview(chief, damaged(2), NORA, person(70, BADGE_NUMBER="B-40")))
    assert "looks like" in page or "keep it as written" in page
    assert not re.search(r"\s--[a-z]", page)


# What differs


def test_a_plan_is_compared_with_the_one_before_and_with_the_last_import(chief: Client) -> None:
    plan = preview(chief, person(2, RANK="Captain"), person(7, ROLE="x"))
    page = read_page(chief, plan)
    assert "The last import had 3." in page and "Compare with earlier imports" in page and "The plan before" not in page
    again = post(chief, f"{plan}/values", code="unknown-role", column="ROLE", value="x", text="Officer")
    page = read_page(chief, again)
    assert "The plan before" in page and "Rows with problems" in page
    differs = read_page(chief, f"{again}?differs=users")
    assert "with problems before, now added" in differs and "E-7" in differs
    same = post(chief, f"{again}/again", **{"again-mode": "update"})
    assert "No user differs from the plan before." in read_page(chief, f"{same}?differs=users")


def test_a_plan_that_has_changed_says_who_differs(springfield: Springfield, chief: Client) -> None:
    """D17."""
    plan = preview(chief, person(7), person(2, LAST_NAME="New", RANK="Captain"))
    springfield.imported(person(2, LAST_NAME="Other", RANK="Captain"), person(8))
    second = post(chief, plan)
    page = read_page(chief, second)
    assert "The plan has changed: nothing was applied" in page and "Refused" not in page
    assert "updated before, now updated in another way" in page and ">First 2 Other</a>" in page
    assert "<h1>Applied</h1>" in read_page(chief, post(chief, second))


# How it ended


def test_a_replaced_plan_offers_no_form_but_leads_to_the_plan_in_its_place(chief: Client) -> None:
    """D9."""
    plan = preview(chief, person(7, ROLE="x"))
    again = post(chief, f"{plan}/again", **{"again-mode": "update", "again-quiet": "on"})
    page = read_page(chief, plan).partition("<main")[2]
    assert "<h1>Replaced by a newer plan</h1>" in page
    assert f'href="{again}">See the plan in its place' in page and "The plan as it was" in page
    assert not re.findall(r'<form[^>]*method="post"[^>]*action="[^"]*/imports/', page.partition('id="fix"')[0])
    assert 'name="cell-' not in page and "Recheck" not in page and "Undo" not in page


def test_an_expired_plan_is_made_again_by_a_button(chief: Client) -> None:
    plan = preview(chief, person(7))
    models.Import.objects.update(ended="expired")
    page = read_page(chief, plan)
    assert (
        "<h1>Expired: nothing has changed</h1>" in page
        and "has expired" in page
        and page.count(">Plan again</button>") == 1
        and ">Apply</button>" not in page
    )
    again = post(
        chief, f"{plan}/again", **dict(re.findall(r'<input type="hidden" name="(again-\w+)" value="(\w+)"', page))
    )
    assert get_options(again) == Options(preview=True) and ">Apply</button>" in read_page(chief, again)


def test_a_plan_that_changes_nothing_can_be_discarded(chief: Client) -> None:
    """D23."""
    plan = preview(chief, person(2, RANK="Captain"))
    page = read_page(chief, plan)
    assert "Nothing will change." in page and ">Apply</button>" not in page and ">Discard</button>" in page
    post(chief, f"{plan}/discard")
    page = read_page(chief, plan)
    assert "<h1>Discarded: nothing has changed</h1>" in page and "was discarded. It cannot be applied." in page


def test_an_import_that_changed_nothing_says_so_and_cannot_be_undone(chief: Client) -> None:
    """D13."""
    page = read_page(chief, preview(chief, person(2, RANK="Captain"), person(2, RANK="Captain"), do="upload"))
    assert "Applied: there was nothing to change" in page and ">Undo</button>" not in page
    assert "1 row was skipped." in page and 'id="show-skipped"' in page


def test_a_refused_file_does_not_say_what_it_would_have_done(chief: Client) -> None:
    """D24."""
    address = preview(chief, person(7, ROLE="x"), person(8, EMAIL="x"), mode="sync", do="upload")
    assert tiles(chief, address) == {"errored": 2}
    assert "will be skipped until" not in read_page(chief, address)


def test_the_plan_has_no_barriers_with_its_folds_open(page: Page, transactional_db: None) -> None:
    made = build_two_officers()
    models.Agency.objects.update(limits=[cast.allow(0)])
    enter(page, "user.1", "users/import")
    rows = [person(1, ROLE="Admin"), *cast.people(7, 8, RANK="Colonel"), person(9, ROLE="Clerk")]
    rows += cast.people(*range(10, 14), PHONE="1")
    send_in(page, cast.file(rows), mode="Synchronize")
    for fold in page.locator("main summary").all():
        if fold.is_visible():
            fold.click()
    expect(page.get_by_role("button", name="Plan again")).to_be_visible()
    assert page.locator("main .usa-button:not(.usa-button--outline, .usa-button--unstyled):visible").count() <= 2
    assert barriers(page) == []
    page.get_by_label("Number of users who lose access").fill("2")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Applied")).to_be_visible()
    assert barriers(page) == []
    assert not cast.user(made.agency, 2).active


def test_the_summary_of_an_import_leads_to_its_users(springfield: Springfield, chief: Client) -> None:
    done = cast.run(springfield.agency, cast.file([person(2, LOCATION="Pier 9"), person(4)]), Options())
    link = f'/springfield/users/?import={done.record.number}"'
    assert link in read_page(chief, f"/springfield/imports/{done.record.number}")
    assert "First 4" in read_page(chief, link.rstrip('"'))
    again = cast.run(springfield.agency, cast.file([person(4)]), Options())
    assert "Show these users" not in read_page(chief, f"/springfield/imports/{again.record.number}")
