"""The rows of a plan as a workbench: fixes saved as they are typed, by keyboard, by several users, and never lost."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from musterbook.directory import models
from musterbook.directory.models import ImportDraft
from tests.accounts.conftest import GOOD, Springfield
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import at_localhost, enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database

WRONG = [person(n, ROLE="Oficer") for n in range(100, 170)]


@pytest.fixture
def chief(page: Page, springfield: Springfield) -> Page:
    """A window in which the administrator is signed in, at Import Users."""
    springfield.registered(1)
    enter(page, "user.1", "users/import")
    return page


def send(page: Page, *rows: cast.Row, mode: str = "Add or update") -> str:
    """Sends the rows to be previewed; gives the address of the plan."""
    page.get_by_label(mode).check()
    page.set_input_files("[name=file]", {"name": "a.csv", "mimeType": "text/csv", "buffer": cast.file(rows)})
    page.get_by_role("button", name="Preview", exact=True).click()
    page.wait_for_url("**/imports/*")
    return page.url


def count(page: Page, text: str) -> None:
    """The bar says how many fixes there are."""
    expect(page.locator("#fixes [role=status]")).to_have_text(text)


def use(page: Page, row: int, name: str) -> Locator:
    """The button of the nearest name in a cell of ROLE."""
    return page.locator(f"button[name=cell-{row}-ROLE][value={name}]")


ONE, TWO = "1 fix, not yet checked", "2 fixes, not yet checked"


def find(page: Page, text: str) -> None:
    """Look for a text in the rows."""
    page.get_by_label("Find in these rows").fill(text)
    page.keyboard.press("Enter")


NEXT: dict[str, Callable[[Page], object]] = {
    "tile": lambda page: page.locator("#show-added").click(),
    "page": lambda page: page.get_by_role("link", name="Next").click(),
    "find": lambda page: find(page, "E-169"),
    "link": lambda page: page.get_by_role("link", name="All Users").first.click(),
    "address": lambda page: page.goto("/springfield/"),
}
"""What is done after a fix."""


def test_a_fix_is_saved_whatever_is_done_next(chief: Page) -> None:
    address = send(chief, *WRONG, person(7))
    for number, (name, go) in enumerate(NEXT.items(), 1):
        one, two = (chief.locator(f"#cell-{2 * number + offset}-ROLE") for offset in (0, 1))
        one.select_option("Officer")
        two.select_option("Chief")
        go(chief)
        chief.wait_for_timeout(300)
        chief.goto(address)
        expect(one, name).to_have_value("Officer")
        expect(two, name).to_have_value("Chief")
        count(chief, f"{2 * number} fixes, not yet checked")


def test_a_text_is_saved_while_it_is_typed_and_when_the_page_is_left_at_once(chief: Page) -> None:
    address = send(chief, person(7, EMAIL="x"), person(8, EMAIL="y"))
    chief.locator("#cell-2-EMAIL").press("End")
    chief.locator("#cell-2-EMAIL").press_sequentially("@agency.example")
    count(chief, ONE)
    chief.locator("#cell-3-EMAIL").fill("why@agency.example")
    chief.goto("/springfield/")
    chief.goto(address)
    expect(chief.locator("#cell-2-EMAIL")).to_have_value("x@agency.example")
    expect(chief.locator("#cell-3-EMAIL")).to_have_value("why@agency.example")


def test_the_nearest_name_is_one_click_and_the_last_fix_is_undone(chief: Page) -> None:
    send(chief, person(7, ROLE="Oficer"), person(8, ROLE="Cheif"))
    use(chief, 2, "Officer").click()
    count(chief, ONE)
    expect(chief.locator("#cell-2-ROLE")).to_be_focused()
    use(chief, 3, "Chief").click()
    count(chief, TWO)
    assert barriers(chief) == []
    chief.get_by_role("button", name="Undo my last fix").click()
    expect(chief.locator("#fixes [role=status]")).to_have_text(f"ROLE in row 3 is “Cheif” again. {ONE}")
    expect(chief.locator("#cell-3-ROLE")).to_have_value("Cheif")
    expect(use(chief, 3, "Chief")).to_be_visible()


def test_fixes_are_planned_and_counted(chief: Page) -> None:
    send(chief, person(7, ROLE="Oficer"), person(8, ROLE="x"))
    expect(chief.locator("#fixes")).to_be_hidden()
    use(chief, 2, "Officer").click()
    chief.get_by_role("button", name="Recheck with my fixes").click()
    expect(chief.locator("#show-errored strong")).to_have_text("1")
    expect(chief.locator("#fixes")).to_be_hidden()


def test_apply_includes_the_fixes_that_change_nothing_else(chief: Page, springfield: Springfield) -> None:
    send(chief, person(7, ROLE="Oficer"), person(8, ROLE="x"), person(9))
    use(chief, 2, "Officer").click()
    chief.get_by_role("button", name="Apply").click()
    expect(chief.get_by_role("heading", name="Applied")).to_be_visible()
    expect(chief.get_by_text("1 fixed row is included.")).to_be_visible()
    assert cast.user(springfield.agency, 7).role.name == "Officer"
    assert not models.User.objects.filter(external_id="E-8").exists()


def test_apply_shows_the_plan_first_if_a_fix_is_wrong_or_changes_more(chief: Page, springfield: Springfield) -> None:
    send(chief, person(7, EMAIL="x"), person(8), person(9, BADGE_NUMBER="B-7"))
    chief.locator("#cell-2-EMAIL").fill("still wrong")
    chief.get_by_role("button", name="Apply").click()
    expect(chief.get_by_text("Nothing has been applied yet.")).to_be_visible()
    assert not models.User.objects.filter(external_id="E-8").exists()


def test_a_session_that_ends_loses_no_fix(chief: Page) -> None:
    send(chief, person(7, ROLE="Oficer"))
    chief.context.clear_cookies(name="muster_session")
    use(chief, 2, "Officer").click()
    expect(chief.get_by_text("Not saved: your session has ended.")).to_be_visible()
    address = chief.url
    chief.get_by_role("button", name="Sign in and save").click()
    chief.wait_for_url(re.compile("/sign-in"))
    chief.locator("[name=login]").fill("user.1")
    chief.locator("[name=password]").fill(GOOD)
    chief.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    chief.wait_for_url(lambda url: "sign-in" not in url)
    if chief.url.partition("?")[0] != address:  # the form is sent again by its user if it is not known who sent it
        chief.get_by_role("button", name="Continue").click()
        chief.wait_for_url(f"{address}*")
    expect(chief.locator("#cell-2-ROLE")).to_have_value("Officer")
    count(chief, ONE)


def test_the_first_wrong_row_is_on_the_first_screen(chief: Page) -> None:
    chief.set_viewport_size({"width": 1280, "height": 800})
    kinds = [
        ("ROLE", "Oficer"),
        ("EMAIL", "x"),
        ("STATUS", "Actve"),
        ("FIRST_NAME", ""),
        ("PHONE", "555"),
        ("RANK", "x"),
    ]
    send(chief, *(person(n, **dict([kinds[n % len(kinds)]])) for n in range(100, 160)), person(7))
    row = chief.locator("#row-2").bounding_box()
    assert row is not None and row["y"] + row["height"] <= 800


def test_two_users_do_not_replace_the_fixes_of_each_other_unseen(
    chief: Page, browser: Browser, live_server: LiveServer, springfield: Springfield
) -> None:
    models.Role.objects.filter(name="Officer").update(permissions=cast.IMPORTS)
    springfield.registered(2)
    address = send(chief, person(7, EMAIL="x"), person(8, EMAIL="y"))
    other = browser.new_context(base_url=at_localhost(live_server)).new_page()
    enter(other, "user.2")
    other.goto(address)
    chief.locator("#cell-2-EMAIL").fill("a@agency.example")
    count(chief, ONE)
    other.locator("#cell-2-EMAIL").fill("b@agency.example")
    expect(other.get_by_text("changed EMAIL in row 2 to “a@agency.example”")).to_be_visible()
    assert barriers(other) == []
    other.get_by_role("button", name="Use my text").click()
    expect(other.locator("#fixes [role=status]")).to_have_text(ONE)
    other.locator("#cell-3-EMAIL").fill("c@agency.example")
    count(other, TWO)
    chief.reload()
    expect(chief.locator("#cell-2-EMAIL")).to_have_value("b@agency.example")
    expect(chief.get_by_text("Fixed by First 2 Last 2, not yet checked. Was “x”.")).to_be_visible()
    other.context.close()


def test_the_keyboard_goes_from_wrong_cell_to_wrong_cell_over_pages(chief: Page) -> None:
    send(chief, *WRONG)
    chief.locator("#cell-2-ROLE").focus()
    chief.keyboard.press("Enter")
    expect(chief.locator("#cell-3-ROLE")).to_be_focused()
    chief.keyboard.press("Shift+Enter")
    expect(chief.locator("#cell-2-ROLE")).to_be_focused()
    chief.locator("#cell-51-ROLE").focus()
    chief.keyboard.press("Enter")
    expect(chief.locator("#cell-52-ROLE")).to_be_focused()
    expect(chief).to_have_url(re.compile("page=2"))
    chief.keyboard.press("Shift+Enter")
    expect(chief.locator("#cell-51-ROLE")).to_be_focused()
    chief.keyboard.press("Control+Enter")
    expect(chief.get_by_text("You have not changed any cells")).to_be_visible()


COVERED = """() => {
    const one = document.activeElement;
    const box = one.getBoundingClientRect();
    const points = [0.25, 0.5, 0.75].map((part) => [box.left + box.width / 2, box.top + box.height * part]);
    const at = ([x, y]) => document.elementFromPoint(x, y);
    const isSeen = (point) => one.contains(at(point)) || Boolean(at(point)?.contains(one));
    const isControl = one.matches("a, button, input, select, summary") && box.width > 1;
    return isControl && !points.every(isSeen) ? `${one.id || one.textContent} at ${box.top}` : "";
}"""


def test_what_has_the_focus_is_never_behind_the_bar(chief: Page) -> None:
    """WCAG 2.4.11."""
    rows = [person(n, **{("EMAIL", "ROLE", "PHONE")[n % 3]: "x"}) for n in range(100, 120)]
    address = send(chief, *rows)
    chief.locator("#fix .usa-select").first.select_option("Officer")
    for height in (256, 400, 600, 700, 800, 1000):
        chief.set_viewport_size({"width": 1280, "height": height})
        chief.goto(address)
        expect(chief.locator("#fixes")).to_be_visible()
        chief.locator(".m-sheet").focus()
        for key in ("Tab", "Shift+Tab"):
            for _ in range(60):
                chief.keyboard.press(key)
                assert chief.evaluate(COVERED) == "", (height, key)


def test_the_drafts_are_of_no_other_agency_and_end_with_the_plan(chief: Page, springfield: Springfield) -> None:
    address = send(chief, person(7, ROLE="Oficer"))
    use(chief, 2, "Officer").click()
    count(chief, ONE)
    assert ImportDraft.objects.get().of.agency == springfield.agency
    models.Import.objects.update(ended="discarded")
    chief.goto(address)
    expect(chief.locator("#fix .usa-select")).to_have_count(0)
