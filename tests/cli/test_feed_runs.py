"""`muster feed run` and `check`: what has arrived is imported now, or only looked at."""

from pathlib import Path

import pytest
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.agency import feeds
from tests.cli.conftest import CommandResult, Muster, build_directory, row

OF = ("--agency", "springfield-pd")
PEOPLE = (row("ann", role="Admin"), row("cy", role="Clerk"), row("otto"))


@pytest.fixture
def staffed(muster: Muster) -> Muster:
    """The agency with an administrator, a clerk and an officer."""
    build_directory(PEOPLE, also=("--no-mail",))
    return muster


@pytest.fixture
def inbox(staffed: Muster, settings: Settings) -> Path:
    """The folder of a feed `hr`, which has been approved."""
    settings.MUSTER_FEED_FOLDERS = (staffed.folder / "feeds",)
    folder = staffed.folder / "feeds" / "springfield-pd" / "hr"
    folder.mkdir(parents=True)
    assert staffed("feed", "add", "hr", *OF, "--folder", "hr", "--pattern", "*.csv", "--set", "mails=false").status == 0
    approve()
    return folder


def approve() -> None:
    models.Feed.objects.update(approved=feeds.digest_settings(models.Feed.objects.get()))


def arrive(muster: Muster, inbox: Path, *rows: str, name: str = "roster.csv") -> None:
    """A complete file with its marker."""
    (inbox / name).write_bytes(muster.file(*rows).read_bytes())
    (inbox / f"{name}.done").touch()


def run(muster: Muster, *more: str | Path) -> CommandResult:
    return muster("feed", "run", "hr", *OF, *more)


def test_a_file_that_is_given_is_imported_as_the_feed_says_and_once(staffed: Muster) -> None:
    staffed("feed", "add", "hr", *OF, "--command", "--set", "mails=false")
    approve()
    file = staffed.file(row("new"), row("otto", role="Nobody"))
    done = run(staffed, file, "--output", "json", "--results", staffed.folder / "results.csv")
    assert (done.status, done.json["state"], done.json["counts"]["added"]) == (1, "applied", 1), done.err
    assert done.json["rows"][0]["problems"][0]["code"] == "unknown-role"
    assert (staffed.folder / "results.csv").exists()
    record = models.Import.objects.latest("pk")
    assert record.feed is not None
    assert (record.feed.name, record.through, record.actor, record.options["source"]) == ("hr", "feed", "", "hr")
    again = run(staffed, file, "--output", "json")
    assert (again.status, again.json["state"], again.json["import"]) == (0, "nothing-new", None)
    assert "nothing new" in run(staffed, file).err
    assert models.Import.objects.filter(feed__isnull=False).count() == 1


def test_standard_input_is_a_file_too(staffed: Muster) -> None:
    staffed("feed", "add", "hr", *OF, "--command", "--set", "mails=false")
    approve()
    done = staffed("feed", "run", "hr", "-", *OF, "--output", "json", stdin=staffed.file(row("new")).read_bytes())
    assert (done.status, done.json["state"]) == (0, "applied"), done.err


def test_the_first_file_of_a_feed_waits_for_a_person(staffed: Muster) -> None:
    staffed("feed", "add", "hr", *OF, "--command", "--set", "mails=false")
    done = run(staffed, staffed.file(row("new")), "--output", "json")
    assert (done.status, done.json["state"]) == (0, "previewed")
    assert not models.User.objects.filter(external_id="E-new").exists()
    assert staffed("apply", done.json["import"], "--no-mail").status == 0
    assert models.User.objects.filter(external_id="E-new").exists()


def test_what_has_arrived_is_taken_now_and_moved_away(staffed: Muster, inbox: Path) -> None:
    arrive(staffed, inbox, row("new"))
    done = run(staffed, "--output", "json")
    assert (done.status, done.json["state"], done.json["counts"]["added"]) == (0, "applied", 1), done.err
    assert not (inbox / "roster.csv").exists()
    assert (inbox / "done" / "roster.csv").exists()
    nothing = run(staffed, "--output", "json")
    assert (nothing.status, nothing.json["state"]) == (0, "nothing-new")
    assert models.Event.objects.filter(kind="feed.check-asked").count() == 2


def test_several_files_are_imported_in_their_order(staffed: Muster, inbox: Path) -> None:
    arrive(staffed, inbox, row("new"), name="a.csv")
    arrive(staffed, inbox, row("new", badge="B-2"), name="b.csv")
    done = run(staffed)
    assert done.status == 0, done.err
    assert "applied" in done.err
    assert models.User.objects.get(external_id="E-new").badge_number == "B-2"


def test_a_check_says_what_would_be_taken_and_takes_nothing(staffed: Muster, inbox: Path) -> None:
    assert "No file is there" in staffed("feed", "check", "hr", *OF).text
    arrive(staffed, inbox, row("new"))
    for name in ("next.csv", "x.tmp", "notes.txt"):
        (inbox / name).write_text("x")
    before = models.Event.objects.count()
    done = staffed("feed", "check", "hr", *OF, "--output", "json")
    assert (done.status, done.json["problem"]) == (0, "")
    assert [[one["name"] for one in files] for files in done.json["takes"]] == [["roster.csv"]]
    assert {one["name"]: one["why"] for one in done.json["leaves"]} == {
        "next.csv": "changing", "x.tmp": "temporary", "notes.txt": "pattern", "roster.csv.done": "marker",
    }  # fmt: skip
    text = staffed("feed", "check", "hr", *OF).text
    assert "Takes roster.csv" in text
    assert "Leaves notes.txt: its name does not match the pattern" in text
    assert (inbox / "roster.csv").exists()
    assert not models.FeedFile.objects.exists()
    assert models.Event.objects.count() == before


def test_a_location_that_cannot_be_used_is_said(staffed: Muster, inbox: Path) -> None:
    models.Feed.objects.update(location={"kind": "folder", "path": "gone", "pattern": "*"})
    for command in ("check", "run"):
        done = staffed("feed", command, "hr", *OF, "--output", "json")
        assert done.status == 5
        assert done.json["problem"]
    assert "cannot be used" in staffed("feed", "check", "hr", *OF).err


def test_a_folder_of_another_agency_is_never_read(staffed: Muster, inbox: Path) -> None:
    other = inbox.parents[1] / "shelbyville-pd"
    other.mkdir()
    (inbox.parent / "link").symlink_to(other)
    models.Feed.objects.update(location={"kind": "folder", "path": "link", "pattern": "*"})
    assert staffed("feed", "check", "hr", *OF).status == 5
    models.Feed.objects.update(location={"kind": "folder", "path": "../shelbyville-pd", "pattern": "*"})
    assert staffed("feed", "check", "hr", *OF).status == 5


def test_a_feed_without_a_place_to_look_says_so(staffed: Muster) -> None:
    staffed("feed", "add", "hr", *OF, "--sent")
    assert "no place to look" in staffed("feed", "check", "hr", *OF).err
    assert run(staffed).status == 3


def test_a_paused_feed_takes_nothing(staffed: Muster, inbox: Path) -> None:
    staffed("feed", "pause", "hr", *OF, "--why", "Merger")
    arrive(staffed, inbox, row("new"))
    assert run(staffed).status == 3
    done = run(staffed, staffed.file(row("new")))
    assert done.status == 3
    assert "Merger" in done.err
    assert (inbox / "roster.csv").exists()


def test_a_user_who_runs_a_feed_needs_its_permission_and_keeps_their_limits(staffed: Muster) -> None:
    staffed("feed", "add", "hr", *OF, "--command", "--set", "mails=false")
    approve()
    admin = staffed.file(row("new", role="Admin"))
    assert run(staffed, admin, "--as", "E-otto").status == 2
    assert staffed("feed", "check", "hr", *OF, "--as", "E-otto").status == 2
    done = run(staffed, admin, "--as", "E-cy", "--output", "json")
    assert (done.status, done.json["counts"]["errored"]) == (1, 1)
    assert not models.User.objects.filter(external_id="E-new").exists()
    staffed("feed", "set", "hr", *OF, "--mode", "sync")
    assert run(staffed, admin, "--as", "E-cy").status == 2


def test_an_output_is_checked_before_anything_is_taken(staffed: Muster) -> None:
    staffed("feed", "add", "hr", *OF, "--command")
    file = staffed.file(row("new"))
    assert run(staffed, file, "--errors", file).status == 2
    assert run(staffed, staffed.folder / "none.csv").status == 2
    assert not models.FeedFile.objects.exists()


def test_a_check_that_a_user_asks_for_is_made_outside_of_the_windows(staffed: Muster, inbox: Path) -> None:
    never = '{days=["mon"], from="03:00", to="03:01"}'
    assert (
        staffed("feed", "set", "hr", *OF, "--set", f"windows=[{never}]", "--set", "blackout=[2020-01-01]").status == 0
    )
    arrive(staffed, inbox, row("new"))
    assert run(staffed, "--output", "json").json["state"] == "applied"
