"""What `./run` leads to: the page on which the second night waits."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from scripts import trial
from tests.web.test_journey import GOOD

pytestmark = pytest.mark.any_database


def test_the_link_that_run_prints_leads_to_the_plan_that_waits_to_be_applied(browser: Browser, tmp_path: Path) -> None:
    with trial.waiting(tmp_path) as link:
        page = browser.new_context().new_page()
        page.goto(link)
        for label in ("Password", "The same password again"):
            page.get_by_label(label, exact=True).fill(GOOD)
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("heading", name="Preview: nothing was changed yet")).to_be_visible()
        expect(page.get_by_text("Niamh Kealamakia").first).to_be_visible()
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_role("heading", name="Applied")).to_be_visible()
        assert page.locator("#show-deactivated strong").inner_text() == "8"
        page.context.close()


def test_a_step_that_fails_ends_it_with_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_STEPS", (("Nothing", ["import", "nowhere.csv", "--agency", "nobody"]),))
    with pytest.raises(trial.StepFailed) as failed, trial.waiting(tmp_path):
        raise AssertionError
    assert failed.value.status == 2
