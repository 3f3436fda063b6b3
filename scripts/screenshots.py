"""Screenshots of the main pages of an agency with a roster, in light and dark, wide and narrow."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from scripts import setup, trial

INTO = setup.ROOT / "build" / "screenshots"
README = setup.ROOT / "docs" / "pictures" / "plan.png"
_PASSWORD = "a quiet brown heron"
_LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "narrow": ("light", 320)}


def main() -> int:
    """Take all screenshots. Return 0."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("There is no Chromium: apt-get install chromium libatomic1", file=sys.stderr)
        return 1
    shutil.rmtree(INTO, ignore_errors=True)
    with tempfile.TemporaryDirectory() as home, trial.serve_sample(Path(home)) as link, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _take_pages(browser, link)
        browser.close()
    print(f"{len(list(INTO.glob('*.png')))} pictures are in {INTO.relative_to(setup.ROOT)}")
    return 0


def _take_pages(browser: Browser, link: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.goto(link)
    _take_page(page, "register")
    for label in ("Password", "The same password again"):
        page.get_by_label(label, exact=True).fill(_PASSWORD)
    page.get_by_role("button", name="Register").click()
    page.wait_for_url("**/imports/*")
    page.screenshot(path=README)
    plan = page.url
    for shown in ("errored", "added", "updated", "deactivated"):
        page.goto(f"{plan}?show={shown}")
        _take_page(page, f"plan {shown}")
    home = re.sub(r"imports/.*", "", plan)
    for name, address in _list_menu(page, home):
        page.goto(address)
        _take_page(page, name)
    _take_details(page, home)
    page.goto(plan)
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("heading", name="Applied").wait_for()
    _take_page(page, "applied")


def _take_details(page: Page, home: str) -> None:
    """Take the pages that a list leads to: one user, one role, one group, and a bulk action."""
    page.goto(f"{home}users/")
    page.locator("tbody a").first.click()
    _take_page(page, "user")
    page.get_by_role("link", name="Edit", exact=True).click()
    _take_page(page, "user edited")
    for name in ("roles", "groups"):
        page.goto(f"{home}{name}/")
        page.locator("main table a").nth(1).click()
        _take_page(page, f"one of {name}")
    page.goto(f"{home}users/?sort=rank")
    page.select_option("#whom", "page")
    page.select_option("#act", "deactivate")
    page.get_by_role("button", name="Preview").click()
    page.wait_for_url("**/users/bulk/*")
    _take_page(page, "many deactivated")


def _list_menu(page: Page, home: str) -> list[tuple[str, str]]:
    """Return the pages that the menus lead to: the label and the address of each."""
    page.goto(home)
    found: dict[str, str] = {}
    for link in page.locator(".m-admin__panel a, .m-tile").all():
        name = link.locator("strong").or_(link.filter(has_not=page.locator("strong"))).first
        found.setdefault(str(link.get_attribute("href")), str(name.text_content()))
    root = home[: home.index("/", len("http://"))]
    return [("home", home), *((name, f"{root}{address}") for address, name in found.items())]


def _take_page(page: Page, name: str) -> None:
    INTO.mkdir(parents=True, exist_ok=True)
    for look, (colours, width) in _LOOKS.items():
        page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]  # one of the two that there are
        page.set_viewport_size({"width": width, "height": 860})
        page.screenshot(path=INTO / f"{name.lower().replace(' ', '-')}-{look}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 860})
