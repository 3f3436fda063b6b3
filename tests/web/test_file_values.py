"""Words of a file on the pages: one action for all rows of a kind, values and defaults of a file and of the agency."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Page
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.imports import problem_groups
from musterbook.directory.imports.options import Options
from musterbook.web import default_fields
from musterbook.web.imports import groups
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database

PAGE = "/springfield/users/import"
SETTINGS = "/springfield/settings/values"


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@built_once
def _build_springfield() -> Springfield:
    """An agency with an administrator, an officer, and one who may configure it and import, and no more (5)."""
    made = Springfield(cast.agency())
    models.Role.objects.filter(name="Chief").update(permissions=["agency.configure", "users.import", "users.view"])
    made.imported(person(1, ROLE="Admin"), person(2), person(5, ROLE="Chief"))
    made.registered(1)
    made.registered(5)
    return made


@pytest.fixture
def springfield(db: None) -> Springfield:
    return _build_springfield()


@pytest.fixture
def admin(springfield: Springfield, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    signed_in(client, "user.1")
    return client


@pytest.fixture
def chief(springfield: Springfield, client: Client) -> Client:
    """A browser in which user 5 is signed in."""
    signed_in(client, "user.5")
    return client


def preview(client: Client, *rows: cast.Row, do: str = "preview", columns: tuple[str, ...] = ()) -> str:
    """Sends the rows, with these columns alone if any are named; gives the address of the plan."""
    kept = [{heading: cell for heading, cell in row.items() if not columns or heading in columns} for row in rows]
    sent = {"mode": "update", "do": do, "file": SimpleUploadedFile("roster.csv", cast.file(kept))}
    return client.post(PAGE, sent).headers["Location"]


def read_page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, address: str, name: str, sent: Mapping[str, str]) -> str:
    """Sends one of the forms of the plan's page; gives the address led to."""
    answer = client.post(f"{address}/{name}", sent)
    assert answer.status_code == 302
    return answer.headers["Location"]


def get_record(address: str) -> models.Import:
    return models.Import.objects.get(number=address.rpartition("/")[2].partition("?")[0])


def agency() -> models.Agency:
    return models.Agency.objects.get()


def test_an_unknown_value_is_shown_once_with_its_rows_and_its_nearest_match_preselected(admin: Client) -> None:
    """F13, A7: one click, without scripts."""
    rows = [person(number, RANK="Sargent") for number in (7, 8, 9)] + [person(6, STATUS="Terminated")]
    page = read_page(admin, preview(admin, *rows))
    assert "<strong>3 rows</strong> There is no rank “Sargent”." in page
    assert "<strong>1 row</strong> “Terminated” is not a status." in page
    assert "<option selected>Sergeant</option>" in page and "<option selected>Inactive</option>" in page
    assert "Use Sergeant in 3 rows" in page and "Remember it for every file" in page


def test_another_value_is_used_in_all_rows_of_a_kind_and_not_remembered(admin: Client) -> None:
    """A7."""
    plan = preview(admin, *(person(number, RANK="Sargent") for number in (7, 8)), person(9, RANK="Captain"))
    sent = {"code": "unknown-rank", "column": "RANK", "value": "Sargent", "text": "Sergeant", "do": "use"}
    fixed = act(admin, plan, "values", sent)
    record = get_record(fixed)
    assert (record.state, record.counts["added"], record.counts["errored"]) == ("previewed", 3, 0)
    assert Options.of_json(record.options).corrections == {"2": {"RANK": "Sergeant"}, "3": {"RANK": "Sergeant"}}
    admin.post(fixed)
    assert [cast.user(agency(), number).rank.name for number in (7, 8, 9)] == ["Sergeant", "Sergeant", "Captain"]  # type: ignore[union-attr]
    assert agency().values == {}


def test_a_value_that_is_mapped_on_the_page_is_remembered_once_it_is_applied(admin: Client) -> None:
    """F13."""
    plan = preview(admin, person(2, STATUS="Terminated"))
    sent = {"code": "invalid-status", "column": "STATUS", "value": "Terminated", "text": "Inactive", "do": "remember"}
    mapped = act(admin, plan, "values", sent)
    page = read_page(admin, mapped)
    assert "Values of STATUS were read as they are mapped" in page and "STATUS “Terminated” → Inactive" in page
    assert agency().values == {}
    admin.post(mapped)
    assert agency().values == {"STATUS": {"Terminated": "Inactive"}}
    assert not cast.user(agency(), 2).active
    assert get_record(preview(admin, person(2, STATUS="TERMINATED"))).counts["unchanged"] == 1


def test_a_blank_cell_can_be_filled_in_all_rows_and_is_never_mapped(admin: Client) -> None:
    """C2: `required` offers no mapping."""
    plan = preview(admin, person(7, ROLE=""), person(8, ROLE=""))
    page = read_page(admin, plan)
    assert "<strong>2 rows</strong> ROLE is blank." in page and "Remember it" not in page
    sent = {"code": "required", "column": "ROLE", "value": "", "text": "Officer", "do": "remember"}
    assert get_record(act(admin, plan, "values", sent)).counts["added"] == 2


def test_what_cannot_be_done_for_all_rows_says_so(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = preview(admin, person(7, ROLE="Pope"), person(8, ROLE="Pope"), person(9, EMAIL="x"), person(6, EMAIL="x"))
    page = read_page(admin, plan)
    assert "Choose one" in page and "is not an email address" in page
    sent = {"code": "unknown-role", "column": "ROLE", "value": "Pope", "text": " "}
    assert "Choose a value for ROLE" in read_page(admin, act(admin, plan, "values", sent))
    assert admin.post(f"{plan}/values", sent | {"column": "EMAIL"}).status_code == 404
    monkeypatch.setattr(problem_groups, "MOST_CORRECTED", 1)
    assert "Change 2 rows" not in read_page(admin, plan)
    assert "too many to fix" in read_page(admin, act(admin, plan, "values", sent | {"text": "Officer"}))


def test_an_undo_and_a_plan_without_problems_offer_nothing(admin: Client) -> None:
    done = preview(admin, person(7), do="upload")
    assert "Problems by kind" not in read_page(admin, done)
    undone = act(admin, done, "undo", {})
    assert "Defaults for columns" not in read_page(admin, undone)
    assert "cannot be used" in read_page(admin, act(admin, undone, "defaults", {"default-ROLE": "Officer"}))


def test_many_kinds_are_counted_and_names_of_many_are_typed(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_fields, "MOST_NAMES", 1)
    monkeypatch.setattr(groups, "_MOST_KINDS", 20)
    page = read_page(admin, preview(admin, *(person(number, RANK=f"Sargent {number}") for number in range(30))))
    assert "17 more kinds of problems" in page and "There are 11 more kinds." in page
    assert 'name="text" value="Sergeant"' in page


def test_a_file_without_a_role_is_planned_with_a_default(admin: Client) -> None:
    """F14, on the page. The agency's default is another."""
    columns = tuple(heading for heading in person(1) if heading != "ROLE")
    plan = preview(admin, person(1), person(7), columns=columns).removesuffix("/match")
    page = read_page(admin, plan)
    assert get_record(plan).state == "refused" and "Defaults for columns that the file does not have" in page
    planned = act(admin, plan, "defaults", {"default-ROLE": "Officer"})
    record = get_record(planned)
    assert (record.counts["added"], record.counts["unchanged"]) == (1, 1)
    assert "ROLE: Officer" in read_page(admin, planned)
    admin.post(planned)
    assert cast.user(agency(), 7).role.name == "Officer" and cast.user(agency(), 1).role.name == "Admin"
    models.Agency.objects.update(defaults={"ROLE": "Chief"})
    again = preview(admin, person(8), columns=columns)
    assert not again.endswith("/match")
    assert "Your agency’s default is Chief." in read_page(admin, again)
    assert "cannot be used" in read_page(admin, act(admin, again, "defaults", {"default-ROLE": "Pope"}))


def test_a_chief_has_no_value_remembered_that_would_make_administrators(chief: Client) -> None:
    """M10: a later import by the system would assign the role."""
    plan = preview(chief, person(2, ROLE="Boss"))
    sent = {"code": "unknown-role", "column": "ROLE", "value": "Boss", "text": "Admin", "do": "remember"}
    mapped = act(chief, plan, "values", sent)
    assert get_record(mapped).counts["errored"] == 1
    done = get_record(chief.post(mapped).headers["Location"])
    assert (done.state, agency().values) == ("applied", {})


def read_settings(client: Client, **sent: Any) -> str:
    """Sends the form of the settings as it stands, but for what is named; gives the page that follows."""
    now = {heading: agency().defaults.get(heading, "") for heading in default_headings()}
    return client.post(SETTINGS, {**now, "shown": json.dumps(now)} | sent, follow=True).content.decode()


def default_headings() -> list[str]:
    return ["STATUS", "ROLE", "SUPERVISOR_EMAIL", "LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE"]


def test_remembered_values_are_shown_and_forgotten(chief: Client) -> None:
    """F13."""
    assert "None yet." in read_page(chief, SETTINGS)
    models.Agency.objects.update(values={"STATUS": {"T": "Inactive", "L": "Inactive"}, "RANK": {"Civ": ""}})
    page = read_page(chief, SETTINGS)
    assert '<td data-label="Value in the file">T</td>' in page and '<td data-label="Read as">blank</td>' in page
    for value in ("T", "gone"):
        answer = chief.post(f"{SETTINGS}/forget", {"column": "STATUS", "value": value}, follow=True)
        assert ("was forgotten" in answer.content.decode()) == (value == "T")
    chief.post(f"{SETTINGS}/forget", {"column": "RANK", "value": "Civ"})
    assert agency().values == {"STATUS": {"L": "Inactive"}}
    event = models.Event.objects.filter(kind="agency.changed").earliest("pk")
    assert json.loads(event.changes) == {"value STATUS T": ["Inactive", ""]}


def test_defaults_are_set_with_one_event_and_taken_away(chief: Client) -> None:
    """F14."""
    assert "The defaults were saved." in read_settings(chief, ROLE="Officer", LOCATION=" HQ ")
    assert agency().defaults == {"ROLE": "Officer", "LOCATION": "HQ"}
    assert models.Event.objects.filter(kind="agency.changed").count() == 1
    assert '<option value="Officer" selected>' in read_page(chief, SETTINGS)
    assert "The defaults were saved." in read_settings(chief)
    assert "The defaults were saved." in read_settings(chief, ROLE="")
    assert agency().defaults == {"LOCATION": "HQ"}


def test_a_default_that_cannot_be_used_or_is_above_the_operator_is_refused(chief: Client) -> None:
    assert "The role has permissions that yours does not." in read_settings(chief, ROLE="Admin")
    assert "is not a phone number" in read_settings(chief, PHONE="12")
    assert agency().defaults == {}


def test_a_default_that_another_user_has_changed_meanwhile_is_shown(chief: Client) -> None:
    shown = json.dumps({"LOCATION": "HQ"})
    models.Agency.objects.update(defaults={"LOCATION": "North", "RANK": "Sgt"})
    page = read_settings(chief, LOCATION="South", shown=shown, RANK="")
    assert "Someone else set this to “North” while" in page
    assert agency().defaults == {"LOCATION": "North", "RANK": "Sgt"}
    assert '<option value="Sgt" selected>Sgt</option>' in read_page(chief, SETTINGS)


def test_a_word_is_mapped_and_a_default_set_in_a_browser(page: Page, transactional_db: None, tmp_path: Path) -> None:
    _build_springfield()
    enter(page, "user.1", "settings/values")
    page.get_by_label("LOCATION").fill("HQ")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The defaults were saved.").wait_for()
    assert barriers(page) == []
    path = tmp_path / "roster.csv"
    path.write_bytes(cast.file([person(number, RANK="Sargent") for number in (7, 8)] + [person(2, STATUS="T")]))
    page.goto("/springfield/users/import")
    page.get_by_label("Select file").set_input_files(path)
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("heading", name="Problems by kind").wait_for()
    assert barriers(page) == []
    for column, mapped in (("RANK", "RANK “Sargent” → Sergeant"), ("STATUS", "STATUS “T” → Inactive")):
        page.get_by_text(f"Change to … {column}").click()
        assert barriers(page) == []
        page.get_by_role("button", name="Remember it for every file").locator("visible=true").click()
        page.get_by_text("About this import").click()
        page.get_by_text(mapped).wait_for()
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("heading", name="Applied").wait_for()
    page.goto("/springfield/settings/values")
    assert page.get_by_role("button", name="Forget Sargent of RANK").count() == 1
    assert barriers(page) == []
