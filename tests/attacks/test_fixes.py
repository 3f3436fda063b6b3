"""Fixes of a plan under attack: others who type at the same time, stale pages, another sheet, and rows that are out of sight."""

import io
import re
from pathlib import Path

import pytest
import xlsxwriter  # type: ignore[import-untyped]  # it has no stubs
from django.test import Client
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.imports import queue
from musterbook.directory.models import ImportDraft
from tests import worker
from tests.accounts.conftest import Springfield, signed_in
from tests.directory import cast
from tests.directory.cast import person
from tests.web.test_import_fixes import type_cell
from tests.web.test_import_plan import preview, read_page, send, tiles

pytestmark = pytest.mark.any_database


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSTER_HOME = tmp_path
    worker.at_hand(monkeypatch)


@pytest.fixture
def chief(db: None) -> Client:
    """A browser of the administrator, in an agency with another user who may import."""
    made = Springfield(cast.agency())
    made.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), person(3))
    made.registered(1)
    made.registered(2)
    return browser("user.1")


def browser(name: str) -> Client:
    client = Client()
    signed_in(client, name)
    return client


def read_form(client: Client, address: str) -> dict[str, str]:
    """What the form of *Apply* on this page sends."""
    page = read_page(client, address)
    form = page.partition('<form id="apply"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(fix[^"]*)" value="([^"]*)"', form))


def make_workbook(**wrong: str) -> bytes:
    """A workbook of two sheets, each with two other users, the first of them with these cells."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        for name, number in (("First", 7), ("Second", 17)):
            rows = [person(number, **wrong), person(number + 1)]
            sheet = book.add_worksheet(name)
            for at, cells in enumerate(([*rows[0]], *([*row.values()] for row in rows))):
                sheet.write_row(at, 0, cells)
    return made.getvalue()


def read_sheet(client: Client, address: str, sheet: str) -> str:
    """Have this sheet read; return the address of the plan."""
    return client.post(f"{address}/read", {"sheet": sheet}).headers["Location"].partition("?")[0]


def added(number: int) -> bool:
    return models.User.objects.filter(external_id=f"E-{number}").exists()


def test_apply_applies_no_fix_that_another_user_typed_after_the_page_was_shown(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="Oficer"), person(8, EMAIL="x"), person(9))
    form = read_form(chief, address)
    type_cell(browser("user.2"), address, 2, "ROLE", "Oficer", "Officer")
    type_cell(chief, address, 3, "EMAIL", "x", "user8@agency.example")
    answer = chief.post(address, form)
    assert not added(7) and not added(9)
    again = answer.headers["Location"]
    assert "Nothing has been applied yet" in read_page(chief, again)
    chief.post(again, read_form(chief, again))
    assert added(7) and added(8) and added(9)


def test_apply_applies_the_fixes_of_others_that_the_page_has_shown(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="Oficer"), person(8, EMAIL="x"), person(9))
    type_cell(browser("user.2"), address, 2, "ROLE", "Oficer", "Officer")
    form = read_form(chief, address)
    type_cell(chief, address, 3, "EMAIL", "x", "user8@agency.example")
    chief.post(address, form)
    assert added(7) and added(8) and added(9)


def test_a_fix_out_of_sight_is_shown_before_it_is_applied(chief: Client) -> None:
    """The group action has repaired the row, so no page shows the cell with the fix any more."""
    address = preview(chief, person(7, RANK="Sargent"), person(8, RANK="Sargent"), person(9))
    type_cell(chief, address, 2, "RANK", "Sargent", "Captain")
    group = {"code": "unknown-rank", "column": "RANK", "value": "Sargent", "text": "Sergeant"}
    again = chief.post(f"{address}/values", group).headers["Location"].partition("?")[0]
    assert tiles(chief, f"{again}?show=added") == {"added": 3}
    answer = chief.post(again, read_form(chief, again))
    assert not added(7)
    assert "Nothing has been applied yet" in read_page(chief, answer.headers["Location"])


def test_a_form_sent_twice_from_one_page_makes_one_plan(chief: Client) -> None:
    address = preview(chief, person(7, RANK="Sargent"), person(8, RANK="Sargent"), person(9))
    group = {"code": "unknown-rank", "column": "RANK", "value": "Sargent", "text": "Sergeant"}
    for act, form in (("values", group), ("again", {"again-mode": "update", "again-strict": "on"}), ("again", {})):
        answers = [chief.post(f"{address}/{act}", form).headers["Location"].partition("?")[0] for _ in range(2)]
        assert answers[0] == answers[1] or not form
        page = read_page(chief, answers[1])
        assert "There are no such rows" not in page
        assert models.Import.objects.filter(ended="", state="previewed").count() == 1


def test_a_name_created_from_a_stale_page_is_in_the_plan_that_is_shown(chief: Client) -> None:
    address = preview(chief, person(7, RANK="Major"), person(8, RANK="Colonel"))
    chief.post(f"{address}/missing", {"name": "ranks Major"})
    again = chief.post(f"{address}/missing", {"name": "ranks Colonel"}).headers["Location"].partition("?")[0]
    assert tiles(chief, again) == {"added": 2}


def test_create_all_creates_what_its_button_has_counted(chief: Client) -> None:
    models.Role.objects.filter(name="Chief").update(permissions=["users.import", "ranks.manage"])
    other = browser("user.2")
    address = preview(other, person(7, RANK="Major"), person(8, RANK="Colonel"), person(9, ROLE="Clerk"))
    assert "Create all 2 missing" in read_page(other, address)
    answer = other.post(f"{address}/missing")
    assert answer.status_code == 302
    assert set(models.Rank.objects.values_list("name", flat=True)) >= {"Major", "Colonel"}


def test_an_action_on_a_stale_page_keeps_what_another_user_has_fixed(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="Oficer"), person(8, RANK="Sargent"), person(9, EMAIL="x"))
    other = browser("user.2")
    type_cell(other, address, 4, "EMAIL", "x", "user9@agency.example")
    other.post(f"{address}/values", {"code": "unknown-role", "column": "ROLE", "value": "Oficer", "text": "Officer"})
    group = {"code": "unknown-rank", "column": "RANK", "value": "Sargent", "text": "Sergeant"}
    again = chief.post(f"{address}/values", group).headers["Location"].partition("?")[0]
    assert "1 fix, not yet checked" in read_page(chief, f"{again}?show=errored")
    assert tiles(chief, again).get("errored") == 1
    assert models.Import.objects.filter(ended="", state="previewed").count() == 1


def test_fixes_of_one_sheet_are_not_put_into_the_rows_of_another(chief: Client) -> None:
    address = read_sheet(chief, send(chief, make_workbook(ROLE="Oficer"), name="a.xlsx"), "First")
    type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    fixed = chief.post(f"{address}/recheck").headers["Location"].partition("?")[0]
    assert tiles(chief, fixed) == {"added": 2}
    again = read_sheet(chief, fixed, "Second")
    assert tiles(chief, again) == {"errored": 1, "added": 1}


def test_a_fix_not_yet_checked_is_not_put_into_a_row_of_another_sheet(chief: Client) -> None:
    address = read_sheet(chief, send(chief, make_workbook(EMAIL="x"), name="a.xlsx"), "First")
    type_cell(chief, address, 2, "EMAIL", "x", "user7@agency.example")
    again = read_sheet(chief, address, "Second")
    assert "No fixes to check" in read_page(chief, f"{again}?show=errored")
    answer = type_cell(chief, address, 2, "EMAIL", "user7@agency.example", "other7@agency.example")
    assert answer.status_code == 409
    assert not ImportDraft.objects.filter(of__number=again.rpartition("/")[2]).exists()


@pytest.mark.parametrize("name", ["code", "column", "value", "text"])
def test_a_nul_character_in_an_action_on_rows_is_no_error_of_ours(chief: Client, name: str) -> None:
    """PostgreSQL stores none and looks for none."""
    address = preview(chief, person(7, RANK="Sargent"), person(8, RANK="Sargent"))
    group = {"code": "unknown-rank", "column": "RANK", "value": "Sargent", "text": "Sergeant"}
    for more in ({}, {"do": "remember"}):
        answer = chief.post(f"{address}/values", group | more | {name: f"{group[name]}\0"})
        assert answer.status_code in (302, 404)
    assert not any("\\u0000" in str(one) for one in models.Import.objects.values_list("options", flat=True))


@pytest.mark.parametrize("permission", ["users.import", "users.view", ""])
def test_who_may_apply_a_plan_may_discard_it_and_nobody_else(chief: Client, permission: str) -> None:
    models.Role.objects.filter(name="Chief").update(permissions=[permission] if permission else [])
    address = preview(chief, person(7))
    answer = browser("user.2").post(f"{address}/discard")
    allowed = permission == "users.import"
    assert answer.status_code == (302 if allowed else 403)
    ended = models.Import.objects.get(number=address.rpartition("/")[2]).ended
    assert ended == ("discarded" if allowed else "")
    if not permission:
        assert browser("user.2").post("/springfield/imports/none/discard").status_code == 403


def test_no_page_of_an_import_leads_to_a_page_that_is_refused(chief: Client) -> None:
    models.Role.objects.filter(name="Chief").update(permissions=["users.import"])
    other = browser("user.2")
    address = preview(other, person(3, RANK="Captain"), person(2, ROLE="x"), person(9))
    pages = [address, f"{address}?show=updated", f"{address}?show=errored", "/springfield/", "/springfield/imports/"]
    links = {link for page in pages for link in re.findall(r'href="(/springfield/[^"#?]*)', read_page(other, page))}
    assert {link for link in links if other.get(link).status_code >= 400} == set()
    assert "First 2 Last 2" in read_page(other, f"{address}?show=errored")


def test_a_match_on_an_older_page_keeps_what_another_user_has_fixed(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="Oficer"), person(8, RANK="Majr"))
    form = re.findall(r'<select[^>]* name="(value-[^"]+)"', read_page(chief, f"{address}/match"))
    assert len(form) == 2
    group = {"code": "unknown-role", "column": "ROLE", "value": "Oficer", "text": "Officer"}
    browser("user.2").post(f"{address}/values", group)
    chosen = dict.fromkeys(form, "") | {form[-1]: "=Sergeant"}
    again = chief.post(f"{address}/match", chosen).headers["Location"].partition("?")[0]
    assert tiles(chief, again) == {"added": 2}


def test_apply_says_that_fixes_are_still_being_checked(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    address = preview(chief, person(7, ROLE="Oficer"), person(9))
    type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    monkeypatch.setattr(queue, "wait", lambda record, _seconds: record)
    again = chief.post(address).headers["Location"]
    assert "Your fixes are being checked. Nothing has been applied yet." in read_page(chief, again)
    assert not added(9)
