"""The pages of imports, in each of their states: without barriers, by keyboard alone, without scripts."""

import re

import pytest
from playwright.sync_api import Page, expect

from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database


@pytest.fixture
def chief(page: Page, springfield: Springfield) -> Page:
    """A window in which the administrator is signed in, at Import Users."""
    return signed_in(page, springfield)


def signed_in(page: Page, springfield: Springfield) -> Page:
    springfield.registered(1)
    enter(page, "user.1", "users/import")
    return page


def send(page: Page, content: bytes, button: str = "Preview", mode: str = "Add or update") -> None:
    page.get_by_label(mode).check()
    page.set_input_files("[name=file]", {"name": "roster.csv", "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_url("**/imports/**")


def test_choosing_a_file_has_no_barriers(chief: Page) -> None:
    chief.get_by_text("More options").click()
    assert barriers(chief) == []
    chief.get_by_role("button", name="Preview").click()
    expect(chief).to_have_title(re.compile("^Error: "))
    assert chief.locator(".m-summary").evaluate("one => one === document.activeElement")
    assert barriers(chief) == []


def test_the_menu_has_no_barriers_and_closes_by_escape(chief: Page) -> None:
    chief.set_viewport_size({"width": 1280, "height": 800})
    summary = chief.get_by_text("Admin", exact=True)
    summary.press("Enter")
    panel = chief.locator(".m-admin__panel")
    expect(panel).to_be_visible()
    assert barriers(chief) == []
    summary.press("Escape")
    expect(panel).to_be_hidden()
    summary.click()
    chief.locator("footer").click()
    expect(panel).to_be_hidden()


def test_a_plan_has_no_barriers_in_any_of_its_filters(chief: Page, springfield: Springfield) -> None:
    models.User.objects.filter(external_id="E-2").update(exempt=True)
    rows = [person(1, ROLE="Admin"), *cast.people(*range(10, 70)), person(3, LAST_NAME="New"), person(8, ROLE="x")]
    short = b"E-9,user9@agency.example\n"
    send(chief, cast.file([*rows, person(7, SUPERVISOR_EMAIL="x@agency.example")]) + short, mode="Synchronize")
    for name in ("errored", "added", "updated", "unchanged", "noted", "protected"):
        chief.locator(f"#show-{name}").click()
        expect(chief.locator(f"#show-{name}")).to_have_attribute("aria-current", "true")
        expect(chief).to_have_url(re.compile(f"show={name}$"))
        assert barriers(chief) == [], name
    chief.get_by_text("File options (encoding, delimiter, sheet)").click()
    assert barriers(chief) == []


def test_filters_and_pages_are_fetched_without_losing_the_place(chief: Page) -> None:
    send(chief, cast.file(cast.people(*range(100, 230))))
    chief.evaluate("window.untouched = true")
    chief.get_by_role("link", name="Next").click()
    expect(chief.get_by_text("Page 2 of 3")).to_be_visible()
    chief.get_by_label("Find in these rows").press_sequentially("user22")
    expect(chief.locator("#plan tbody tr")).to_have_count(10)
    assert chief.evaluate("document.activeElement.id") == "find"
    assert chief.evaluate("window.untouched")
    chief.go_back()
    expect(chief.get_by_text("Page 2 of 3")).to_be_visible()


def test_a_refused_file_has_no_barriers_and_its_headings_are_mapped(chief: Page) -> None:
    send(chief, cast.file([person(7)]).replace(b"BADGE_NUMBER", b"Badge No"))
    chief.get_by_role("link", name="Show the file's problems").click()
    expect(chief.get_by_role("heading", name="Refused: nothing has changed")).to_be_visible()
    assert barriers(chief) == []
    chief.get_by_role("link", name="Match columns and values").click()
    expect(chief.get_by_label("Our column for Badge No")).to_have_value("BADGE_NUMBER")
    assert barriers(chief) == []
    chief.get_by_role("button", name="Continue").click()
    expect(chief.get_by_role("heading", name="Preview: nothing has changed yet")).to_be_visible()


def test_a_held_import_has_no_barriers_and_takes_the_number(chief: Page, springfield: Springfield) -> None:
    models.Agency.objects.update(limits=[cast.allow(0)])
    send(chief, cast.file([person(1, ROLE="Admin")]), "Upload", mode="Synchronize")
    expect(chief.get_by_role("heading", name="On hold: nothing has changed")).to_be_visible()
    assert barriers(chief) == []
    chief.get_by_role("button", name="Apply").click()
    expect(chief).to_have_title(re.compile("^Error: "))
    assert barriers(chief) == []
    chief.get_by_label("Number of users who lose access").fill("1")
    chief.get_by_role("button", name="Apply").click()
    expect(chief.get_by_role("heading", name="Applied")).to_be_visible()
    assert barriers(chief) == []
    chief.get_by_role("button", name="Undo").click()
    expect(chief.get_by_role("heading", name="Preview: nothing has changed yet")).to_be_visible()
    assert barriers(chief) == []
    chief.goto("/springfield/imports/")
    assert barriers(chief) == []


def test_a_file_is_imported_by_keyboard_alone(chief: Page) -> None:
    chief.set_input_files("[name=file]", {"name": "a.csv", "mimeType": "text/csv", "buffer": cast.file([person(7)])})
    for _ in range(40):
        chief.keyboard.press("Tab")
        if chief.evaluate("document.activeElement.value") == "preview":
            break
    chief.keyboard.press("Enter")
    chief.wait_for_url("**/imports/*")
    for _ in range(40):
        chief.keyboard.press("Tab")
        if chief.evaluate("document.activeElement.textContent") == "Apply":
            break
    chief.keyboard.press("Enter")
    expect(chief.get_by_role("heading", name="Applied")).to_be_visible()


def test_a_file_can_be_dropped(chief: Page) -> None:
    chief.evaluate(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.csv", {type: "text/csv"}));
            const place = document.querySelector(".m-drop");
            for (const kind of ["dragover", "dragleave", "dragover", "drop"]) {
                place.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
            }
        }""",
        cast.file([person(7)]).decode(),
    )
    chief.get_by_role("button", name="Preview").click()
    expect(chief.get_by_text("dropped.csv").first).to_be_visible()


def test_without_scripts_a_file_is_previewed_corrected_and_applied(scriptless: Page, springfield: Springfield) -> None:
    page = signed_in(scriptless, springfield)
    send(page, cast.file([*cast.people(*range(100, 160)), person(7, ROLE="x")]))
    page.locator("#cell-62-ROLE").select_option("Officer")
    page.get_by_role("button", name="Recheck with my fixes").click()
    page.locator("#show-added").click()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    page.get_by_label("Find in these rows").fill("E-7")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#plan tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Applied")).to_be_visible()
