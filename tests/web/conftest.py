"""A window of the browser for the tests of pages, and what it must never do: complain, or ask anybody but us."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests import worker
from tests.accounts.conftest import Springfield, build_springfield, signed_in
from tests.accounts.test_entrance import sign_in


@pytest.fixture
def page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """A new window of somebody who has never been here; in the end, nothing was asked of others, and nothing complained of."""
    context = browser.new_context(base_url=at_localhost(live_server))
    opened = context.new_page()
    complaints: list[str] = []
    strangers: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "the server responded with a status of" not in message.text:
            complaints.append(message.text)

    def see(request: Request) -> None:
        if urlsplit(request.url).hostname != "localhost" and not request.url.startswith("data:"):
            strangers.append(request.url)

    opened.on("console", hear)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", see)
    yield opened
    context.close()
    assert complaints == []
    assert strangers == []


def at_localhost(live_server: LiveServer) -> str:
    """Where the pages are, by name: passkeys want no address in digits."""
    return live_server.url.replace("127.0.0.1", "localhost")


def enter(page: Page, name: str, path: str = "") -> None:
    """Give the window a session of that user of springfield, without the sign-in form, and go to a page of theirs."""
    client = Client()
    sign_in(client, name)
    cookies = client.cookies.values()
    page.context.add_cookies(
        [{"name": one.key, "value": one.value, "domain": "localhost", "path": "/"} for one in cookies]
    )
    page.goto(f"/springfield/{path}")


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def springfield(live_server: LiveServer) -> Springfield:
    """An agency with an administrator, an officer, and an Inactive officer."""
    return build_springfield()


@pytest.fixture
def chief(springfield: Springfield, client: Client) -> Client:
    """A browser in which the administrator is signed in."""
    signed_in(client, "user.1")
    return client


@pytest.fixture(autouse=True)
def _at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    worker.at_hand(monkeypatch)
