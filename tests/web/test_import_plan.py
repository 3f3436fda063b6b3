"""The page of an import: its rows by what becomes of them, cells mended in place, headings mapped, files, undo, history."""

import csv
import io
import os
import re
import shutil
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.imports import heartbeats, plan_files, plan_pages, queue
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.queue import EarlierImport, ImportStatus
from musterbook.directory.storage import formats, import_files
from tests.accounts.conftest import Springfield, age_session
from tests.accounts.test_entrance import sign_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.any_database

PAGE = "/springfield/users/import"
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@built_once
def build_two_officers() -> Springfield:
    """An agency with an administrator, and two officers."""
    made = Springfield(cast.agency())
    made.imported(person(1, ROLE="Admin"), person(2, RANK="Captain"), person(3))
    made.registered(1)
    return made


@pytest.fixture
def springfield(db: None) -> Springfield:
    """An agency with an administrator, and two officers."""
    return build_two_officers()


def send(client: Client, file: bytes, *, do: str = "preview", name: str = "roster.csv", **more: str) -> str:
    """Sends the file; gives the address of the import that comes of it."""
    sent = {"mode": "update", "do": do, "file": SimpleUploadedFile(name, file), **more}
    return client.post(PAGE, sent).headers["Location"]


def preview(client: Client, *rows: cast.Row, **more: str) -> str:
    """Sends the rows to be previewed; gives the address of the plan."""
    return send(client, cast.file(rows), **more)


def read_page(client: Client, address: str) -> str:
    """What a page says."""
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def tiles(client: Client, address: str) -> dict[str, int]:
    """What the tiles of rows count."""
    found = re.findall(r'id="show-(\w+)".*?<strong>([\d,]+)</strong>', read_page(client, address))
    return {name: int(number.replace(",", "")) for name, number in found if name != "mailed"}


def correct_cells(client: Client, address: str, *cells: tuple[int, str, str, str]) -> str:
    """Sends the form of cells, each with its row, heading, what it was and what it is now; gives the address led to."""
    sent = {f"cell-{row}-{heading}": now for row, heading, _, now in cells}
    sent |= {f"was-{row}-{heading}": was for row, heading, was, _ in cells}
    answer = client.post(f"{address}/recheck", sent)
    assert answer.status_code == 302
    return answer.headers["Location"]


# The rows


def test_the_tiles_count_and_filter(chief: Client) -> None:
    address = preview(
        chief, person(1, ROLE="Admin"), person(2, RANK="Sergeant"), person(7), person(8, ROLE="Nobody"), person(9, RANK="x")
    )  # fmt: skip
    assert tiles(chief, address) == {"errored": 2, "added": 1, "updated": 1, "unchanged": 1}
    assert '<th scope="row">5</th>' in read_page(chief, address)
    updated = read_page(chief, f"{address}?show=updated")
    assert '<del class="m-was">Captain</del>' in updated and '<ins class="m-becomes">Sergeant</ins>' in updated
    assert "user7@agency.example" in read_page(chief, f"{address}?show=added")
    assert "E-1</span>" in read_page(chief, f"{address}?show=unchanged")


def test_a_plan_that_changes_nothing_says_so_and_is_not_offered_to_be_applied(chief: Client) -> None:
    page = read_page(chief, preview(chief, person(1, ROLE="Admin"), person(8, ROLE="Nobody")))
    assert "Nothing will change. 1 row has problems and will be skipped." in page and ">Apply</button>" not in page
    assert ">Apply</button>" in read_page(chief, preview(chief, person(2, RANK="Sergeant")))
    assert ">Apply</button>" in read_page(chief, preview(chief, person(1, ROLE="Admin"), mode="sync"))


def test_the_plan_shows_the_deactivated_and_the_protected_users(springfield: Springfield, chief: Client) -> None:
    models.User.objects.filter(external_id="E-3").update(exempt=True)
    address = preview(chief, person(1, ROLE="Admin"), person(7), mode="sync")
    assert tiles(chief, address) == {"added": 1, "deactivated": 1, "protected": 1, "unchanged": 1}
    assert "First 2 Last 2" in read_page(chief, f"{address}?show=deactivated")
    assert "exempt from synchronize" in read_page(chief, f"{address}?show=protected")
    page = read_page(chief, address)
    assert "1 user will be added. 1 user will lose access." in page and "1 invitation will be sent." in page
    assert "<strong>1</strong> <span>will get email</span>" in page


def test_a_file_of_a_source_marks_its_users(springfield: Springfield, chief: Client) -> None:
    """S9."""
    address = preview(chief, person(1, ROLE="Admin"), source="HR-Sworn")
    page = read_page(chief, address)
    assert (
        "<dd>hr-sworn</dd>" in page
        and "1 user will be marked with the source of the file" in page
        and ">Apply</button>" in page
    )


def test_a_plan_of_many_rows_comes_page_by_page_and_can_be_searched(chief: Client) -> None:
    address = preview(chief, *cast.people(*range(100, 230)))
    first, last = (read_page(chief, f"{address}?show=added&page={n}").partition('id="plan"')[2] for n in (1, 3))
    assert first.count("<tr>") == 51 and "Page 1 of 3" in first and "Previous" not in first
    assert last.count("<tr>") == 31 and "Page 3 of 3" in last and ">Next" not in last
    assert "E-229" in read_page(chief, f"{address}?show=added&page=99999")
    for odd in ("0", "-1", "x", "9" * 30, "²"):
        assert "Page 1 of 3" in read_page(chief, f"{address}?show=added&page={odd}")
    found = read_page(chief, f"{address}?show=added&q=USER22").partition('id="plan"')[2]
    assert found.count("<tr>") == 11
    assert "No rows here contain “%nobody_”" in read_page(chief, f"{address}?show=added&q=%25nobody_")
    assert "No rows." in read_page(chief, f"{address}?show=protected")


def test_a_part_of_the_page_is_given_alone(chief: Client) -> None:
    address = preview(chief, person(7))
    part = chief.get(f"{address}?show=added", headers=HTMX).content.decode()
    assert part.lstrip().startswith('<div id="plan"') and "<html" not in part
    signed_out = Client().get(f"{address}?show=added", headers=HTMX | {"HX-Current-URL": f"http://testserver{address}"})
    assert signed_out.headers["HX-Redirect"] == f"/springfield/sign-in?next={address}"


def test_notes_are_shown_with_the_rows_that_have_them(chief: Client) -> None:
    address = preview(chief, person(7, SUPERVISOR_EMAIL="nobody@agency.example"))
    assert tiles(chief, address) == {"added": 1, "noted": 1}
    assert "No user has the email address “nobody@agency.example”" in read_page(chief, f"{address}?show=noted")


@pytest.mark.parametrize("show", ["added", "updated", "deactivated", "errored", "noted", "protected"])
def test_an_import_whose_plan_is_kept_no_longer_is_shown_from_the_trail(
    springfield: Springfield, chief: Client, show: str
) -> None:
    models.User.objects.filter(external_id="E-3").update(exempt=True)
    rows = [person(1, ROLE="Admin"), person(7, SUPERVISOR_EMAIL="x@agency.example"), person(9, ROLE="Nobody")]
    address = preview(chief, *rows, person(4, RANK="Captain"), mode="sync", do="upload")
    record = models.Import.objects.get(state="applied", mode="sync")
    before = plan_pages.read_page(record, show)
    shutil.rmtree(plan_files.find_path(record.number, "rows").parent)
    after = plan_pages.read_page(record, show)
    if show == "protected":
        assert after.gone and "no longer kept" in read_page(chief, f"{address}?show=protected")
        return
    assert [(line.row, line.external_id) for line in after.lines] == [
        (one.row, one.external_id) for one in before.lines
    ]
    if show == "errored":
        assert after.lines[0].problems == [found for cell in before.lines[0].cells for found in cell.problems]
    if show in {"added", "updated"}:
        assert [list(line.changes) for line in after.lines] == [list(line.changes) for line in before.lines]
    assert read_page(chief, f"{address}?show={show}")


# Mending in place


def test_cells_are_corrected_until_none_is_wrong_and_the_file_stays_as_it_was(
    springfield: Springfield, chief: Client
) -> None:
    file = cast.file([person(7, ROLE="Oficer"), person(8, EMAIL="x"), person(9)])
    first = send(chief, file)
    assert tiles(chief, first) == {"errored": 2, "added": 1}
    assert '<option value="Oficer" selected>' in read_page(chief, first)
    second = correct_cells(chief, first, (2, "ROLE", "Oficer", "Officer"), (3, "EMAIL", "x", "x"))
    assert second.endswith("?show=errored")
    second = second.partition("?")[0]
    assert tiles(chief, second) == {"errored": 1, "added": 2}
    third = correct_cells(chief, second, (3, "EMAIL", "x", "user8@agency.example")).partition("?")[0]
    assert tiles(chief, f"{third}?show=added") == {"added": 3}
    assert "2 cells fixed here" in read_page(chief, third)
    assert import_files.read_content(third.rpartition("/")[2]) == file
    done = chief.post(third).headers["Location"]
    assert "<h1>Applied</h1>" in read_page(chief, done)
    assert cast.user(springfield.agency, 7).role.name == "Officer"
    assert cast.user(springfield.agency, 8).email == "user8@agency.example"


def test_corrections_are_in_the_results_file_and_the_errors_file(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="x"), person(8, ROLE="y"))
    again = correct_cells(chief, address, (2, "ROLE", "x", "Officer")).partition("?")[0]
    results = chief.get(f"{again}/results").content.decode("utf-8-sig")
    assert [row["ROLE"] for row in csv.DictReader(io.StringIO(results))] == ["Officer", "y"]


def test_a_row_of_too_few_cells_is_corrected_as_a_whole(springfield: Springfield, chief: Client) -> None:
    file = cast.file([person(7), person(8)]).splitlines()
    file[1] = b",".join(file[1].split(b",")[:3])
    address = send(chief, b"\n".join(file))
    page = read_page(chief, address)
    assert page.count('name="cell-2-') == 8 and "Cells in the row: 3." in page
    cells = [(2, heading, "", value) for heading, value in person(7).items()]
    again = correct_cells(chief, address, *cells)
    assert tiles(chief, f"{again.partition('?')[0]}?show=added") == {"added": 2}


def test_a_form_in_which_nothing_was_changed_makes_no_plan(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="x"))
    before = models.Import.objects.count()
    back = correct_cells(chief, address, (2, "ROLE", "x", "x"))
    assert back == f"{address}?show=errored"
    assert "You have not changed any cells" in read_page(chief, back)
    assert models.Import.objects.count() == before


def test_the_same_cells_sent_twice_make_one_plan(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="x"))
    assert len({correct_cells(chief, address, (2, "ROLE", "x", "Officer")) for _ in range(2)}) == 1


def test_what_no_form_of_ours_sends_is_left(chief: Client) -> None:
    address = preview(chief, person(7, ROLE="x"))
    odd = {"cell-2-X": "a", "cell-x-ROLE": "a", "cell-": "a", "cell-99999999999-ROLE": "a", "was-2-ROLE": "a", "x": "y"}
    assert chief.post(f"{address}/recheck", odd).headers["Location"] == f"{address}?show=errored"
    assert correct_cells(chief, address, (999, "ROLE", "", "Officer")).partition("?")[0] == address


# Decisions on rows that are errors otherwise (C12, M12)


def decide(client: Client, address: str, value: str, **cells: str) -> str:
    """Presses a button of a decision; gives the address led to."""
    answer = client.post(f"{address}/recheck", {"decide": value, **cells})
    assert answer.status_code == 302
    return answer.headers["Location"].partition("?")[0]


def damaged(number: int) -> cast.Row:
    """A row whose badge was turned into a date."""
    return person(number, BADGE_NUMBER=f"{number}-Mar")


NORA = person(
    3, FIRST_NAME="Nora", LAST_NAME="Nilsen", EMAIL="nora@agency.example", USERNAME="nora", BADGE_NUMBER="B-48"
)


def test_a_damaged_cell_is_kept_as_written_and_then_all_such_cells_are(springfield: Springfield, chief: Client) -> None:
    # C12
    first = preview(chief, damaged(2), damaged(3))
    page = read_page(chief, first)
    assert "where the user has “B-2”" in page
    assert 'value="looks-damaged 2 BADGE_NUMBER">Keep as written' in page and "Keep all of these as written" in page
    bar = page.partition('<div class="m-bar"')[2].partition("</form>")[0]
    assert "Recheck with my fixes" in bar and "Keep all" not in bar, "the bar that stays in view is small"
    second = decide(chief, first, "looks-damaged 2 BADGE_NUMBER")
    assert tiles(chief, second) == {"errored": 1, "updated": 1}
    assert "1 cell is kept as written, although it looks damaged." in read_page(chief, second)
    third = decide(chief, second, "looks-damaged all")
    assert tiles(chief, third) == {"updated": 2}
    assert "These users will be updated." in read_page(chief, f"{third}?show=errored"), "no row has a problem any more"
    assert "All cells that look damaged are kept as written." in read_page(chief, third)
    done = chief.post(third).headers["Location"]
    assert "<h1>Applied</h1>" in read_page(chief, done)
    assert cast.user(springfield.agency, 3).badge_number == "3-Mar"


def test_a_decision_takes_the_corrected_cells_with_it(chief: Client) -> None:
    first = preview(chief, damaged(2), person(3, ROLE="x"))
    cells = {"cell-3-ROLE": "Officer", "was-3-ROLE": "x"}
    assert tiles(chief, decide(chief, first, "looks-damaged 2 BADGE_NUMBER", **cells)) == {"updated": 1, "unchanged": 1}


@pytest.mark.parametrize(("row", "who"), [("2", "In 1 row, it is another person."), ("all", "it is another person.")])
def test_another_person_is_applied_and_invited(springfield: Springfield, chief: Client, row: str, who: str) -> None:
    # M12
    first = preview(chief, NORA)
    page = read_page(chief, first)
    assert (
        "The account of First 3 Last 3 (user3@agency.example, user.3, badge B-3) would become that of Nora Nilsen"
        in page
    )
    assert "All are the same person" in page and "All are another person" in page
    second = decide(chief, first, f"identity-change {row} other")
    page = read_page(chief, second)
    assert who in page and "All access of the former person ends." in read_page(chief, f"{second}?show=noted")
    done = chief.post(second).headers["Location"]
    assert "<h1>Applied</h1>" in read_page(chief, done)
    assert models.Event.objects.filter(kind="user.replaced").count() == 1
    assert "1 user with an identity change" in history(chief)


def test_the_same_person_is_applied_as_an_update(springfield: Springfield, chief: Client) -> None:
    second = decide(chief, preview(chief, NORA), "identity-change 2 same")
    assert tiles(chief, second)["updated"] == 1
    assert "In 1 row, it is the same person." in read_page(chief, second)


@pytest.mark.parametrize(
    "value",
    ["", "looks-damaged", "looks-damaged 2 X", "looks-damaged all LOCATION", "identity-change 2", "identity-change all",
     "identity-change x same", "identity-change 99999999999 same", "taken all x", "taken 2 EMAIL", "x y z w"],
)  # fmt: skip
def test_a_decision_that_no_button_has_is_left(chief: Client, value: str) -> None:
    address = preview(chief, NORA)
    assert decide(chief, address, value) == address


def test_a_badge_of_an_inactive_user_is_released_and_then_all_such_badges_are(
    springfield: Springfield, chief: Client
) -> None:
    # M13
    springfield.imported(person(40, STATUS="Inactive"), person(41, STATUS="Inactive"))
    takes = [person(70, BADGE_NUMBER="B-40"), person(71, BADGE_NUMBER="B-41"), person(72, BADGE_NUMBER="B-3")]
    first = preview(chief, *takes)
    page = read_page(chief, first)
    assert page.count("Release it") == 2 and "Give all of these badges to users of the file" in page
    second = decide(chief, first, "taken 2 BADGE_NUMBER")
    assert tiles(chief, second) == {"errored": 2, "added": 1, "noted": 1}
    assert "1 badge of an inactive user is given to a user of the file." in read_page(chief, second)
    third = decide(chief, second, "taken all")
    assert tiles(chief, third) == {"errored": 1, "added": 2, "noted": 2}
    assert "Badges of inactive users are given to users of the file." in read_page(chief, third)
    chief.post(third)
    assert cast.user(springfield.agency, 40).badge_number.startswith("B-40 (until ")


def test_the_form_releases_badges_as_the_agency_does_unless_it_is_changed(
    springfield: Springfield, chief: Client
) -> None:
    # M13
    assert Options.of_json(_options_of(chief)).release_badges is None
    assert Options.of_json(_options_of(chief, releases="on")).release_badges is True
    models.Agency.objects.update(release_badges=True)
    assert Options.of_json(_options_of(chief, releases="on")).release_badges is None
    assert Options.of_json(_options_of(chief)).release_badges is False


def _options_of(client: Client, **fields: str) -> dict[str, object]:
    """The options of a preview that is sent with these fields."""
    send(client, cast.file([person(7)]), **fields)
    options: dict[str, object] = models.Import.objects.latest("pk").options
    return options


def test_rows_without_such_a_problem_offer_no_decision(chief: Client) -> None:
    assert 'name="decide"' not in read_page(chief, preview(chief, person(7, ROLE="x")))


# Headings and reading


def rename_columns(file: bytes) -> bytes:
    return file.replace(b"BADGE_NUMBER", b"Badge No").replace(b"FIRST_NAME", b"Given")


def test_headings_are_mapped_from_a_list_with_values_and_remembered_once_applied(
    springfield: Springfield, chief: Client
) -> None:
    file = rename_columns(cast.file([person(7), person(8), person(9), person(10)]))
    address = send(chief, file)
    assert address.endswith("/match")
    page = read_page(chief, address)
    assert '<span class="m-sample">B-7</span><span class="m-sample">B-8</span>' in page and "First 9</span>" in page
    assert page.count('<option value="BADGE_NUMBER"') == 2 and '<option value="EMAIL">' not in page
    # F4: the most likely column is preselected.
    assert page.count("selected>BADGE_NUMBER") == 1 and page.count("selected>FIRST_NAME") == 1
    answer = chief.post(address, {"map-0": "BADGE_NUMBER", "map-1": "FIRST_NAME"})
    plan = answer.headers["Location"]
    assert tiles(chief, plan) == {"added": 4}
    assert "selected>BADGE_NUMBER" in read_page(chief, f"{plan}/match")
    chief.post(plan)
    springfield.agency.refresh_from_db()
    assert springfield.agency.mapping == {"Badge No": "BADGE_NUMBER", "Given": "FIRST_NAME"}
    assert tiles(chief, send(chief, rename_columns(cast.file([person(11)])))) == {"added": 1}


def test_a_column_that_there_is_not_is_no_choice(chief: Client) -> None:
    address = send(chief, rename_columns(cast.file([person(7)])))
    answer = chief.post(address, {"map-0": "SHOE_SIZE", "map-1": ""})
    assert answer.status_code == 422
    assert "Select a valid choice" in answer.content.decode()


def test_a_file_is_read_in_another_encoding(springfield: Springfield, chief: Client) -> None:
    address = send(chief, cast.file([person(7, FIRST_NAME="Łukasz")]).decode().encode("windows-1250"))
    assert "Łukasz" not in read_page(chief, address)
    again = chief.post(f"{address}/read", {"encoding": "windows-1250"}).headers["Location"]
    assert "Łukasz" in read_page(chief, again)
    assert chief.post(f"{address}/read", {"encoding": "nonsense"}).status_code == 422


def test_a_heading_is_read_as_two_columns_or_left_out_and_back_again(springfield: Springfield, chief: Client) -> None:
    """F5."""
    rows = [person(number, PHONE="45") for number in (7, 8, 9)]
    file = cast.file(rows).replace(b"USERNAME", b"Desk")
    address = send(chief, file)
    page = read_page(chief, address)
    assert '<option value="EMAIL,USERNAME" selected>EMAIL and USERNAME</option>' in page
    labels = re.findall(r'<label[^>]*for="id_map-(known-\d+)"[^>]*>Our column for ([A-Z_]+)', page)
    fields = {name: place for place, name in labels}
    sent = {"map-0": "", f"map-{fields['EMAIL']}": "EMAIL,USERNAME", f"map-{fields['PHONE']}": "-"}
    plan = chief.post(address, sent).headers["Location"]
    assert tiles(chief, plan) == {"added": 3}
    page = read_page(chief, plan)
    assert "EMAIL → EMAIL,USERNAME" in page and "PHONE → not read" in page
    page = read_page(chief, f"{plan}/match")
    assert page.count('value="-" selected') == 1 and page.count("selected>EMAIL and USERNAME") == 1
    chief.post(plan)
    springfield.agency.refresh_from_db()
    assert springfield.agency.mapping == {"Desk": "", "EMAIL": "EMAIL,USERNAME", "PHONE": ""}
    again = send(chief, cast.file(rows))
    back = chief.post(f"{again}/match").headers["Location"]
    options = Options.of_json(models.Import.objects.get(number=back.rpartition("/")[2]).options)
    assert options.mapping == {"PHONE": "PHONE"}


def test_the_header_row_and_the_number_of_rows_are_chosen_on_the_page(chief: Client) -> None:
    """F11, F12."""
    file = b"Roster\n" + cast.file([person(7)]).replace(b"ROLE", b"Rights")
    address = send(chief, file, expect_rows="1").removesuffix("/match")
    again = chief.post(f"{address}/read", {"header_row": "2"}).headers["Location"].removesuffix("/match")
    page = read_page(chief, again)
    assert "<dt>Header row</dt><dd>2</dd>" in page and "<dt>Expected rows</dt><dd>1</dd>" in page
    wrong = chief.post(f"{address}/read", {"header_row": "0"})
    assert wrong.status_code == 422 and "Enter the number of a row, such as 3." in wrong.content.decode()
    assert "The file has 1 data rows, not 2 as expected." in read_page(
        chief, send(chief, cast.file([person(7)]), expect_rows="2")
    )


def test_wrong_options_of_a_file_are_shown_with_what_was_typed(chief: Client) -> None:
    sent = {"mode": "sync", "do": "preview", "expect_rows": "-1", "source": "HR-Sworn"}
    page = chief.post("/springfield/users/import", sent).content.decode()
    assert '<details class="m-more" open>' in page and "Enter a whole number, such as 1200." in page
    assert 'value="-1"' in page and 'value="HR-Sworn"' in page


def test_a_plan_whose_file_is_kept_no_longer_cannot_be_made_again(
    chief: Client, settings: Settings, tmp_path: Path
) -> None:
    address = send(chief, rename_columns(cast.file([person(7)]))).removesuffix("/match")
    number = address.rpartition("/")[2]
    (tmp_path / "files" / number).unlink()
    assert chief.get(f"{address}/results").headers["Location"] == address
    for name, sent in (("read", {"encoding": ""}), ("match", {"map-0": "BADGE_NUMBER", "map-1": "FIRST_NAME"})):
        chief.post(f"{address}/{name}", sent)
        assert "no longer kept" in read_page(chief, address)
    shutil.rmtree(plan_files.find_path(number, "rows").parent)
    chief.post(f"{address}/match", {"map-0": ""})
    assert "no longer kept" in read_page(chief, address)


# Doing it


def test_upload_does_it_at_once(springfield: Springfield, chief: Client) -> None:
    done = preview(chief, person(7), person(8, ROLE="x"), do="upload")
    page = read_page(chief, done)
    assert "<h1>Applied</h1>" in page and "Upload another file" in page
    assert tiles(chief, done) == {"errored": 1, "added": 1}
    assert cast.user(springfield.agency, 7).active


def test_strict_changes_nothing_if_a_row_has_a_problem(springfield: Springfield, chief: Client) -> None:
    done = preview(chief, person(7), person(8, ROLE="x"), do="upload", strict="on")
    assert "Refused: nothing has changed" in read_page(chief, done)
    assert not models.User.objects.filter(external_id="E-7").exists()


def test_no_mail_is_sent_if_that_was_asked_for(chief: Client) -> None:
    preview(chief, person(7), do="upload", quiet="on")
    assert not models.Mail.objects.filter(user__external_id="E-7").exists()
    preview(chief, person(8), do="upload")
    assert models.Mail.objects.filter(user__external_id="E-8").count() == 1


def test_a_plan_says_who_gets_which_email_and_can_be_applied_without(springfield: Springfield, chief: Client) -> None:
    """Rule D8."""
    springfield.registered(2)
    address = preview(chief, person(2, STATUS="Inactive"), person(7))
    page = read_page(chief, address)
    assert "1 invitation will be sent. 1 notice of a deactivation will be sent." in page and "Send no emails" in page
    listed = read_page(chief, f"{address}?show=mailed")
    assert "Invitation, to user7@agency.example" in listed
    assert "Notice: deactivated, to user2@agency.example" in listed
    assert "<strong>First 7 Last 7</strong>" in listed, "the name of a user who is new"
    assert "user7" not in read_page(chief, f"{address}?show=mailed&q=user2")
    before = models.Mail.objects.count()
    done = read_page(chief, chief.post(address, {"quiet": "yes"}).headers["Location"])
    assert "<h1>Applied</h1>" in done and "No email was sent." in done
    assert models.Mail.objects.count() == before
    again = chief.post(preview(chief, person(8))).headers["Location"]
    assert "1 invitation was sent." in read_page(chief, again) and models.Mail.objects.count() == before + 1
    page = read_page(chief, preview(chief, person(3, LAST_NAME="New")))
    assert "No email will be sent." in page


def test_a_plan_that_was_applied_leads_to_the_import_that_did_it(chief: Client) -> None:
    """Rule A4."""
    plan = preview(chief, person(7))
    done = chief.post(plan).headers["Location"]
    assert chief.post(plan).headers["Location"] == done
    page = read_page(chief, plan)
    assert "was applied as import" in page and f'href="{done}"' in page and ">Apply</button>" not in page
    assert ">Applied</a>" in history(chief, "?state=previewed")


def test_a_plan_is_discarded_by_a_button(chief: Client) -> None:
    """Rule A4."""
    plan = preview(chief, person(7))
    assert ">Discard</button>" in read_page(chief, plan)
    assert chief.post(f"{plan}/discard").headers["Location"] == plan
    page = read_page(chief, plan)
    assert "The preview was discarded." in page and "was discarded. It cannot be applied." in page
    assert ">Apply</button>" not in page and ">Discard</button>" not in page
    chief.post(f"{plan}/discard")
    assert "no preview that can be applied" in read_page(chief, plan)
    chief.post(plan)
    assert "was discarded. Nothing was changed." in read_page(chief, plan)
    assert not models.User.objects.filter(external_id="E-7").exists()
    assert chief.get(f"{plan}/discard").headers["Location"] == plan


def test_an_import_is_undone_by_one_of_its_own_that_is_seen_first(springfield: Springfield, chief: Client) -> None:
    done = preview(chief, person(7), person(2, RANK="Sergeant"), do="upload")
    plan = chief.post(f"{done}/undo").headers["Location"]
    page = read_page(chief, plan)
    assert "Preview: nothing has changed yet" in page and "Undo of an import" in page
    assert '<del class="m-was">Sergeant</del>' in read_page(chief, f"{plan}?show=updated")
    assert cast.user(springfield.agency, 7).active
    undone = chief.post(plan).headers["Location"]
    assert "<h1>Applied</h1>" in read_page(chief, undone)
    assert not cast.user(springfield.agency, 7).active
    assert cast.user(springfield.agency, 2).rank.name == "Captain"  # type: ignore[union-attr]
    back = read_page(chief, done)
    assert "This import was undone" in back and ">Undo</button>" not in back


def test_only_what_was_applied_can_be_undone(chief: Client) -> None:
    plan = preview(chief, person(7))
    assert chief.post(f"{plan}/undo").headers["Location"] == plan
    assert "nothing to undo" in read_page(chief, plan)


def test_only_who_may_synchronize_can_undo_a_synchronize_import(springfield: Springfield, chief: Client) -> None:
    models.Role.objects.filter(agency=springfield.agency, name="Officer").update(permissions=["users.import"])
    springfield.registered(2)
    done = preview(chief, person(1, ROLE="Admin"), person(2, RANK="Captain"), mode="sync", do="upload")
    assert ">Undo</button>" in read_page(chief, done) and not cast.user(springfield.agency, 3).active
    other = Client()
    sign_in(other, "user.2")
    assert ">Undo</button>" not in read_page(other, done)
    answer = other.post(f"{done}/undo")
    assert answer.status_code == 403 and "Import users from a file: synchronize" in answer.content.decode()
    assert models.Import.objects.filter(kind=models.ImportKind.UNDO).count() == 0


def test_an_undo_has_no_file_to_correct_or_to_read(chief: Client) -> None:
    done = preview(chief, person(7), do="upload")
    plan = chief.post(f"{done}/undo", {"once": "\0"}).headers["Location"]
    assert chief.post(f"{plan}/recheck", {"cell-2-ROLE": "x"}).status_code == 404
    assert chief.post(f"{plan}/read", {"encoding": ""}).status_code == 404


def test_after_a_quarter_of_an_hour_undoing_asks_to_sign_in_again(chief: Client) -> None:
    done = preview(chief, person(7), do="upload")
    age_session(chief, 16)
    assert "/sign-in/again?" in chief.post(f"{done}/undo").headers["Location"]


# While it waits and runs


@pytest.fixture
def nobody_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker takes up what is asked for."""
    monkeypatch.setattr(queue, "wait", lambda record, _: record)
    # On PostgreSQL signs of life are told beside the transaction of the test that they came from, and last a while.
    monkeypatch.setattr(heartbeats, "list_heartbeats", list)


def test_a_plan_is_kept_as_long_as_its_file(chief: Client, settings: Settings) -> None:
    first = settings.MUSTER_HOME / "plans" / preview(chief, person(7)).rpartition("/")[2]
    os.utime(first, (0, 0))
    assert first.exists()
    preview(chief, person(8))
    assert not first.exists()


def test_an_import_that_waits_for_a_worker_says_so_and_can_be_cancelled(chief: Client, nobody_at_work: None) -> None:
    address = preview(chief, person(7), do="upload")
    page = read_page(chief, address)
    assert "Waiting to start" in page and "No worker is running" in page
    part = chief.get(f"{address}?progress", headers=HTMX).content.decode()
    assert part.lstrip().startswith('<div id="progress"')
    assert chief.post(f"{address}/cancel").headers["Location"] == address
    assert "Canceled: nothing has changed" in read_page(chief, address)
    assert chief.get(f"{address}?progress", headers=HTMX).headers["HX-Refresh"] == "true"
    assert not models.User.objects.filter(external_id="E-7").exists()


@pytest.mark.parametrize(
    ("standing", "sentence"),
    [
        (
            ImportStatus("waiting", ahead=EarlierImport("01X", "E-5")),
            "Waiting for import 01X by E-5, which comes first.",
        ),
        (
            ImportStatus("waiting", ahead=EarlierImport("01X", "")),
            "Waiting for import 01X by the system, which comes first.",
        ),
        (ImportStatus("waiting"), "Starting."),
        (ImportStatus("running", "writing", 1_500, 20_000), "1,500 of 20,000 users"),
        (ImportStatus("running", "planning", stopping=True), "The import was asked to stop"),
    ],
)
def test_how_far_an_import_is_stands_on_its_page(
    chief: Client, nobody_at_work: None, monkeypatch: pytest.MonkeyPatch, standing: ImportStatus, sentence: str
) -> None:
    address = preview(chief, person(7))
    monkeypatch.setattr(queue, "get_status", lambda _: standing)
    assert sentence in read_page(chief, address)


# Files


def test_the_example_file_comes_in_two_forms(chief: Client) -> None:
    as_csv, as_xlsx = (chief.get(f"{PAGE}/example.{form}") for form in ("csv", "xlsx"))
    assert as_csv.content.decode("utf-8-sig").startswith("EXTERNAL_ID,EMAIL")
    assert as_xlsx.content.startswith(b"PK")
    assert as_csv.headers["Content-Disposition"] == 'attachment; filename="example.csv"'
    assert chief.get(f"{PAGE}/example.pdf").status_code == 404


def test_the_errors_file_is_corrected_and_uploaded_unchanged(springfield: Springfield, chief: Client) -> None:
    done = preview(chief, person(7, ROLE="x"), person(8), do="upload")
    errors = chief.get(f"{done}/errors")
    assert errors.headers["Content-Disposition"] == 'attachment; filename="roster-errors.csv"'
    content = errors.content
    assert b"There is no role" in content and b"E-8" not in content
    again = send(chief, content.replace(b",x,", b",Officer,").replace(b",x\r", b",Officer\r"), do="upload")
    assert "<h1>Applied</h1>" in read_page(chief, again)
    assert cast.user(springfield.agency, 7).role.name == "Officer"


def test_the_workbook_of_the_errors_is_offered_first_and_comes_back_as_it_was(
    chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule A2."""
    done = preview(chief, person("007", ROLE="x"), person(8), do="upload")
    page = read_page(chief, done)
    assert page.index(f"{done}/errors?form=xlsx") < page.index(f'{done}/errors"')
    answer = chief.get(f"{done}/errors?form=xlsx")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="roster-errors.xlsx"'
    again = read_page(chief, send(chief, answer.content, name="errors.xlsx"))
    assert "E-007" in again and "There is no role" in again
    monkeypatch.setattr(formats, "MOST_IN_A_SHEET", 1)
    assert chief.get(f"{done}/results?form=xlsx").headers["Location"] == done
    assert "Download it as CSV" in read_page(chief, done)


def test_the_results_file_has_every_row_with_what_became_of_it(chief: Client) -> None:
    done = preview(chief, person(1, ROLE="Admin"), person(7), person(8, ROLE="x"), do="upload", name="nächte.csv")
    answer = chief.get(f"{done}/results")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["X_RESULT"] for row in rows] == ["unchanged", "added", "errored"]
    assert "filename*=utf-8''n%C3%A4chte-results.csv" in answer.headers["Content-Disposition"]


# History


def history(client: Client, query: str = "") -> str:
    return read_page(client, f"/springfield/imports/{query}")


def test_the_history_counts_every_harm_under_its_name(springfield: Springfield, chief: Client) -> None:
    """Law 0: who lost access by a row is counted too, and who gained a permission."""
    rows = (person(1, ROLE="Admin"), person(2, STATUS="Inactive"), person(7, ROLE="Admin"))
    preview(chief, *rows)
    assert "1 user will gain a permission" in history(chief, "?state=previewed")
    preview(chief, *rows, do="upload")
    page = history(chief)
    assert "1 user gained a permission, 1 invitation" in page
    for label, number in (("Added", 1), ("Updated", 1), ("Lose access", 1), ("Problems", 0)):
        assert f'data-label="{label}">{number}</td>' in page
    assert ">Web page<" in page


def test_the_history_shows_actor_time_and_result(springfield: Springfield, chief: Client) -> None:
    preview(chief, person(7))
    preview(chief, person(8), person(9, ROLE="x"), do="upload")
    page = history(chief)
    assert page.count("<tr>") == 4
    assert "First 1 Last 1" in page and "1 invitation" in page and 'data-label="Problems">1</td>' in page
    assert "System<br>" in page
    assert ">Preview</span>" in history(chief, "?state=previewed")


def test_the_history_comes_page_by_page(
    springfield: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musterbook.directory.imports import import_log as kept

    monkeypatch.setattr(kept, "PAGE", 2)
    for number in range(10, 13):
        preview(chief, person(number), do="upload")
    page = history(chief)
    assert page.count("<tr>") == 3
    earlier = re.search(r'href="(\?page=2[^"]+)"[^>]*>Next', page)
    assert earlier
    assert history(chief, earlier.group(1).replace("&amp;", "&")).count("<tr>") == 3


@pytest.mark.usefixtures("as_owner")
def test_an_agency_without_imports_sees_the_first_step(springfield: Springfield, chief: Client) -> None:
    models.Event.objects.update(of=None)
    models.Import.objects.all().delete()
    assert "There are no imports yet" in history(chief)
    assert "None" not in history(chief)


def test_a_user_who_may_import_but_not_synchronize_sees_why(springfield: Springfield, client: Client) -> None:
    models.Role.objects.filter(name="Officer").update(permissions=["users.import"])
    springfield.registered(2)
    sign_in(client, "user.2")
    assert "Your role does not allow this." in read_page(client, PAGE)


def test_options_without_corrections_are_stored_as_before_corrections_existed() -> None:
    assert "mended" not in Options().as_json()
    assert Options.of_json(Options(corrections={"2": {"ROLE": "x"}}).as_json()).corrections == {"2": {"ROLE": "x"}}


def test_every_kind_of_harm_has_a_tile_with_its_users_also_within_the_limits(chief: Client) -> None:
    """A1, law 0: who gains a permission or loses access is listed in the preview and after it is applied."""
    rows = (person(1, ROLE="Admin"), person(2, RANK="Captain", ROLE="Admin"), person(3, STATUS="Inactive"))
    plan = preview(chief, *rows)
    tiles = {"privileges": ("will gain a permission", "gained a permission", "E-2"),
             "deactivations": ("will lose access", "lost access", "E-3")}  # fmt: skip
    for kind, (before, _, who) in tiles.items():
        page = read_page(chief, f"{plan}?show={kind}")
        assert before in page
        assert who in page
    applied = chief.post(plan).headers["Location"]
    for kind, (_, after, who) in tiles.items():
        page = read_page(chief, f"{applied}?show={kind}")
        assert after in page and who in page


def test_the_users_of_a_harm_are_gone_with_the_plan(chief: Client) -> None:
    plan = preview(chief, person(1, ROLE="Admin"), person(2, RANK="Captain", ROLE="Admin"), person(3))
    shutil.rmtree(plan_files._root())
    assert "is no longer kept" in read_page(chief, f"{plan}?show=privileges")
