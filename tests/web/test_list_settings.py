"""What a user keeps of All Users: columns, density, page size, and saved filters; and what other users cannot do with it."""

import re
from urllib.parse import urlencode

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.directory import models
from musterbook.directory.users import counts, list_views, user_list
from tests.accounts.conftest import Springfield, signed_in
from tests.accounts.test_entrance import sign_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import people, person
from tests.web.conftest import enter
from tests.web.looks import barriers
from tests.web.test_all_users_journey import filled

pytestmark = pytest.mark.any_database
USERS = "/springfield/users/"
VIEW = f"{USERS}view"
FILTERS = f"{USERS}filters/"


@built_once
def make_agency() -> Springfield:
    """An agency with an administrator (1), an officer who may view users (2), and four more users."""
    made = Springfield(cast.agency())
    models.Role.objects.filter(agency=made.agency, name="Officer").update(permissions=["users.view"])
    made.imported(
        person(1, ROLE="Admin"), person(2), person(3, SUPERVISOR_EMAIL="user1@agency.example", LOCATION="Harbor"),
        *people(4, 5), person(6, STATUS="Inactive"),
    )  # fmt: skip
    made.registered(1)
    made.registered(2)
    return made


@pytest.fixture
def agency(db: None) -> Springfield:
    """That agency."""
    return make_agency()


@pytest.fixture
def chief(agency: Springfield, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    signed_in(client, "user.1")
    return client


def read(client: Client, query: str = "") -> str:
    return client.get(f"{USERS}{query}").content.decode()


def headings(page: str) -> list[str]:
    return [re.sub(r"<[^>]+>|[↑↓]", "", part).strip() for part in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page)]


def test_columns_density_and_page_size_are_kept_for_their_user(agency: Springfield, chief: Client) -> None:
    answer = chief.post(
        VIEW, {"column": ["supervisor", "location", "x"], "compact": "1", "size": "25", "here": "q=user"}
    )
    assert answer.headers["Location"] == f"{USERS}?q=user"
    page = read(chief)
    assert headings(page)[1:] == ["Name External ID", "Supervisor", "Location"] and "m-list--compact" in page
    assert f'<a href="/springfield/users/{agency.user(1).pk}/">First 1 Last 1</a>' in page and "Harbor" in page
    assert '<option value="25" selected>' in page
    other = Client()
    sign_in(other, "user.2")
    assert "Supervisor" not in headings(read(other)) and "m-list--compact" not in read(other)
    chief.post(VIEW, {"reset": "1"})
    assert headings(read(chief))[-1] == "Last sign-in"


@pytest.mark.parametrize(
    ("here", "location"),
    [
        ("", USERS), ("q=a&evil=1", f"{USERS}?q=a"), ("//evil.example", USERS), ("q=https://evil.example", None),
        ("chosen=1.2&status=Active&sort=email", f"{USERS}?status=Active&sort=email&chosen=1.2"),
    ],
)  # fmt: skip
def test_saving_the_view_leads_back_to_the_list_and_nowhere_else(
    chief: Client, here: str, location: str | None
) -> None:
    answer = chief.post(VIEW, {"size": "9" * 50, "here": here})
    assert answer.headers["Location"] == (location or f"{USERS}?{urlencode({'q': 'https://evil.example'})}")
    assert chief.get(VIEW).headers["Location"] == USERS


def test_tabs_have_the_numbers_of_users_who_pass_the_other_filters(agency: Springfield, chief: Client) -> None:
    def numbers(query: str) -> list[str]:
        return re.findall(r'm-tabs__number">([\d,]+)<', read(chief, query))

    assert numbers("") == ["6", "2", "3", "0", "0", "0", "1"]
    assert numbers("?status=Inactive") == ["6", "2", "3", "0", "0", "0", "1"]
    assert numbers("?q=user6&status=Active") == ["1", "0", "0", "0", "0", "0", "1"]
    assert numbers("?supervisor=nobody") == []
    page = read(chief, "?q=user&status=Invited&chosen=5")
    assert 'href="?q=user&amp;chosen=5&amp;status=Locked"' in page
    assert re.search(r'aria-current="true">Invited <', page)


def test_many_matches_that_are_not_counted_are_said_to_be_more(
    agency: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in (("_SMALL", 1), ("_MOST", 3)):
        monkeypatch.setattr(counts, name, number)
    monkeypatch.setattr(user_list, "PAGE", 2)
    page = read(chief, "?q=user")
    assert "1–2 of more than 3 users" in page and "m-tabs__number" not in page
    assert "Select all users that match (more than 3)" in page
    assert "All users that match are selected (more than 3)" in read(chief, "?q=user&all=1")
    assert "1–2 of 6 users" in read(chief)


def test_a_place_in_the_list_is_corrected_at_both_ends(
    agency: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_list, "PAGE", 2)

    def follow(page: str, name: str) -> str:
        found = re.search(rf'id="{name}" href="([^"]+)"', page)
        assert found, name
        return read(chief, found.group(1).replace("&amp;", "&"))

    first = read(chief)
    second = follow(first, "after")
    assert "3–4 of 6 users" in second
    agency.imported(person(7, LAST_NAME="Aaa"), person(8, LAST_NAME="Aab"))
    last = follow(second, "after")
    assert "7–8 of 8 users" in last
    assert "5–6 of 8 users" in follow(last, "before")
    assert "1–2 of 8 users" in follow(last, "first") and 'id="first"' not in follow(last, "first")
    place = re.search(r"place=([^&]+)&amp;from=", first)
    assert place
    for wrong in ("-1", "99999999", "x", "0"):
        assert re.search(r"\d–\d of 8 users", read(chief, f"?place={place.group(1)}&from={wrong}"))


def test_a_filter_is_saved_used_and_deleted(agency: Springfield, chief: Client) -> None:
    page = read(chief, "?q=user&status=Invited&sort=email&chosen=3")
    found = re.search(r'href="([^"]+)">Save this filter', page)
    assert found
    form = chief.get(found.group(1).replace("&amp;", "&")).content.decode()
    query = re.search(r'name="query" value="([^"]*)"', form)
    assert query and query.group(1).replace("&amp;", "&") == "q=user&status=Invited&sort=email"
    saved = chief.post(FILTERS, {"name": "Not yet here", "query": "q=user&status=Invited&sort=email&chosen=3&x=1"})
    assert saved.headers["Location"] == f"{USERS}?q=user&status=Invited&sort=email"
    assert '<a href="?q=user&amp;status=Invited&amp;sort=email">Not yet here</a>' in read(chief)
    listed = chief.get(FILTERS).content.decode()
    assert "Status: Invited" in listed and "Search: user" in listed
    one = models.SavedFilter.objects.get()
    assert chief.get(f"{FILTERS}{one.pk}/delete").headers["Location"] == FILTERS
    assert models.SavedFilter.objects.exists()
    assert "is deleted" in chief.post(f"{FILTERS}{one.pk}/delete", follow=True).content.decode()
    assert not models.SavedFilter.objects.exists()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"name": "", "query": "q=x"}, "Enter a name for the filter."),
        ({"name": "x" * 61, "query": "q=x"}, "at most 60"),
        ({"name": "a", "query": "chosen=1&evil=2"}, "Choose at least one filter"),
        ({"name": "Taken", "query": "q=x"}, "already saved a filter with this name"),
    ],
)
def test_a_filter_that_cannot_be_saved_is_asked_for_again(chief: Client, sent: dict[str, str], reason: str) -> None:
    chief.post(FILTERS, {"name": "taken", "query": "q=y"})
    answer = chief.post(FILTERS, sent)
    assert answer.status_code == 422 and reason in answer.content.decode()
    assert not sent["name"] or f'value="{sent["name"]}"' in answer.content.decode()


def test_no_user_sees_or_deletes_the_filters_of_another(agency: Springfield, chief: Client) -> None:
    chief.post(FILTERS, {"name": "Mine alone", "query": "q=x"})
    other = Client()
    sign_in(other, "user.2")
    number = models.SavedFilter.objects.get().pk
    assert "Mine alone" not in read(other) + other.get(FILTERS).content.decode()
    assert other.get(f"{FILTERS}{number}/delete").status_code == 404
    assert other.post(f"{FILTERS}{number}/delete").status_code == 404
    assert models.SavedFilter.objects.exists()


def test_a_saved_filter_that_means_nothing_any_more_shows_no_users(agency: Springfield, chief: Client) -> None:
    rank = models.Rank.objects.get(agency=agency.agency, name="Captain")
    chief.post(FILTERS, {"name": "Captains", "query": f"rank={rank.pk}"})
    assert "Rank: Captain" in chief.get(FILTERS).content.decode()
    rank.delete()
    page = read(chief, "?" + models.SavedFilter.objects.get().query)
    assert "A filter cannot be read, so no users are shown." in page and 'name="user"' not in page
    assert f"Rank: {rank.pk or ''}" in chief.get(FILTERS).content.decode()


def test_imports_are_offered_by_name_to_users_who_may_see_them(agency: Springfield, chief: Client) -> None:
    number = models.Import.objects.filter(agency=agency.agency).latest("pk").number
    assert f'<option value="{number}">' in read(chief)
    other = Client()
    sign_in(other, "user.2")
    assert number not in read(other)
    page = read(other, f"?import={number}")
    assert f"Import {number}" in page and f'<option value="{number}" selected>' in page


def test_the_actions_of_the_page_are_those_that_the_role_allows(agency: Springfield, chief: Client) -> None:
    assert ">Add User</a>" in read(chief)
    other = Client()
    sign_in(other, "user.2")
    main = read(other).partition("<main")[2]
    assert ">Add User</a>" not in main and ">Import Users</a>" not in main and "Export results" not in main


def test_all_that_match_are_selected_by_a_link_and_given_to_the_action(agency: Springfield, chief: Client) -> None:
    page = read(chief, "?status=Invited&all=1")
    assert "All 3 users are selected" in page and '<input type="hidden" name="all" value="1">' in page
    assert page.count("checked disabled") == 3
    assert 'href="?status=Locked"' in page and "all=1" in page.partition('id="sort-email"')[0].rpartition("<a")[2]
    assert "checked disabled" not in read(chief, "?q=nobody&all=1")


# In a browser


def test_the_first_screen_has_ten_users_and_each_takes_three_lines_when_it_is_narrow(
    page: Page, springfield: Springfield
) -> None:
    filled(springfield)
    page.set_viewport_size({"width": 1280, "height": 800})
    enter(page, "user.1", "users/")
    rows = page.locator("#found tbody tr")
    bottom = rows.nth(9).bounding_box()
    assert bottom and bottom["y"] + bottom["height"] <= 800
    page.set_viewport_size({"width": 320, "height": 640})
    box = rows.nth(9).bounding_box()
    assert box and box["height"] <= 3 * 26 + 14
    line = page.locator("#found tbody tr").nth(9)
    assert [line.locator(f".m-list__{name}").is_visible() for name in ("name", "status", "email", "role", "last_sign_in")] == [
        True, True, True, True, False,
    ]  # fmt: skip


def test_the_bar_appears_with_the_first_tick_and_counts_by_keyboard(page: Page, springfield: Springfield) -> None:
    filled(springfield)
    enter(page, "user.1", "users/")
    page.set_viewport_size({"width": 1280, "height": 800})
    bar, count = page.locator(".m-selected"), page.locator("#selected")
    expect(bar).to_be_hidden()
    page.get_by_role("checkbox", name="Select First 10").focus()
    page.keyboard.press("Space")
    expect(count).to_have_text("1 user selected")
    expect(page.locator("#select-page")).to_have_js_property("indeterminate", True)
    for _ in range(18):  # what has the focus is not behind the bar
        page.keyboard.press("Tab")
        box, over = page.locator(":focus").bounding_box(), bar.bounding_box()
        assert box and over
        assert box["y"] + box["height"] <= over["y"] or page.locator(".m-selected :focus").count()
    page.get_by_role("checkbox", name="Select all 50 users on this page").check()
    expect(count).to_have_text("50 users selected")
    page.get_by_role("link", name="Next").click()
    expect(count).to_have_text("50 users selected (50 on other pages)")
    page.get_by_role("link", name="Select all 63 users").click()
    expect(bar).to_contain_text("All 63 users are selected")
    assert barriers(page) == []
    page.get_by_role("link", name="Clear", exact=True).click()
    expect(bar).to_be_hidden()


def test_columns_are_chosen_and_a_filter_is_saved_in_the_browser(page: Page, springfield: Springfield) -> None:
    filled(springfield)
    enter(page, "user.1", "users/")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.locator(".m-view > summary").click()
    assert barriers(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.locator("#column-phone + label").click()
    page.locator("#compact + label").click()
    page.get_by_label("Users on a page").select_option("25")
    page.get_by_role("button", name="Save view").click()
    expect(page.locator("#found tbody tr")).to_have_count(25)
    expect(page.get_by_role("columnheader", name="Phone")).to_be_visible()
    assert barriers(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.locator("#tab-2").click()
    expect(page.locator("#results")).to_contain_text("of 61 users")
    page.get_by_role("link", name="Save this filter").click()
    assert barriers(page) == []
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There is a problem")
    page.get_by_label("Name of the filter").fill("Not yet here")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Not yet here")).to_be_visible()
    page.get_by_role("link", name="Manage saved filters").click()
    assert barriers(page) == []


def test_without_scripts_the_bar_counts_and_all_on_the_page_are_selected(
    scriptless: Page, springfield: Springfield
) -> None:
    page = scriptless
    filled(springfield)
    enter(page, "user.1", "users/")
    bar = page.locator(".m-selected")
    expect(bar).to_be_hidden()
    page.get_by_role("checkbox", name="Select First 10").check()
    expect(bar).to_be_visible()
    page.get_by_role("link", name="Select all 50 users on this page").click()
    expect(page.locator("#selection .m-choices:checked")).to_have_count(50)
    page.get_by_label("Action", exact=True).select_option(label="Invite again")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("main")).to_contain_text("50 users selected in All Users")


def test_the_list_is_printed_without_controls_and_with_all_columns(page: Page, springfield: Springfield) -> None:
    filled(springfield)
    list_views.save_view(springfield.user(1), list_views.COLUMNS, compact=False, size=25)
    enter(page, "user.1", "users/")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1032, "height": 700})  # the width of A4 on its side, without margins
    for gone in (
        "#search",
        ".m-tabs",
        ".m-results__tools",
        ".m-selected",
        ".m-paging",
        "#found td.m-select",
        ".m-menu",
    ):
        assert not page.locator(gone).first.is_visible(), gone
    last = page.get_by_role("columnheader", name="Added").bounding_box()
    assert last and last["x"] + last["width"] <= 1032
