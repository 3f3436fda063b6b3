"""What all pages have in common: the size of the header, of buttons and of what is loaded, long names, and paper."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page

from musterbook.directory import models
from scripts import assets
from tests.accounts.conftest import Springfield
from tests.accounts.test_entrance import sign_in
from tests.web.conftest import enter

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.skipif(not assets.INTO.exists(), reason="there are no styles: ./test fetches them"),
]

_LONG = "Wolfeschlegelsteinhausenbergerdorff" * 5
_OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_BUTTONS = """[...document.querySelectorAll("main .usa-button:not(.usa-button--unstyled)")]
    .filter((one) => one.offsetHeight).map((one) => [one.textContent.trim(), one.offsetHeight])"""
_SHOWN = """(selector) => [...document.querySelectorAll(selector)]
    .filter((one) => one.checkVisibility({visibilityProperty: true})).map((one) => one.outerHTML.slice(0, 120))"""


@pytest.fixture
def loaded(page: Page) -> Iterator[list[str]]:
    """The addresses that a browser asks for that has never been here, without what it keeps."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    found: list[str] = []

    def see(event: Any) -> None:
        response = event["response"]
        if not (response["url"].startswith("data:") or response.get("fromDiskCache")):
            found.append(urlsplit(response["url"])._replace(scheme="", netloc="").geturl())

    session.on("Network.responseReceived", see)
    yield found
    session.detach()


def weigh(client: Client, addresses: list[str]) -> int:
    """The bytes of these addresses as the product serves them: the server of the tests compresses no files."""
    sizes = [len(client.get(address, headers={"accept-encoding": "gzip"}).getvalue()) for address in addresses]
    return sum(sizes) + 400 * len(sizes)  # with the headers


def test_the_first_page_loads_at_most_150_kb_and_the_next_ones_30(
    page: Page, springfield: Springfield, loaded: list[str]
) -> None:
    springfield.registered(1)
    client = Client()
    sign_in(client, "user.1")
    enter(page, "user.1", "users/")
    page.wait_for_load_state("networkidle")
    assert len(loaded) > 6
    assert 50_000 < weigh(client, loaded) < 150_000
    for path in ("", "users/import", "users/add", "roles/", "audit/", "settings/accounts"):
        loaded.clear()
        page.goto(f"/springfield/{path}")
        page.wait_for_load_state("networkidle")
        assert (
            2_000 < weigh(client, [one for one in loaded if not one.startswith(str(settings.STATIC_URL))]) < 30_000
        ), path


def test_the_header_takes_two_lines_on_a_phone(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    page.set_viewport_size({"width": 320, "height": 640})
    enter(page, "user.1", "users/")
    assert page.locator("header").bounding_box()["height"] <= 100  # type: ignore[index]
    page.locator(".m-admin > summary").click()
    assert not page.evaluate(_OVERFLOWS)
    page.get_by_role("link", name="Import history").click()
    page.wait_for_url("**/imports/")


def test_buttons_in_folds_are_as_high_as_others(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    enter(page, "user.1")
    for path in ("users/", "users/add", "users/import", "groups/", "ranks/", "settings/imports", "audit/", "imports/"):
        page.goto(f"/springfield/{path}")
        page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
        buttons = page.evaluate(_BUTTONS)
        assert [found for found in buttons if not 24 <= found[1] <= 48] == [], path


def test_a_name_of_175_letters_wraps(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    officer = springfield.user(2)
    models.User.objects.filter(pk=officer.pk).update(last_name=_LONG, location=_LONG, email=f"{_LONG}@x.example")
    enter(page, "user.1")
    for path in ("", "users/", f"users/{officer.pk}/", f"users/{officer.pk}/edit", "audit/"):
        page.goto(f"/springfield/{path}")
        for width in (1280, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert not page.evaluate(_OVERFLOWS), (path, width)


def test_paper_has_what_is_to_be_read_and_nothing_to_click(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    enter(page, "user.1", "users/")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 1000, "height": 700})
    assert page.evaluate(_SHOWN, "button, .usa-button, input[type=checkbox], nav, form[role=search]") == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.evaluate(_OVERFLOWS)
    heads = page.locator("thead th").evaluate_all("all => all.filter((one) => one.offsetWidth).length")
    cells = (
        page.locator("tbody tr").first.locator("td").evaluate_all("all => all.filter((one) => one.offsetWidth).length")
    )
    assert heads == cells > 5
