"""What `./run --feed` does: three nights of a feed by their own clock, each step in a sentence, and the page Feeds."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from scripts import feed_nights, setup, trial
from tests import forks
from tests.web.test_journey import GOOD

pytestmark = pytest.mark.any_database


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The processes of the trial are forks, which start quickly."""
    quick = forks.make_stand_in()
    monkeypatch.setattr(trial, "subprocess", quick)
    return quick


def test_run_feed_shows_three_nights_and_leads_to_the_feed_that_waits(
    browser: Browser, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    with trial.serve_sample(home, feed=True) as link:
        said = capfd.readouterr().out
        last = feed_nights.find_last(datetime.now(feed_nights.find_zone()))
        days = [last - timedelta(days=back) for back in (2, 1, 0)]
        times = re.findall(r"^\w{3} \w{3} \d\d, \d\d:\d\d$", said, re.MULTILINE)
        moments = [(days[0], "02:30"), (days[0], "08:15"), (days[1], "02:30"), (days[2], "02:30")]
        assert times[1:] == [f"{day:%a %b %d}, {clock}" for day, clock in moments]
        for sentence in (
            "so it is only previewed: 249 users to add",
            "the administrator applies it: 249 users added",
            "is applied while everybody sleeps: 6 users added, 11 updated, 8 lost access",
            "so it is held and nothing changes. 97 users would lose access.",
            "The file has 140 rows. The last one had 243.",
        ):
            assert sentence in said
        folder = home / "feeds" / "riverton-pd" / "hr"
        names = [f"hr-{day:%Y-%m-%d}.csv" for day in days]
        assert sorted(one.name for one in (folder / "done").glob("hr-*-??.csv")) == names[:2]
        assert (folder / names[2]).exists()

        page = browser.new_context().new_page()
        page.goto(link)
        for label in ("Password", "Same password again"):
            page.get_by_label(label, exact=True).fill(GOOD)
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("heading", name="Feeds", level=1)).to_be_visible()
        row = page.get_by_role("main")
        expect(row.get_by_text(f"{names[2]}").first).to_be_visible()
        assert re.search(r"[Ww]aits", row.inner_text())
        page.context.close()
    with trial.serve_sample(home, feed=True) as again:
        assert again.endswith(f"/{trial.AGENCY}/")
    assert "Night 1" not in capfd.readouterr().out, "what is there is not made again"


def test_the_sample_with_the_feed_does_not_disturb_the_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, feed = tmp_path / "plain", tmp_path / "feed"
    for folder in (plain, feed):
        folder.mkdir()
        (folder / "mine").touch()
    monkeypatch.setattr(trial, "HOME", plain)
    monkeypatch.setattr(trial, "FEED_HOME", feed)
    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert trial.main(["--feed", "--fresh"]) == 1
    assert (feed / "mine").exists()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    monkeypatch.setattr(trial._Trial, "make_feed", lambda _: (_ for _ in ()).throw(trial.StepFailed(7)))
    with trial._hold_lock(8000, plain) as running:
        assert running == ""
        assert trial.main(["--feed", "--fresh"]) == 7
        assert trial.main([]) == 0
    assert "It is running already, at http://localhost:8000" in capsys.readouterr().out
    assert (plain / "mine").exists() and not feed.exists()


def test_nights_that_go_otherwise_end_with_a_sentence_and_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: SimpleNamespace
) -> None:
    (tmp_path / "home").mkdir()
    code = "from scripts import feed_nights; feed_nights._SHRUNK = 240; raise SystemExit(feed_nights.main())"
    environment = trial._Trial(tmp_path / "home", 8000).environment()
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    pipe = subprocess.PIPE
    done = quick.run(
        [sys.executable, "-c", code], cwd=setup.ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The three nights went otherwise than they should: import ")
    monkeypatch.setattr(quick, "run", lambda *_, **__: done)
    with pytest.raises(trial.StepFailed), trial.serve_sample(tmp_path / "new", feed=True):
        raise AssertionError
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("now", "day"), [("02:35", 28), ("02:40", 29), ("23:59", 29), ("00:00", 28)])
def test_the_last_night_is_one_that_is_over(now: str, day: int) -> None:
    hour, minute = map(int, now.split(":"))
    last = feed_nights.find_last(datetime(2026, 11, 29, hour, minute, tzinfo=UTC))
    assert (last.day, last.hour, last.minute) == (day, 2, 30)


def test_the_zone_is_that_of_the_machine_or_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Chicago")
    assert feed_nights.find_zone() == ZoneInfo("America/Chicago")
    monkeypatch.setenv("TZ", "/nowhere")
    monkeypatch.setattr("os.path.realpath", lambda _: "/usr/share/zoneinfo/Europe/Zurich")
    assert feed_nights.find_zone() == ZoneInfo("Europe/Zurich")
    monkeypatch.setattr("os.path.realpath", lambda _: "/etc/localtime")
    assert feed_nights.find_zone() == ZoneInfo("UTC")
