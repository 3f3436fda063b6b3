"""The first feed from nothing in a browser, and how the pages of feeds look in their states."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.imports.worker import run_next_import
from musterbook.feeds import rounds
from tests.accounts.conftest import Springfield
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.feeds_in_states import SFTP, add_feed, receive
from tests.web.looks import barriers

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """The folder `hr` of the agency's feeds."""
    settings.MUSTER_FEED_FOLDERS = [tmp_path]
    made = tmp_path / "springfield" / "hr"
    made.mkdir(parents=True)
    return made


def put(folder: Path, name: str, *rows: cast.Row) -> None:
    """Put a complete file into the folder: its marker comes last."""
    (folder / name).write_bytes(cast.file(rows))
    (folder / f"{name}.done").touch()


def work() -> None:
    """What a worker does with feeds and imports until nothing is due."""

    def now() -> datetime:
        return datetime.now(UTC)

    while rounds.settle_next("tests", now) or rounds.check_folders("tests", now) or run_next_import("tests", now):
        pass


def run_now(page: Page) -> None:
    """Have the feed look for files, and a worker do it."""
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("The feed looks for files now.")).to_be_visible()
    work()


def add_first_feed(page: Page) -> None:
    """Add the feed from the empty page, with a folder that does not exist, and correct it."""
    page.get_by_text("Admin", exact=True).click()
    page.get_by_role("link", name="Feeds", exact=True).click()
    expect(page.get_by_role("heading", name="Three steps to the first feed")).to_be_visible()
    page.get_by_role("link", name="Add feed").click()
    page.get_by_role("link", name="A folder").click()
    page.get_by_label("Name", exact=True).fill("hr")
    page.get_by_label("Folder").fill("nothing-here")
    page.get_by_role("button", name="Add feed").click()
    expect(page.get_by_text("The feed hr was added.")).to_be_visible()
    expect(page.get_by_text("Waits for its first file")).to_be_visible()
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("There is no folder")).to_be_visible()
    page.get_by_role("link", name="Change: Where files come from").click()
    page.get_by_label("Folder").fill("hr")
    page.get_by_role("button", name="Save").click()


def test_an_administrator_gets_from_nothing_to_a_feed_that_runs_by_itself(
    springfield: Springfield, page: Page, folder: Path
) -> None:
    springfield.registered(1)
    enter(page, "user.1")
    add_first_feed(page)
    put(folder, "first.csv", person(1, ROLE="Admin"), person(2), person(7))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("1 file would be taken. Nothing was taken now.")).to_be_visible()
    assert (folder / "first.csv").exists() and not models.FeedFile.objects.exists()

    run_now(page)
    page.reload()
    expect(page.get_by_text("First file waits for you")).to_be_visible()
    page.get_by_role("link", name="Review the file").click()
    expect(page.get_by_text("This is the first file of the feed")).to_be_visible()
    page.get_by_role("button", name="Apply", exact=True).click()
    page.wait_for_load_state()
    work()
    put(folder, "second.csv", person(1, ROLE="Admin"), person(2), person(7), person(8))
    page.goto("/springfield/feeds/hr/")
    run_now(page)
    page.goto("/springfield/feeds/")
    expect(page.get_by_text("Fine", exact=True)).to_be_visible()
    expect(page.get_by_text("1 user added, 1 invitation.")).to_be_visible()
    expect(page.get_by_role("link", name="applied, second.csv")).to_be_visible()
    assert models.User.objects.filter(agency=springfield.agency, external_id__in=["E-7", "E-8"]).count() == 2


def test_a_feed_is_paused_with_a_reason_and_resumed_without_scripts(
    springfield: Springfield, page: Page, folder: Path
) -> None:
    springfield.registered(1)
    add_feed(springfield.agency)
    enter(page, "user.1", "feeds/hr/")
    page.get_by_role("link", name="Pause").click()
    page.get_by_label("Why").fill("New HR system from 1 March")
    page.get_by_label("Why").press("Enter")
    expect(page.get_by_text("New HR system from 1 March")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The feed hr runs again.")).to_be_visible()


@pytest.fixture
def states(springfield: Springfield) -> Springfield:
    """An agency with a feed in each state, and an administrator."""
    springfield.registered(1)
    agency, at = springfield.agency, datetime.now(UTC)
    models.Agency.objects.filter(pk=agency.pk).update(limits=[cast.allow(0)])
    agency.refresh_from_db()
    night: dict[str, Any] = {
        "expected_by": [{"days": DAYS, "at": "00:00"}],
        "windows": [{"days": DAYS, "from": "22:00", "to": "06:00"}],
    }
    fine = add_feed(agency, "fine", mapping={"EMP NO": "EXTERNAL_ID"}, notify={"held": ["E-1"]}, **night)
    receive(fine, [person(5)], days=3)
    receive(fine, problem="The file is cut off.", days=2, name="x" * 200)
    receive(fine, days=1)
    receive(fine, [person(6)])
    receive(add_feed(agency, "held", mode="sync", source="", location=SFTP), [person(1, ROLE="Admin")])
    receive(add_feed(agency, "first", approved=False), [person(8)], preview=True)
    add_feed(agency, "none", approved=False)
    add_feed(agency, "late", location={"kind": "sent"}, columns={"created_at": at - timedelta(days=3)}, **night)
    add_feed(agency, "paused", columns={"paused_at": at, "paused_by": "E-1", "paused_why": "A new HR system."})
    add_feed(agency, "gone", columns={"failing_since": at - timedelta(hours=2), "problem": "It does not answer."})
    add_feed(agency, "stopped", location=SFTP, columns={"stopped": "The host key has changed."})
    return springfield


def look(page: Page, *paths: str) -> Iterator[Any]:
    """Yield the barriers of each page."""
    for path in paths:
        page.goto(f"/springfield/{path}")
        for barrier in barriers(page):
            yield path, barrier


def test_the_pages_of_feeds_have_no_barriers(states: Springfield, page: Page) -> None:
    enter(page, "user.1")
    names = models.Feed.objects.values_list("name", flat=True)
    assert list(look(page, "", "feeds/", *(f"feeds/{name}/" for name in names))) == []


def test_the_forms_of_feeds_have_no_barriers(states: Springfield, page: Page) -> None:
    enter(page, "user.1")
    sections = ("what", "reading", "location", "schedule", "limits", "notify")
    forms = [f"feeds/fine/change-{section}" for section in sections]
    acts = [
        "feeds/fine/pause",
        "feeds/fine/remove",
        "feeds/stopped/secret",
        "feeds/stopped/host-key",
        "feeds/late/token",
    ]
    assert list(look(page, "feeds/add", "feeds/add-sftp", *forms, *acts)) == []
    page.goto("/springfield/feeds/add-sftp")
    page.get_by_role("button", name="Add feed").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    assert barriers(page) == []
    page.goto("/springfield/feeds/late/token")
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_role("link", name="I have copied it")).to_be_visible()
    assert barriers(page) == []


def test_marks_of_nights_can_be_hit_and_are_read_aloud(states: Springfield, page: Page) -> None:
    enter(page, "user.1", "feeds/")
    page.set_viewport_size({"width": 320, "height": 800})
    marks = page.get_by_role("list", name="Last 30 nights of fine")
    expect(marks.get_by_role("listitem")).to_have_count(30)
    sizes = marks.locator(".m-night").evaluate_all("all => all.map(one => [one.offsetWidth, one.offsetHeight])")
    assert all(width >= 24 and height >= 24 for width, height in sizes)
    signs = marks.locator(".m-night").all_inner_texts()
    assert signs[-4:] == ["✓", "×", "=", "✓"]
    marks.get_by_role("link", name="applied, hr.csv").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Applied")
