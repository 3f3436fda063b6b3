"""The first page in a browser: from nothing to an administrator who is signed in."""

from pathlib import Path

import pytest
from playwright.sync_api import Page
from pytest_django import Settings

from musterbook.directory import models
from tests.accounts.conftest import GOOD
from tests.accounts.test_first_run import SAID, code
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database


def test_an_administrator_begins_in_a_browser(
    page: Page, transactional_db: None, settings: Settings, tmp_path: Path
) -> None:
    settings.MUSTER_HOME = tmp_path
    page.goto("/")
    assert barriers(page) == []
    page.get_by_role("button", name="Create agency").click()
    page.locator(".usa-alert--error").wait_for()
    assert barriers(page) == []
    for name, value in (SAID | {"code": code()}).items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Create agency").click()
    page.get_by_label("Password", exact=True).fill(GOOD)
    page.get_by_label("Same password again").fill(GOOD)
    page.get_by_role("button", name="Register").click()
    # Asked for by default of administrators, so it comes before anything else.
    page.wait_for_url("**/my-account/second-factors/")
    assert barriers(page) == []
    models.Role.objects.update(second_factor=False)
    page.goto("/springfield/")
    page.get_by_role("heading", name="Welcome, Ann").wait_for()
    page.get_by_role("heading", name="First steps").wait_for()
    assert barriers(page) == []
