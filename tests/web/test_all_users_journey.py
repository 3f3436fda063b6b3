"""All Users in a real browser: searched while one types, filtered, sorted, paged; by keyboard, narrow, dark, without scripts."""

import pytest
from playwright.sync_api import Page, expect

from tests.accounts.conftest import Springfield
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database


def filled(springfield: Springfield) -> None:
    """Makes the agency have two pages of users, of whom the administrator has registered."""
    springfield.imported(*(person(number, RANK="Captain" if number % 2 else "Sergeant") for number in range(10, 70)))
    springfield.registered(1)


def test_users_are_found_filtered_sorted_and_paged(page: Page, springfield: Springfield) -> None:
    filled(springfield)
    enter(page, "user.1", "users/")
    rows, status = page.locator("#found tbody tr"), page.get_by_role("status")
    expect(status).to_have_text("1–50 of 63 users")
    expect(rows).to_have_count(50)
    assert barriers(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})

    page.get_by_role("link", name="Next").click()
    expect(rows).to_have_count(13)
    expect(status).to_have_text("51–63 of 63 users")
    page.get_by_role("link", name="Previous").click()
    expect(status).to_have_text("1–50 of 63 users")
    expect(page.get_by_role("link", name="First", exact=True)).to_have_count(0)
    page.go_back()
    expect(rows).to_have_count(13)
    page.get_by_role("link", name="First", exact=True).click()
    expect(rows).to_have_count(50)


def test_the_list_is_searched_while_one_types_and_filtered(page: Page, springfield: Springfield) -> None:
    filled(springfield)
    enter(page, "user.1", "users/")
    rows, status = page.locator("#found tbody tr"), page.get_by_role("status")
    search = page.get_by_role("searchbox")
    search.press_sequentially("b-4")
    expect(status).to_have_text("10 users")
    assert search.evaluate("box => box === document.activeElement") and "q=b-4" in page.url
    page.locator("#sort-name").click()
    expect(rows.first).to_contain_text("Last 4")
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)

    page.get_by_text("Advanced search").click()
    page.locator("#id_rank").select_option(label="Captain")
    expect(status).to_have_text("5 users")
    assert barriers(page) == []
    page.reload()
    expect(status).to_have_text("5 users")
    page.get_by_role("link", name="Rank: Captain").click()
    expect(status).to_have_text("10 users")
    page.goto("/springfield/users/?q=nobody+at+all")
    expect(page.locator("main")).to_contain_text("No users match")
    assert barriers(page) == []


def test_without_scripts_users_are_found_as_well(scriptless: Page, springfield: Springfield) -> None:
    page = scriptless
    filled(springfield)
    enter(page, "user.1", "users/")
    page.get_by_role("searchbox").fill("b-4")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("10 users")
    page.locator("#sort-name").click()
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)
    page.goto("/springfield/users/?supervisor=nobody%40nowhere.example")
    expect(page.locator(".usa-alert--error")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("0 users")
    expect(page.locator("main")).to_contain_text("A filter cannot be read, so no users are shown.")
