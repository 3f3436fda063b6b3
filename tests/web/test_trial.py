"""What `./run` leads to: the page on which the second night waits."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from scripts import trial
from tests import forks
from tests.web.test_journey import GOOD

pytestmark = pytest.mark.any_database
_FAILS = (("Nothing", ["restore", "nowhere.backup"]),)
"""A step that fails when it has begun an installation, and before it makes the tables, which takes seconds."""


@pytest.fixture(autouse=True)
def _quick_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of the trial are forks, which start quickly."""
    monkeypatch.setattr(trial, "subprocess", forks.make_stand_in())


def test_the_link_that_run_prints_leads_to_the_plan_that_waits_to_be_applied(browser: Browser, tmp_path: Path) -> None:
    with trial.serve_sample(tmp_path / "home") as link:
        page = browser.new_context().new_page()
        page.goto(link)
        for label in ("Password", "Same password again"):
            page.get_by_label(label, exact=True).fill(GOOD)
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("heading", name="Preview: nothing has changed yet")).to_be_visible()
        expect(page.get_by_text("Niamh Kealamakia").first).to_be_visible()
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_role("heading", name="Applied")).to_be_visible()
        assert page.locator("#show-deactivated strong").inner_text() == "8"
        page.context.close()
    with trial.serve_sample(tmp_path / "home") as again:
        assert again.endswith(f"/{trial.AGENCY}/"), "the administrator has a password now"
        page = browser.new_context().new_page()
        page.goto(again)
        page.get_by_label("Username or email address").fill("nkealamakia")
        expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
        page.context.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sample that is there already, as far as the questions go."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr(trial, "HOME", folder)
    return folder


def test_a_second_run_disturbs_nothing_and_says_where_the_first_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with trial._hold_lock(8000) as running:
        assert running == ""
        assert trial.main(["--fresh"]) == 0
    assert home.exists()
    assert "It is running already, at http://localhost:80" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["", "no", "y"])
def test_nothing_is_deleted_without_a_yes(home: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert trial.main(["--fresh"]) == 1
    assert home.exists()


def test_fresh_starts_over_after_a_yes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    monkeypatch.setattr(trial, "_STEPS", _FAILS)
    (home / "old").touch()
    assert trial.main(["--fresh"]) == 3
    assert not home.exists()


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["--frehs"], 2)])
def test_help_starts_nothing(home: Path, arguments: list[str], status: int) -> None:
    with pytest.raises(SystemExit) as ended:
        trial.main(arguments)
    assert ended.value.code == status
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(("steps", "status", "begun"), [(_FAILS, 3, True), ((("Wrong", ["import"]),), 2, False)])
def test_a_step_that_fails_ends_it_with_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: object, status: int, begun: bool
) -> None:
    monkeypatch.setattr(trial, "_STEPS", steps)
    with pytest.raises(trial.StepFailed) as failed, trial.serve_sample(tmp_path / "home"):
        raise AssertionError
    assert failed.value.status == status
    assert (tmp_path / "home.draft").exists() == begun
    assert not (tmp_path / "home").exists(), "what is cut short is not taken for a sample"
