"""A morning's work: a roster of 2,000 with 40 broken rows, fixed on the page and by the errors file until none is left."""

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.cli.test_people import serving
from tests.databases import Home
from tests.web.test_journey import GOOD, OF, Springfield

pytestmark = pytest.mark.any_database

HEADINGS = (
    "EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME", "ROLE", "RANK",
    "EVIDENCE_GROUP_EXT_ID", "PHONE",
)  # fmt: skip
Row = dict[str, str]
ROWS, BROKEN = 2_000, 40
BYSTANDERS = 1
"""Row 1001 is right, and an error as long as others ask for its badge."""


def make_row(number: int) -> Row:
    """The row of somebody as it should be."""
    values = (
        f"{number:05}", f"user{number}@springfield.example", f"B{number:05}", f"First{number}", "O'Neill-Ødegård", "Active",
        f"user.{number}", "Officer", "Sergeant", "PATROL-1", "+12025550143",
    )  # fmt: skip
    return dict(zip(HEADINGS, values, strict=True))


KINDS: tuple[tuple[str, str], ...] = (
    ("ROLE", "Oficer"), ("RANK", "Seargent Major"), ("STATUS", "Gone"), ("FIRST_NAME", " "), ("EMAIL", "nobody at home"),
    ("PHONE", "555"), ("USERNAME", "zero\u200bwidth"), ("LAST_NAME", "x" * 256), ("EVIDENCE_GROUP_EXT_ID", "PATROL-9"),
    ("BADGE_NUMBER", "1.23457E+15"), ("EMAIL", "ann@springfield.example"), ("BADGE_NUMBER", "B01000"),
    ("EXTERNAL_ID", "#REF!"),
)  # fmt: skip
"""What is wrong with a row: a column and what stands in it. The address and the badge are somebody else's."""


def roster() -> tuple[list[Row], dict[int, tuple[str, str]]]:
    """The rows as HR sent them, and row number → the column that is wrong with what should stand there."""
    rows = [make_row(number) for number in range(1, ROWS + 1)]
    wrong: dict[int, tuple[str, str]] = {}
    for number in range(BROKEN):
        place = 11 + number * 47
        column, broken = KINDS[number % len(KINDS)]
        wrong[place + 2] = (column, rows[place][column])
        rows[place][column] = broken
    return rows, wrong


def write_csv(rows: list[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def send(page: Page, name: str, content: bytes, button: str) -> None:
    """Goes to Import Users by the menu, and sends a file."""
    page.get_by_role("navigation", name="Admin").get_by_text("Admin", exact=True).click()
    page.get_by_role("navigation", name="Admin").get_by_role("link", name="Import Users").first.click()
    page.get_by_label("Select file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name=button, exact=True).click()


def tile(page: Page, name: str) -> str:
    return page.locator(f"#show-{name} strong").inner_text()


def test_a_broken_roster_is_corrected_on_the_page_and_by_the_errors_file(
    browser: Browser, fresh_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    springfield = Springfield(fresh_home, tmp_path)
    springfield.imports("Active")
    rows, wrong = roster()
    with serving(fresh_home, named=monkeypatch):
        page = open_registered(browser, springfield)
        send(page, "roster.csv", write_csv(rows), "Preview")
        expect(page.get_by_role("heading", name="Preview: nothing has changed yet")).to_be_visible()
        assert tile(page, "added") == f"{ROWS - BROKEN - BYSTANDERS:,}"
        assert tile(page, "errored") == str(BROKEN + BYSTANDERS)
        correct_cells(page, dict(list(wrong.items())[:25]))
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_role("heading", name="Applied")).to_be_visible()
        assert tile(page, "added") == f"{ROWS - BROKEN + 25 - BYSTANDERS:,}"
        send(page, *corrected_errors(page, wrong), "Upload")
        expect(page.get_by_role("heading", name="Applied")).to_be_visible()
        assert tile(page, "added") == str(BROKEN - 25 + BYSTANDERS)
        assert page.locator("#show-errored").count() == 0
        # Nothing is left to do.
        send(page, "roster.csv", write_csv([make_row(number) for number in range(1, ROWS + 1)]), "Preview")
        expect(page.locator("#show-unchanged strong")).to_have_text(f"{ROWS:,}")
        expect(page.get_by_text("Nothing will change.")).to_be_visible()
        page.context.close()
    springfield.muster("audit", "verify")


def open_registered(browser: Browser, springfield: Springfield) -> Page:
    """A window in which the administrator has registered."""
    page = browser.new_context(accept_downloads=True).new_page()
    link = re.search(r"\S+/register/\S+", springfield.muster("invite", *OF, "E-1", "--print-link"))
    assert link
    page.goto(link.group())
    for label in ("Password", "Same password again"):
        page.get_by_label(label, exact=True).fill(GOOD)
    page.get_by_role("button", name="Register").click()
    return page


def correct_cells(page: Page, wrong: dict[int, tuple[str, str]]) -> None:
    """Types what is right into these cells, and has them checked."""
    for row, (column, right) in wrong.items():
        cell = page.locator(f"#cell-{row}-{column}")
        if cell.evaluate("one => one.tagName") == "SELECT":
            cell.select_option(right)
        else:
            cell.fill(right)
    page.get_by_role("button", name="Recheck with my fixes").click()
    expect(page.locator("#show-errored strong")).to_have_text(str(BROKEN - len(wrong) + BYSTANDERS))
    assert f"{len(wrong)} cells fixed here" in page.get_by_role("main").inner_text()


def corrected_errors(page: Page, wrong: dict[int, tuple[str, str]]) -> tuple[str, bytes]:
    """The errors file, fixed as in a spreadsheet: its name and content."""
    with page.expect_download() as coming:
        page.get_by_text("Download results or errors").click()
        page.get_by_role("link", name="errors", exact=True).click()
    content = Path(coming.value.path()).read_text("utf-8-sig")
    errors = list(csv.DictReader(io.StringIO(content, newline="")))
    assert len(errors) == BROKEN - 25 + BYSTANDERS
    for row in errors:
        column, right = wrong.get(int(row["X_ROW"]), ("X_RESULT", ""))
        row[column] = right
    return coming.value.suggested_filename, write_csv(errors)
