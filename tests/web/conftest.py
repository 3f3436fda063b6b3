"""A window of the browser for the tests of pages, and what it must never do: complain, or ask anybody but us."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.templatetags.static import static
from django.test import Client
from playwright.sync_api import ConsoleMessage, Error, Page, Request
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests import worker
from tests.accounts.conftest import Springfield, build_springfield, signed_in
from tests.accounts.test_entrance import sign_in
from tests.web import passkeys


@pytest.fixture
def page(window: Page, live_server: LiveServer) -> Iterator[Page]:
    """A window of somebody who has never been here; in the end, nothing was asked of others, and nothing complained of."""
    complaints: list[str] = []
    strangers: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "the server responded with a status of" not in message.text:
            complaints.append(message.text)

    def fail(error: Error) -> None:
        complaints.append(str(error))

    def see(request: Request) -> None:
        if urlsplit(request.url).hostname != "localhost" and not request.url.startswith("data:"):
            strangers.append(request.url)

    hearing: tuple[tuple[Any, Callable[[Any], None]], ...] = ("console", hear), ("pageerror", fail), ("request", see)
    for event, listener in hearing:
        window.on(event, listener)
    yield window
    _empty(window)
    for event, listener in hearing:
        window.remove_listener(event, listener)
    assert complaints == []
    assert strangers == []


def _empty(window: Page) -> None:
    """Leave nothing of a test in the window but the styles, scripts and fonts that each browser keeps."""
    for other in window.context.pages:
        if other != window:
            other.close()
    passkeys.unplug_all()
    window.unroute_all(behavior="ignoreErrors")
    window.goto(static("icon.svg"))  # a page of another origin would begin another process
    window.evaluate("localStorage.clear(), sessionStorage.clear()")
    window.context.clear_cookies()
    window.set_viewport_size({"width": 1280, "height": 720})
    window.emulate_media(media="null", color_scheme="light", reduced_motion="no-preference")


@pytest.fixture
def scriptless(page: Page) -> Iterator[Page]:
    """The window without scripts, as `java_script_enabled=False` makes a new one, which takes most of a second."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setScriptExecutionDisabled", {"value": True})
    yield page
    session.detach()


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
