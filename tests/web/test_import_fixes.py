"""The addresses that save, undo and check fixes: what they answer, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.models import ImportDraft
from tests.accounts.conftest import Springfield, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.every_page import EVIL
from tests.web.test_import_plan import preview, read_page, send, tiles

pytestmark = pytest.mark.any_database

JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@built_once
def _build_springfield() -> Springfield:
    """An agency with an administrator, a chief, and an officer."""
    made = Springfield(cast.agency())
    made.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), person(3))
    for number in (1, 2, 3):
        made.registered(number)
    return made


@pytest.fixture
def springfield(db: None) -> Springfield:
    """An agency with an administrator, a chief, and an officer."""
    return _build_springfield()


@pytest.fixture
def address(chief: Client) -> str:
    """The plan of two wrong rows and a right one."""
    return preview(chief, person(7, ROLE="Oficer"), person(8, EMAIL="x"), person(9))


def type_cell(client: Client, address: str, row: int, heading: str, was: str, text: str, **more: str) -> Any:
    """Sends a cell as the script does; gives the response."""
    cells = {f"cell-{row}-{heading}": text, f"was-{row}-{heading}": was}
    return client.post(f"{address}/fixes", cells | more, headers=JSON)


def test_a_script_gets_the_count(chief: Client, address: str) -> None:
    answer = type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    assert answer.json() == {"count": 1, "status": "1 fix, not yet checked", "can_undo": True, "error": ""}
    page = read_page(chief, address)
    assert "1 fix, not yet checked" in page and "Was “Oficer”." in page


def test_without_scripts_the_form_saves_and_comes_back_to_its_page(chief: Client, address: str) -> None:
    cells = {"cell-2-ROLE": "Officer", "was-2-ROLE": "Oficer", "page": "1", "q": "E-"}
    answer = chief.post(f"{address}/fixes", cells)
    assert answer.headers["Location"] == f"{address}?show=errored&page=1&q=E-"
    assert "1 fix, not yet checked" in read_page(chief, answer.headers["Location"])
    back = chief.post(f"{address}/fixes/undo").headers["Location"]
    assert "ROLE in row 2 is “Oficer” again." in read_page(chief, back)
    assert "You have no fix to undo." in read_page(chief, chief.post(f"{address}/fixes/undo").headers["Location"])


def test_the_button_of_the_nearest_name_works_without_scripts(chief: Client, address: str) -> None:
    assert 'name="cell-2-ROLE" value="Officer" formaction' in read_page(chief, address)
    chief.post(f"{address}/fixes", {"cell-2-ROLE": ["Oficer", "Officer"], "was-2-ROLE": "Oficer"})
    assert ImportDraft.objects.get().text == "Officer"


def test_a_recheck_plans_what_was_saved_and_what_the_form_has(chief: Client, address: str) -> None:
    type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    again = chief.post(f"{address}/recheck", {"cell-3-EMAIL": "h@agency.example", "was-3-EMAIL": "x"}).headers[
        "Location"
    ]
    assert tiles(chief, f"{again.partition('?')[0]}?show=added") == {"added": 3}
    assert not ImportDraft.objects.exists()


def test_a_conflict_is_shown_with_both_texts(springfield: Springfield, chief: Client, address: str) -> None:
    other = Client()
    signed_in(other, "user.2")
    type_cell(other, address, 3, "EMAIL", "x", "theirs@agency.example")
    answer = type_cell(chief, address, 3, "EMAIL", "x", "mine@agency.example")
    assert answer.status_code == 409
    message = "First 2 Last 2 changed EMAIL in row 3 to “theirs@agency.example”. Your text “mine@agency.example” is not saved."
    assert answer.json()["conflicts"] == [
        {"row": 3, "heading": "EMAIL", "text": "theirs@agency.example", "message": message}
    ]
    cells = {"cell-3-EMAIL": "mine@agency.example", "was-3-EMAIL": "x"}
    for act in ("fixes", "recheck"):
        assert message in read_page(chief, chief.post(f"{address}/{act}", cells).headers["Location"])
    assert ImportDraft.objects.get().text == "theirs@agency.example"


def test_a_fix_of_a_plan_made_again_says_where_it_is(chief: Client, address: str) -> None:
    again = chief.post(f"{address}/recheck", {"cell-2-ROLE": "Officer", "was-2-ROLE": "Oficer"}).headers["Location"]
    answer = type_cell(chief, address, 3, "EMAIL", "x", "new@agency.example").json()
    assert answer["moved"] == again.partition("?")[0] and "Your fix is saved there." in answer["error"]
    assert "1 fix, not yet checked" in read_page(chief, again)


def test_fixes_survive_the_session_and_are_seen_by_others_who_may_import(
    springfield: Springfield, chief: Client, address: str
) -> None:
    type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    chief.logout()
    for name in ("user.1", "user.2"):
        other = Client()
        signed_in(other, name)
        assert "1 fix, not yet checked" in read_page(other, address)


@pytest.mark.parametrize("act", ["fixes", "fixes/undo", "recheck"])
def test_a_user_without_permission_does_nothing(
    springfield: Springfield, chief: Client, address: str, act: str
) -> None:
    type_cell(chief, address, 3, "EMAIL", "x", "y")
    officer = Client()
    signed_in(officer, "user.3")
    answer = officer.post(f"{address}/{act}", {"cell-2-ROLE": "Officer", "was-2-ROLE": "Oficer"})
    assert answer.status_code == 403
    assert [fix.text for fix in ImportDraft.objects.all()] == ["y"]
    assert models.Event.objects.filter(kind="act.refused").exists()
    assert models.Import.objects.filter(kind="file", ended="").count() == 2


@pytest.mark.parametrize("act", ["fixes", "fixes/undo", "recheck"])
def test_a_user_who_may_only_add_cannot_fix_a_synchronize_plan(
    springfield: Springfield, chief: Client, act: str
) -> None:
    address = preview(chief, person(7, ROLE="Oficer"), person(1, ROLE="Admin"), mode="sync")
    models.Role.objects.filter(name="Chief").update(permissions=["users.import"])
    other = Client()
    signed_in(other, "user.2")
    assert other.post(f"{address}/{act}", {"cell-2-ROLE": "Officer", "was-2-ROLE": "Oficer"}).status_code == 403
    assert not ImportDraft.objects.exists()


@pytest.mark.parametrize("act", ["fixes", "fixes/undo", "recheck"])
def test_another_agency_finds_no_such_plan(springfield: Springfield, chief: Client, address: str, act: str) -> None:
    other = Springfield(cast.agency("shelbyville"))
    other.imported(person(1, ROLE="Admin", USERNAME="other.1"))
    other.registered(1)
    stranger = Client()
    signed_in(stranger, "other.1", "shelbyville")
    foreign = address.replace("springfield", "shelbyville")
    answer = stranger.post(f"{foreign}/{act}", {"cell-2-ROLE": "Officer", "was-2-ROLE": "Oficer"}, headers=JSON)
    assert answer.status_code == 404
    assert not ImportDraft.objects.exists()


def test_no_get_has_an_effect(chief: Client, address: str) -> None:
    type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    for act in ("fixes", "fixes/undo", "recheck"):
        assert chief.get(f"{address}/{act}", {"cell-3-EMAIL": "y"}).status_code == 302
    assert ImportDraft.objects.count() == 1


def test_a_form_of_another_site_is_refused(springfield: Springfield, address: str) -> None:
    client = Client(enforce_csrf_checks=True)
    signed_in(client, "user.1")
    assert type_cell(client, address, 2, "ROLE", "Oficer", "Officer").status_code == 403
    assert not ImportDraft.objects.exists()


def test_a_plan_that_has_ended_says_so(chief: Client, address: str) -> None:
    chief.post(f"{address}/discard")
    answer = type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    assert answer.status_code == 409 and "was discarded. Nothing was saved." in answer.json()["error"]
    assert 'name="cell-2-ROLE"' not in read_page(chief, f"{address}?show=errored")


def test_a_plan_whose_rows_are_gone_says_so(chief: Client, address: str, tmp_path: Path) -> None:
    for file in tmp_path.rglob("errored.parquet"):
        file.unlink()
    answer = type_cell(chief, address, 2, "ROLE", "Oficer", "Officer")
    assert answer.status_code == 409 and "can no longer be fixed" in answer.json()["error"]


def test_a_huge_text_is_refused_and_many_forged_cells_are_left(chief: Client, address: str) -> None:
    answer = type_cell(chief, address, 2, "ROLE", "Oficer", "x" * 10_001)
    assert answer.status_code == 422 and "10,000 characters" in answer.json()["error"]
    forged = {f"cell-{row}-ROLE": "Admin" for row in range(10, 900)} | {"cell-4-ROLE": "Admin", "cell-²-ROLE": "Admin"}
    assert chief.post(f"{address}/fixes", forged, headers=JSON).json()["count"] == 0


def test_markup_stays_text(chief: Client, address: str) -> None:
    type_cell(chief, address, 3, "EMAIL", "x", EVIL)
    assert EVIL not in read_page(chief, address)
    other = type_cell(chief, address, 3, "EMAIL", "x", "y")
    assert other.status_code == 409 and other.headers["Content-Type"] == "application/json"


def test_an_undo_of_an_import_has_no_cells(chief: Client) -> None:
    done = send(chief, cast.file([person(7)]), do="upload")
    plan = chief.post(f"{done}/undo", {"once": "x"}).headers["Location"]
    for act in ("fixes", "fixes/undo", "recheck"):
        assert chief.post(f"{plan}/{act}", {"cell-2-ROLE": "Officer"}).status_code == 404


def test_a_fix_gives_nobody_a_role_that_the_operator_may_not_give(springfield: Springfield, chief: Client) -> None:
    address = preview(chief, person(7, ROLE="Oficer"))
    other = Client()
    signed_in(other, "user.2")
    type_cell(other, address, 2, "ROLE", "Oficer", "Admin")
    answer = other.post(address)
    assert answer.status_code == 302
    assert "Nothing has been applied yet." in read_page(other, answer.headers["Location"])
    assert not models.User.objects.filter(external_id="E-7").exists()


@pytest.mark.parametrize(("text", "rows"), [
    ("oficer", {2}), ("There is no role", {2}), ("USER9@", {4}), ("unknown-role", {2}), ("b-9", {4}), ("no @", {3}),
    ("nothing has this", set()), ("Sergeant", {2}), ("%", set()),
])  # fmt: skip
def test_find_looks_into_all_cells_problems_and_fixes(chief: Client, text: str, rows: set[int]) -> None:
    address = preview(chief, person(7, ROLE="Oficer"), person(8, EMAIL="x"), person(9, EMAIL="user9@", LOCATION="HQ"))
    type_cell(chief, address, 2, "ROLE", "Oficer", "Sergeant")
    page = chief.get(address, {"show": "errored", "q": text}).content.decode()
    assert {row for row in (2, 3, 4) if f'id="row-{row}"' in page} == rows
    assert ("No rows here contain" in page) == (not rows)


def test_a_page_of_rows_whose_every_cell_is_wrong_can_be_sent(chief: Client) -> None:
    lines = cast.file([person(n) for n in range(100, 150)]).decode().splitlines()
    address = send(chief, "\n".join([lines[0], *(f"{line},surplus" for line in lines[1:])]).encode())
    page = read_page(chief, address)
    assert page.count('name="cell-') == 50 * 8
    cells = {f"cell-{row}-{heading}": text for row in range(2, 52) for heading, text in person(row + 98).items()}
    was = {name.replace("cell-", "was-"): text for name, text in cells.items()}
    answer = chief.post(f"{address}/recheck", cells | was | {f"x{n}": "" for n in range(50 * 12)})
    assert answer.status_code == 302
