"""Two journeys in a browser: the twelve steps of the original page, and a new agency's first file."""

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from musterbook.directory import models
from tests.accounts.conftest import GOOD, Springfield
from tests.accounts.test_first_run import SAID, code
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database


class Clicks:
    """What a user clicks on a page, counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def on(self, role: str, name: str) -> None:
        """Clicks on one thing."""
        self.page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]  # a role of ARIA
        self.count += 1


def fill_in(example: Path, path: Path) -> None:
    """Copies the example file, deletes the data in rows two through five, and enters three users."""
    header, *examples = csv.reader(io.StringIO(example.read_text(encoding="utf-8-sig"), newline=""))
    assert len(header) == 13 and len(examples) == 4
    rows = [person(7, RANK="Captain"), person(2, LOCATION="North"), person(8, ROLE="Pope")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)


def test_the_twelve_steps_take_six_clicks_and_the_file_dialog(
    page: Page, springfield: Springfield, tmp_path: Path
) -> None:
    """The original page: Admin, Import Users, the example, the option, the file, Upload; then a summary."""
    springfield.registered(1)
    enter(page, "user.1")
    clicks = Clicks(page)
    page.locator(".m-admin > summary").click()
    clicks.count += 1
    page.locator(".m-admin__panel").get_by_role("link", name="Import Users").click()
    clicks.count += 1
    with page.expect_download() as loading:
        clicks.on("link", "Download example file (CSV)")
    example = tmp_path / "example.csv"
    loading.value.save_as(example)
    path = tmp_path / "new users.csv"
    fill_in(example, path)
    page.get_by_label("Add or update user accounts").check()
    clicks.count += 1
    with page.expect_file_chooser() as choosing:
        page.get_by_label("Select file").click()
        clicks.count += 1
    choosing.value.set_files(path)
    clicks.on("button", "Upload")
    page.wait_for_url("**/imports/*")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"1 user (was )?added"))
    assert clicks.count == 6
    record = models.Import.objects.latest("pk")
    assert (record.state, record.counts["added"], record.counts["updated"], record.counts["errored"]) == (
        "applied", 1, 1, 1,
    )  # fmt: skip
    page.get_by_role("link", name="Upload another file").first.click()
    expect(page.get_by_role("heading", name="Import Users")).to_be_visible()


def test_synchronize_says_what_it_does_before_anything_is_uploaded(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    enter(page, "user.1", "users/import")
    reminder = page.get_by_text("Users not in your file will become Inactive.")
    expect(reminder).to_be_hidden()
    page.get_by_label("Synchronize all user accounts").check()
    expect(reminder).to_be_visible()
    assert barriers(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_label("Add or update user accounts").check()
    for button in ("Preview", "Upload"):
        box = page.get_by_role("button", name=button, exact=True).bounding_box()
        assert box and box["y"] + box["height"] <= 800, box
    expect(page.get_by_role("link", name="Download current users (Excel)")).to_have_attribute(
        "href", "/springfield/users/export.xlsx"
    )


@pytest.fixture(params=["with scripts", "without scripts, 320 px wide"])
def newcomer(
    request: pytest.FixtureRequest, page: Page, transactional_db: None, settings: Settings, tmp_path: Path
) -> Page:
    """A window of the first administrator of a new agency, at its home page."""
    settings.MUSTER_HOME = tmp_path
    plain = request.param != "with scripts"
    if plain:
        request.getfixturevalue("scriptless")
    page.set_viewport_size({"width": 320 if plain else 1280, "height": 800})
    page.goto("/")
    for name, value in (SAID | {"code": code()}).items():
        page.fill(f"[name={name}]", value)
    page.locator("main form .usa-button").last.click()
    for field in page.locator("input[type=password]").all():
        field.fill(GOOD)
    page.locator("main form .usa-button:not(.usa-button--unstyled)").last.click()
    page.wait_for_url("**/my-account/**")
    models.Role.objects.update(second_factor=False)
    page.goto("/springfield/")
    return page


RENAMED = {
    "EXTERNAL_ID": "Employee ID", "EMAIL": "Work Email", "BADGE_NUMBER": "Badge #", "FIRST_NAME": "Given Name",
    "LAST_NAME": "Surname", "RANK": "Rank Title", "EVIDENCE_GROUP_EXT_ID": "Group ID", "LOCATION": "Shoe size",
}  # fmt: skip
"""The headings of a personnel system's file."""


def write_personnel_file() -> bytes:
    """A file of a personnel system: other headings, and roles, ranks and groups that a new agency does not have."""
    ranks = ["Chief of Police", *["Lieutenant"] * 2, *["Sergeant"] * 4, *["Officer"] * 13]
    rows = [
        person(100 + n, ROLE="Detective" if n % 5 == 0 else "Patrol", RANK=rank, LOCATION="42",
               EVIDENCE_GROUP_EXT_ID=f"UNIT-{n % 3}", STATUS="Terminated" if n == 19 else "Active")
        for n, rank in enumerate(ranks)
    ]  # fmt: skip
    header, _, body = cast.file(rows).decode().partition("\n")
    return "\n".join([",".join(RENAMED.get(name, name) for name in header.strip().split(",")), body]).encode()


def test_a_new_agency_imports_its_first_file_without_a_dead_end(newcomer: Page) -> None:
    """Ten roles, ranks and groups are missing, and eight headings are other words: nothing is typed but one number."""
    page = newcomer
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    page.get_by_role("link", name="Get your file").click()
    page.set_input_files(
        "[name=file]", {"name": "hr.csv", "mimeType": "text/csv", "buffer": write_personnel_file()}
    )  # fmt: skip
    page.get_by_role("button", name="Preview").click()

    # The columns: every likely answer is chosen already.
    expect(page.get_by_role("heading", name="Match columns and values")).to_be_visible()
    expect(page.get_by_role("heading", name="Check 5 required columns")).to_be_visible()
    expect(page.get_by_label("Our column for Badge #")).to_have_value("BADGE_NUMBER")
    expect(page.get_by_label("Our column for Shoe size")).to_have_value("")
    check_barriers(page)
    page.get_by_role("button", name="Continue").click()

    # The values: all that the file names is created, unless something else is chosen.
    expect(page.get_by_label("What ROLE “Patrol” means")).to_have_value("+")
    expect(page.get_by_label("What STATUS “Terminated” means")).to_have_value("=Inactive")
    check_barriers(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("2 roles created. 4 ranks created. 3 groups created.")).to_be_visible()

    # Nobody gains a permission, so nothing holds the import.
    page.get_by_role("button", name="Apply").first.click()
    page.wait_for_url("**/imports/*")
    record = models.Import.objects.latest("pk")
    assert (record.state, record.counts["added"], record.counts["errored"]) == ("applied", 20, 0)
    ranks = models.Rank.objects.order_by("position").values_list("name", flat=True)
    assert list(ranks) == ["Chief of Police", "Lieutenant", "Sergeant", "Officer"]
    assert list(models.Role.objects.exclude(administrator=True).values_list("permissions", flat=True)) == [[], []]
    page.goto("/springfield/")
    expect(page.get_by_role("heading", name="First steps")).to_be_hidden()
    send_again(page)


def send_again(page: Page) -> None:
    """The next file needs no answer: headings and values are remembered."""
    page.goto("/springfield/users/import")
    page.set_input_files(
        "[name=file]", {"name": "hr.csv", "mimeType": "text/csv", "buffer": write_personnel_file()}
    )  # fmt: skip
    page.get_by_role("button", name="Preview").click()
    page.wait_for_url("**/imports/*")
    assert not page.url.endswith("/match")
    assert models.Import.objects.latest("pk").counts["unchanged"] == 20


def check_barriers(page: Page) -> None:
    """Look for barriers, if the page can run the program that finds them."""
    if page.evaluate("typeof htmx") != "undefined":
        assert barriers(page) == []
