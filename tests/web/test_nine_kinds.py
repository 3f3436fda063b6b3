"""A morning's work: 10,000 broken rows of nine kinds, fixed by nine actions on the plan, and then applied."""

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.cli.test_people import serving
from tests.databases import Home
from tests.web.test_broken_roster import Row, make_row, open_registered, send, tile, write_csv
from tests.web.test_journey import OF, Springfield

pytestmark = pytest.mark.any_database

_SEED = 14
GOOD_ROWS = 200
DAMAGED, RENAMED, RELEASED = 500, 450, 300
"""The users who exist: those whose badges lose their zeros, those who get another name, and former ones."""
Change = Callable[[int], Row]
KINDS: tuple[tuple[int, Change], ...] = (
    (2_000, lambda _: {"ROLE": "Oficer"}),
    (1_900, lambda _: {"RANK": "Sargent"}),
    (1_600, lambda _: {"STATUS": "Actve"}),
    (1_400, lambda number: {"PHONE": f"555-{number}"}),
    (1_100, lambda _: {"EVIDENCE_GROUP_EXT_ID": "PATROL-l"}),
    (750, lambda _: {"ROLE": ""}),
    (DAMAGED, lambda number: {"BADGE_NUMBER": str(number)}),
    (
        RENAMED,
        lambda number: {
            "FIRST_NAME": "Nora",
            "LAST_NAME": f"Nilsen{number}",
            "EMAIL": f"nora{number}@springfield.example",
            "USERNAME": f"nora.{number}",
        },
    ),
    (RELEASED, lambda number: {"BADGE_NUMBER": f"F{number:05}"}),
)
"""Each kind of mistake: how many rows have it, and what is wrong in a row."""


def make_files() -> tuple[list[Row], list[Row]]:
    """The users who exist, and the roster of 10,000 broken rows and some good ones, in any order."""
    existing: list[Row] = []
    rows = [make_row(number) for number in range(1, GOOD_ROWS + 1)]
    number = 10_000
    for count, change in KINDS:
        for _ in range(count):
            number += 1
            row = make_row(number)
            broken = row | change(number)
            if broken["BADGE_NUMBER"] == str(number):
                existing.append(row | {"BADGE_NUMBER": f"0{number}"})
            elif broken["FIRST_NAME"] == "Nora":
                existing.append(row)
            elif broken["BADGE_NUMBER"].startswith("F"):
                former = {"BADGE_NUMBER": broken["BADGE_NUMBER"], "STATUS": "Inactive"}
                existing.append(make_row(number + 40_000) | former)
            rows.append(broken)
    random.Random(_SEED).shuffle(rows)
    return existing, rows


class Hand:
    """The hand of the administrator, which counts its clicks."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks, self.seconds = page, 0, 0.0

    def click(self, what: Locator) -> None:
        """Clicks, and counts it."""
        self.clicks += 1
        what.click()

    def act(self, button: str | re.Pattern[str], left: int) -> None:
        """Presses a button of a kind, and waits for the plan with that many problems."""
        self.finish(self.page.get_by_role("button", name=button).locator("visible=true"), left)

    def finish(self, button: Locator, left: int) -> None:
        """Presses a button, and waits for the plan with that many problems."""
        began = time.monotonic()
        self.click(button)
        if left:
            expect(self.page.locator("#show-errored strong")).to_have_text(f"{left:,}", timeout=60_000)
        else:
            expect(self.page.locator("#show-errored")).to_have_count(0, timeout=60_000)
        self.seconds = max(self.seconds, time.monotonic() - began)


def test_ten_thousand_broken_rows_of_nine_kinds_are_fixed_by_nine_actions(
    browser: Browser,
    fresh_home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    springfield = Springfield(fresh_home, tmp_path)
    springfield.imports("Active")
    existing, rows = make_files()
    (tmp_path / "existing.csv").write_bytes(write_csv(existing))
    springfield.muster("import", str(tmp_path / "existing.csv"), *OF)
    broken = sum(count for count, _ in KINDS)
    assert broken == 10_000
    with serving(fresh_home, named=monkeypatch):
        page = open_registered(browser, springfield)
        page.set_viewport_size({"width": 1280, "height": 800})
        send(page, "roster.csv", write_csv(rows), "Preview")
        assert tile(page, "errored") == f"{broken:,}"
        assert is_on_first_screen(page)
        began, hand = time.monotonic(), Hand(page)
        fix_all(hand, broken)
        fixed = time.monotonic() - began
        hand.click(page.get_by_role("button", name="Apply"))
        expect(page.get_by_role("heading", name="Applied")).to_be_visible(timeout=120_000)
        seconds = time.monotonic() - began
        assert tile(page, "added") == f"{10_000 + GOOD_ROWS - DAMAGED - RENAMED:,}"
        assert tile(page, "updated") == str(DAMAGED + RENAMED)
        assert hand.clicks == 9 + 2 + 1, "nine actions, two more clicks where no value is near, and Apply"
        figures = (
            f"{hand.clicks} clicks; fixed {fixed:.1f} s, slowest action {hand.seconds:.1f} s, applied {seconds:.1f} s"
        )
        print(figures)  # noqa: T201  (shown with -s: the figures of the journey)
        page.context.close()
    springfield.muster("audit", "verify")


def fix_all(hand: Hand, broken: int) -> None:
    """Fixes each kind by its action, the most rows first."""
    hand.act("Use Officer in 2,000 rows", broken := broken - 2_000)
    hand.act("Use Sergeant in 1,900 rows", broken := broken - 1_900)
    hand.act("Use Active in 1,600 rows", broken := broken - 1_600)
    hand.act("Leave blank in 1,400 rows", broken := broken - 1_400)
    hand.act("Use PATROL-1 in 1,100 rows", broken := broken - 1_100)
    hand.click(hand.page.get_by_text("Change to … ROLE"))
    hand.clicks += 1
    hand.page.get_by_label("New value of ROLE").locator("visible=true").select_option("Officer")
    hand.act("Change 750 rows", broken := broken - 750)
    hand.act("Keep all of these as written", broken := broken - DAMAGED)
    hand.act("All are the same person", broken := broken - RENAMED)
    hand.act("Give all of these badges to users of the file", broken := broken - RELEASED)
    assert broken == 0


def is_on_first_screen(page: Page) -> bool:
    """Whether the first wrong cell is in the first screen."""
    box = page.locator("#plan .m-sheet__edit--wrong").first.bounding_box()
    return box is not None and box["y"] + 44 < 800
