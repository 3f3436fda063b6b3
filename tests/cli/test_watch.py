"""`muster watch DIR --once`: what it takes, what it leaves, where files go, what it says, and its exit status."""

import errno
import json
import os
import pwd
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django.fixtures import Settings

from musterbook.config import process
from musterbook.directory import models
from musterbook.directory.imports import file_import, plan_ends
from musterbook.directory.imports.options import Options
from musterbook.feeds import complete, fetching
from musterbook.feeds.locations.location import NotAllowed
from musterbook.feeds.watched_folder import LOCK, FolderBusy, WatchedFolder, WatchLock
from musterbook.feeds.watching import HandledFile, Remark, Watch
from tests.cli.conftest import HEADINGS, CommandResult, Muster, build_directory, row

ANN, BOB, CAT, DAN = row("ann", role="Admin"), row("bob"), row("cat"), row("dan")
SYNC = ("--mode", "sync")


class Folder:
    """A folder, and the command that watches it."""

    def __init__(self, muster: Muster) -> None:
        self.muster, self.path = muster, muster.folder / "in"
        self.path.mkdir()
        self._time = 1_000_000

    def put(self, name: str, *rows: str, done: bool = True, content: bytes | None = None) -> Path:
        """Put a file there, each younger than the one before, with its marker."""
        path, self._time = self.path / name, self._time + 1
        path.write_bytes("\n".join([",".join(HEADINGS), *rows, ""]).encode() if content is None else content)
        os.utime(path, (self._time, self._time))
        if done:
            (self.path / f"{name}.done").touch()
        return path

    def watch(self, *options: str) -> CommandResult:
        """Run the command once."""
        return self.muster("watch", self.path, "--agency", "springfield-pd", "--once", *options)

    def lines(self, *options: str) -> tuple[int, list[Any]]:
        """Run the command once. Return its status and what it said of each file."""
        done = self.watch("--output", "json", *options)
        return done.status, [json.loads(line) for line in done.text.splitlines()]

    def names(self, folder: str = "") -> list[str]:
        """The names of the files there, or in a subfolder, without markers."""
        there = (one.name for one in (self.path / folder).glob("[!.]*") if one.is_file())
        return sorted(name for name in there if not name.endswith(".done"))


@pytest.fixture
def folder(muster: Muster, settings: Settings, tmp_path: Path) -> Folder:
    """A watched folder of an agency with three users, of whom one may lose access without a person."""
    settings.MUSTER_HOME = tmp_path / "home"
    settings.MUSTER_HOME.mkdir()
    build_directory((ANN, BOB, CAT))
    return Folder(muster)


def states(*, of: str = "") -> list[str]:
    """The states of the imports of a watch, the oldest first."""
    records = models.Import.objects.filter(idempotency_key__startswith=plan_ends.WATCH_KEY, file_name__startswith=of)
    return list(records.order_by("pk").values_list("state", flat=True))


def test_complete_files_are_imported_oldest_first_and_moved_next_to_their_results(folder: Folder) -> None:
    folder.put("b.csv", row("dan", badge="1"))
    folder.put("a.csv", row("dan", badge="2"), row("eve", rank="Nothing"))
    done = folder.watch()
    assert done.status == 1
    first, second = done.text.splitlines()
    assert "b.csv was imported as import" in first and "1 user added" in first and first.endswith("moved to done.")
    assert "a.csv was imported" in second and "1 row with problems" in second
    assert models.User.objects.get(external_id="E-dan").badge_number == "2"
    assert folder.names() == []
    assert folder.names("done") == ["a.csv", "a.errors.csv", "a.results.csv", "b.csv", "b.results.csv"]
    assert not models.Feed.objects.exists() and not models.FeedFile.objects.exists()
    assert folder.watch().text == ""


def test_a_file_that_is_not_complete_waits_and_no_newer_one_overtakes_it(folder: Folder) -> None:
    folder.put("a.csv", DAN, done=False)
    folder.put("b.csv", DAN)
    folder.put("c.csv.part", DAN)
    folder.put(".d.csv", DAN)
    assert (folder.watch().status, folder.watch().text) == (0, "")
    assert len(folder.names()) == 3
    (folder.path / "a.csv.done").touch()
    assert [line["file"] for line in folder.lines()[1]] == ["a.csv", "b.csv"]
    assert folder.names() == ["c.csv.part"]


def test_only_files_of_the_pattern_are_imported(folder: Folder) -> None:
    folder.put("a.csv", DAN)
    folder.put("a.txt", DAN)
    assert [line["file"] for line in folder.lines("--pattern", "*.CSV")[1]] == ["a.csv"]
    assert folder.names() == ["a.txt"]


def test_a_file_that_has_been_there_for_a_minute_is_complete_whatever_its_own_time_says(folder: Folder) -> None:
    path, now = folder.put("a.csv", DAN, done=False), time.time()
    os.utime(path, (now + 10_000, now + 10_000))
    ages = {}
    for later in (0, 30, 61):
        location = WatchedFolder(folder.path, now + later)
        (found,) = location.list_files()
        ages[later] = location.find_age(found)
        location.close()
    assert ages[0] < 1 and 29 < ages[30] < 31 and 60 < ages[61] < 62
    os.utime(path, (1, 1))
    location = WatchedFolder(folder.path, now - 100)
    assert location.find_age(location.list_files()[0]) == 0, "it was changed after the folder was looked at"
    path.unlink()
    assert location.find_age(found) == 0
    location.close()


def test_a_file_unchanged_for_a_minute_is_imported_at_once_by_a_process_that_has_just_begun(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("a.csv", DAN, done=False)
    monkeypatch.setattr(WatchedFolder, "find_age", lambda *_: 59.0)
    assert folder.watch().text == ""
    monkeypatch.setattr(WatchedFolder, "find_age", lambda *_: 61.0)
    assert "a.csv was imported" in folder.watch().text


def test_a_held_file_stays_and_is_not_tried_again_until_it_is_applied(folder: Folder) -> None:
    folder.put("a.csv", ANN)
    held = folder.watch(*SYNC)
    assert held.status == 4
    assert "2 users would lose access. The limit is 1, with 3 active users." in held.text
    status, (line,) = folder.lines(*SYNC)
    assert (status, line["state"], line["moved_to"], line["earlier"]) == (4, "held", None, True)
    assert line["confirm"] == f"muster apply {line['import']} --confirm deactivations=2"
    assert f"`{line['confirm']}`" in held.text
    assert (states(), folder.names()) == (["held"], ["a.csv"])
    assert folder.muster(*line["confirm"].split()[1:]).status == 0
    status, (then,) = folder.lines(*SYNC)
    assert (status, then["state"], then["moved_to"]) == (0, "applied", "done")
    assert then["import"] != line["import"]
    assert folder.names("done") == ["a.csv", "a.results.csv"]
    assert models.User.objects.filter(active=True).count() == 1


def test_a_held_file_that_is_discarded_leaves_and_is_imported_again_if_it_is_put_back(folder: Folder) -> None:
    folder.put("a.csv", ANN)
    _, (line,) = folder.lines(*SYNC)
    assert folder.muster("discard", line["import"]).status == 0
    done = folder.watch(*SYNC)
    assert done.status == 0
    assert f"a.csv was not applied. Import {line['import']} was discarded. It was moved to done." in done.text
    (folder.path / "done" / "a.csv").rename(folder.path / "a.csv")
    (folder.path / "a.csv.done").touch()
    assert folder.watch(*SYNC).status == 4
    assert states() == ["held", "held"]


def test_a_newer_file_replaces_one_that_is_held(folder: Folder) -> None:
    folder.put("a.csv", ANN)
    assert folder.watch(*SYNC).status == 4
    folder.put("b.csv", ANN, BOB, CAT, DAN)
    status, lines = folder.lines(*SYNC)
    assert [(line["file"], line["state"], line["moved_to"]) for line in lines] == [
        ("a.csv", "held", None), ("a.csv", "held", "done"), ("b.csv", "applied", "done"),
    ]  # fmt: skip
    assert status == 4, "the worst of all lines"
    old = models.Import.objects.get(number=lines[0]["import"])
    assert (old.ended, old.successor and old.successor.number) == ("replaced-by", lines[2]["import"])
    assert models.User.objects.filter(active=True).count() == 4
    assert folder.muster(*lines[0]["confirm"].split()[1:]).status == 2, "nobody confirms what is old"


def test_a_newer_file_that_is_refused_replaces_nothing(folder: Folder) -> None:
    folder.put("a.csv", ANN)
    assert folder.watch(*SYNC).status == 4
    folder.put("b.csv", content=b"nothing")
    status, lines = folder.lines(*SYNC)
    assert (status, [line["file"] for line in lines]) == (4, ["a.csv", "b.csv"])
    assert (folder.names(), folder.names("failed")) == (["a.csv"], ["b.csv", "b.problem.txt"])
    assert models.Import.objects.get(state="held").ended == ""


def test_a_watch_of_another_folder_replaces_nothing(folder: Folder) -> None:
    folder.put("a.csv", ANN)
    assert folder.watch(*SYNC).status == 4
    other = folder.muster.folder / "other"
    other.mkdir()
    folder.put("b.csv", DAN).rename(other / "b.csv")
    (other / "b.csv.done").touch()
    assert folder.muster("watch", other, "--agency", "springfield-pd", "--once").status == 0
    assert models.Import.objects.get(state="held").ended == ""


def test_a_held_file_that_nobody_applies_in_time_fails(folder: Folder) -> None:
    folder.put("a.csv", ANN)
    assert folder.watch(*SYNC).status == 4
    plan_ends.expire_due(datetime.now(UTC) + timedelta(days=15))
    done = folder.watch(*SYNC)
    assert done.status == 3
    assert "has expired. Make its plan again. It was moved to failed." in done.text
    assert "Nobody applied import" in (folder.path / "failed" / "a.problem.txt").read_text()


def test_a_refused_file_says_why_and_is_tried_again_when_it_is_put_back(folder: Folder) -> None:
    folder.put("a.csv", content=b"EMAIL\nann@springfield.example\n")
    status, (line,) = folder.lines()
    assert (status, line["state"], line["moved_to"], line["problems"][0]["code"]) == (
        3,
        "refused",
        "failed",
        "missing-column",
    )
    assert line["message"] in (folder.path / "failed" / "a.problem.txt").read_text()
    (folder.path / "failed" / "a.csv").rename(folder.path / "a.csv")
    (folder.path / "a.csv.done").touch()
    again = folder.watch()
    assert again.status == 3
    assert "a.csv was refused, as import" in again.text
    assert states() == ["refused", "refused"]


def test_an_applied_file_that_is_put_back_is_not_imported_again(folder: Folder) -> None:
    folder.put("a.csv", DAN)
    assert folder.watch().status == 0
    (folder.path / "done" / "a.csv").rename(folder.path / "a.csv")
    (folder.path / "a.csv.done").touch()
    again = folder.watch()
    assert (again.status, states()) == (0, ["applied"])
    assert "a.csv was imported before, as import" in again.text
    assert folder.names() == []
    folder.put("a.csv", DAN)
    assert "a.csv was imported as import" in folder.watch().text, "its time is another"


def test_a_file_with_a_wrong_checksum_waits_and_then_fails(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a.csv", DAN, done=False)
    marker = folder.path / "a.csv.sha256"
    marker.write_text("0" * 64)
    folder.put("b.csv", DAN)
    assert folder.watch().text == ""
    assert folder.names() == ["a.csv", "a.csv.sha256", "b.csv"]
    monkeypatch.setattr(complete, "UNCHANGED_FOR", timedelta(0))
    status, lines = folder.lines()
    assert (status, [line["state"] for line in lines]) == (3, ["refused", "applied"])
    assert lines[0]["import"] is None
    assert "a.csv.sha256" in lines[0]["message"]
    assert folder.names("failed") == ["a.csv", "a.csv.sha256", "a.problem.txt"]


def test_a_file_that_is_too_large_fails_in_words(folder: Folder, settings: Settings) -> None:
    settings.MUSTER_MAX_FILE_MB = 0
    folder.put("a.csv", DAN)
    done = folder.watch()
    assert done.status == 3
    assert "a.csv was refused: The file is larger than 0 MB" in done.text
    assert states() == []


def test_what_is_no_file_is_named_once_and_skipped(folder: Folder) -> None:
    secret = folder.muster.folder / "secret.csv"
    secret.write_text("\n".join([",".join(HEADINGS), DAN]))
    (folder.path / "link.csv").symlink_to(secret)
    (folder.path / "link.csv.done").touch()
    os.mkfifo(folder.path / "pipe.csv")
    (folder.path / "folder.csv").mkdir()
    (folder.path / "two\nlines.csv").write_text("x")
    (folder.path / ".hidden").symlink_to(secret)
    folder.put("z.csv", row("eve"))
    watched = Watch(folder.path, "springfield-pd", Options())
    watched.begin()
    try:
        first = [getattr(one, "sentence", "") for one in watched.check()]
        assert first == [
            "two\\nlines.csv has a name that cannot be used. It is skipped.",
            "folder.csv is a folder. It is skipped.",
            "link.csv is a link. It is skipped.",
            "pipe.csv is not a regular file. It is skipped.",
            "",
        ]
        assert list(watched.check()) == []
        (folder.path / "link.csv").unlink()
        assert list(watched.check()) == []
        (folder.path / "link.csv").symlink_to(secret)
        assert [getattr(one, "sentence", "") for one in watched.check()] == ["link.csv is a link. It is skipped."]
    finally:
        watched.end()
    assert not models.User.objects.filter(external_id="E-dan").exists()
    done = folder.watch()
    assert (done.status, done.text, len(done.err.splitlines())) == (0, "", 4)


@pytest.fixture
def _ordinary(folder: Folder) -> Iterator[None]:
    """The process has no more rights than an ordinary user, who owns the folders, for as long as a test runs."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody")
    home = folder.muster.folder
    for path in (home, *list(home.parents)[:3]):
        path.chmod(path.stat().st_mode | 0o055)
    for path in (folder.path, home / "home"):
        os.chown(path, nobody.pw_uid, -1)
    os.seteuid(nobody.pw_uid)
    yield
    os.seteuid(0)


def test_a_file_that_cannot_be_read_is_reported_and_the_others_are_imported(
    folder: Folder, request: pytest.FixtureRequest
) -> None:
    folder.put("a.csv", DAN).chmod(0)
    folder.put("b.csv", row("eve"))
    watched = Watch(folder.path, "springfield-pd", Options())
    request.getfixturevalue("_ordinary")
    watched.begin()
    try:
        remark, handled = watched.check()
        assert isinstance(remark, Remark) and isinstance(handled, HandledFile)
        assert (remark.sentence[:9], remark.fails) == ("a.csv in ", True)
        assert "cannot be read" in remark.sentence
        assert handled.name == "b.csv"
        assert list(watched.check()) == []
    finally:
        watched.end()
    assert folder.names() == ["a.csv"]


def test_a_folder_in_which_nothing_can_be_moved_is_refused(folder: Folder, request: pytest.FixtureRequest) -> None:
    folder.put("a.csv", DAN)
    (folder.path / LOCK).touch()
    (folder.path / LOCK).chmod(0o666)
    request.getfixturevalue("_ordinary")
    folder.path.chmod(0o555)
    watched = Watch(folder.path, "springfield-pd", Options())
    with pytest.raises(NotAllowed, match=r"The files in .*in cannot be moved. Let this account write there"):
        watched.begin()
    watched.end()
    assert states() == []


def test_a_file_that_cannot_be_moved_is_not_imported_again(folder: Folder) -> None:
    (folder.path / "done").write_text("a file in the way")
    folder.put("a.csv", DAN, done=False)
    (folder.path / "a.csv.sha256").touch()
    folder.put("a.csv", DAN)
    (folder.path / "a.csv.sha256").unlink()
    done = folder.watch()
    assert done.status == 5
    assert "a.csv cannot be moved to done." in done.err and "It is not imported again." in done.err
    assert folder.watch().status == 5
    assert states() == ["applied"]
    (folder.path / "done").unlink()
    again = folder.watch()
    assert (again.status, states()) == (0, ["applied"])
    assert "a.csv was imported before" in again.text


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_stands_in_for_the_lock_is_not_used(folder: Folder, kind: str) -> None:
    place, other = folder.path / LOCK, folder.muster.folder / "other"
    other.write_text("precious")
    make: dict[str, Callable[[], object]] = {
        "link": lambda: place.symlink_to(other), "pipe": lambda: os.mkfifo(place), "folder": place.mkdir,
    }  # fmt: skip
    make[kind]()
    folder.put("a.csv", DAN)
    done = folder.watch()
    assert done.status == 5
    assert done.err.count("\n") == 1
    assert other.read_text() == "precious"
    assert folder.names() == ["a.csv"]


def test_the_lock_can_be_used_by_the_group_alone(folder: Folder) -> None:
    folder.watch()
    assert stat.S_IMODE((folder.path / LOCK).stat().st_mode) & 0o007 == 0


def test_options_of_the_import_are_used(folder: Folder) -> None:
    columns = [heading if heading != "RANK" else "Grade" for heading in HEADINGS]
    text = "\n".join([",".join(columns), row("dan", role="Boss", status="A", rank="Sgt")]).replace(",", ";")
    folder.put("a.csv", content=text.encode("utf-16"))
    status, (line,) = folder.lines(
        "--map", "Grade=RANK", "--value", "ROLE:Boss=Clerk", "--value", "STATUS:A=Active", "--encoding", "utf-16",
        "--delimiter", "semicolon", "--source", "hr", "--no-mail", "--as", "E-ann", "--keep-badges", "--header-row", "1",
        "--accept", "looks-damaged", "--strict", "--default", "ROLE=Officer",
    )  # fmt: skip
    assert (status, line["counts"]["added"]) == (0, 1), line
    record = models.Import.objects.get(number=line["import"])
    assert (record.actor, record.options["source"], record.options["strict"]) == ("E-ann", "hr", True)
    assert record.options["accepted"] == {"looks-damaged": ""} or record.options["accepted"]
    assert record.options["release_badges"] is False
    dan = models.User.objects.select_related("rank", "role").get(external_id="E-dan")
    assert (dan.rank and dan.rank.name, dan.role.name, dan.source) == ("Sergeant", "Clerk", "hr")
    assert not models.Mail.objects.filter(user=dan).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "--agency", "springfield-pd"), "nowhere is not a folder. Name the folder"),
        (("in", "--agency", "shelbyville"), "There is no agency “shelbyville”."),
        (("in", "--agency", "springfield-pd", "--as", "E-nobody"), "There is no active user"),
        (("in", "--agency", "springfield-pd", "--as", "E-bob"), "does not have a required permission"),
        (("in", "--agency", "springfield-pd", "--map", "x"), "--map is"),
    ],
)
def test_a_wrong_call_ends_at_once(folder: Folder, arguments: tuple[str, ...], said: str) -> None:
    place, *options = arguments
    folder.put("a.csv", DAN)
    done = folder.muster("watch", folder.muster.folder / place, *options, "--once")
    assert (done.status, done.text) == (2, "")
    assert said in done.err
    assert folder.names() == ["a.csv"]


def test_a_user_who_may_import_may_watch_but_not_synchronize(folder: Folder) -> None:
    folder.muster.imported(row("dan", role="Clerk"))
    folder.put("a.csv", row("eve"))
    assert folder.watch("--as", "E-dan", *SYNC).status == 2
    assert folder.watch("--as", "E-dan").status == 0


def test_a_file_that_fails_for_its_own_reason_leaves_and_the_others_are_imported(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("a.csv", DAN)
    folder.put("b.csv", row("eve"))
    usual = file_import.read_upload

    def read(agency: models.Agency, upload: file_import.Upload, *more: Any, **named: Any) -> Any:
        if upload.name == "a.csv":
            raise RuntimeError("broken")
        return usual(agency, upload, *more, **named)

    monkeypatch.setattr(file_import, "read_upload", read)
    done = folder.watch()
    assert done.status == 5
    assert "a.csv failed, as import" in done.text and "b.csv was imported" in done.text
    assert folder.names("failed") == ["a.csv", "a.problem.txt"]


def test_a_database_that_is_lost_leaves_the_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from musterbook.directory.storage import database_errors

    def lose(*_: Any, **__: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(file_import, "read_upload", lose)
    monkeypatch.setattr(database_errors, "is_lost", lambda error: isinstance(error, OperationalError))
    folder.put("a.csv", DAN)
    done = folder.watch()
    assert (done.status, folder.names(), folder.names("failed")) == (5, ["a.csv"], [])
    assert "The database could not be used: gone." in done.err


def test_a_quota_leaves_the_file(folder: Folder, settings: Settings) -> None:
    folder.put("a.csv", DAN)
    folder.put("b.csv", DAN)
    settings.MUSTER_USER_FILES = 0
    done = folder.watch("--as", "E-ann")
    assert done.status == 5
    assert folder.names() == ["a.csv", "b.csv"]
    assert states() == []


def test_a_file_that_changes_while_it_is_read_waits(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    path, usual = folder.put("a.csv", DAN), fetching._read

    def read(*given: Any) -> None:
        path.write_bytes(path.read_bytes() + row("eve").encode())
        usual(*given)

    folder.put("b.csv", DAN)
    monkeypatch.setattr(fetching, "_read", read)
    assert (folder.watch().text, states()) == ("", [])
    monkeypatch.undo()
    assert folder.names() == ["a.csv", "b.csv"]


def test_a_held_file_that_is_taken_away_is_forgotten_and_its_import_stays(folder: Folder) -> None:
    path = folder.put("a.csv", ANN)
    watched = Watch(folder.path, "springfield-pd", Options.of_json({"mode": "sync"}))
    watched.begin()
    try:
        assert [getattr(one, "folder", None) for one in watched.check()] == [""]
        assert list(watched.check()) == []
        path.unlink()
        assert list(watched.check()) == []
        assert models.Import.objects.get(state="held").ended == ""
    finally:
        watched.end()


def run_for(folder: Folder, steps: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch) -> CommandResult:
    """Run the command without --once. Before each wait it does a step, and after the last one it is asked to end."""
    left = iter(steps)

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  (each step takes the place of the wait)
            if step := next(left, None):
                step()
                return False
            os.kill(os.getpid(), signal.SIGTERM)
            return super().wait(20)

    monkeypatch.setattr("django.db.close_old_connections", lambda: None)  # the test's own is the only one
    monkeypatch.setattr(process, "threading", SimpleNamespace(Event=Stop, Thread=threading.Thread))
    return folder.muster("watch", folder.path, "--agency", "springfield-pd", *SYNC)


def test_it_runs_until_it_is_asked_to_end_and_says_each_thing_once(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("a.csv", ANN)
    away = folder.muster.folder / "away"

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = signal.getsignal(signal.SIGTERM)
    steps: list[Callable[[], object]] = [
        lambda: None,
        lambda: folder.path.rename(away),
        lambda: None,
        lambda: away.rename(folder.path),
        lambda: folder.put("b.csv", ANN, BOB, CAT),
        lambda: monkeypatch.setattr(complete, "choose", fail),
        lambda: None,
    ]
    done = run_for(folder, steps, monkeypatch)
    assert done.status == 0, done.err
    assert [line[21:].split(" ")[:3] for line in done.text.splitlines()] == [
        ["a.csv", "waits", "as"], ["a.csv", "was", "not"], ["b.csv", "was", "imported"],
    ]  # fmt: skip
    watching, gone, full = done.err.splitlines()
    assert watching == f"Watching {folder.path}. Press Ctrl-C to end."
    assert gone == f"The folder {folder.path} cannot be used: No such file or directory."
    assert "No space left on device" in full
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_waits_while_the_agency_is_paused_and_goes_on_after_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.Agency.objects.update(paused_at=datetime.now(UTC))
    folder.put("a.csv", ANN, BOB, CAT)
    assert (folder.watch().status, folder.names()) == (3, ["a.csv"])
    seen: list[list[str]] = []
    steps: list[Callable[[], object]] = [
        lambda: seen.append(folder.names()),
        lambda: seen.append(folder.names()),
        lambda: models.Agency.objects.update(paused_at=None),
        lambda: seen.append(folder.names()),
    ]
    done = run_for(folder, steps, monkeypatch)
    assert (done.status, seen) == (0, [["a.csv"], ["a.csv"], []])
    assert done.err.splitlines()[1:] == ["springfield-pd is paused. Its files wait until it is resumed."]
    assert "a.csv was imported" in done.text
    assert states() == ["applied"]


def test_a_folder_that_another_process_has_meanwhile_ends_the_watch(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = WatchLock(folder.path)

    def take() -> None:
        (folder.path / LOCK).unlink()
        other.hold()

    done = run_for(folder, [take], monkeypatch)
    other.release()
    assert done.status == 3
    assert f"{folder.path} is watched already, by process {os.getpid()} on" in done.err


def test_a_folder_of_a_feed_and_what_leads_to_it_is_not_watched(folder: Folder, settings: Settings) -> None:
    settings.MUSTER_FEED_FOLDERS = [folder.muster.folder / "feeds"]
    place = folder.muster.folder / "feeds" / "springfield-pd" / "hr"
    place.mkdir(parents=True)
    agency = models.Agency.objects.get()
    location = {"kind": "folder", "path": "hr"}
    models.Feed.objects.create(agency=agency, name="hr", mode="sync", location=location, created_at=datetime.now(UTC))
    link = folder.muster.folder / "link"
    link.symlink_to(place)
    done = folder.muster("watch", link, "--agency", "springfield-pd", "--once")
    assert (done.status, list(place.iterdir())) == (2, [])
    assert done.err == "The feed hr of springfield-pd takes the files of this folder. Watch another folder.\n"
    assert folder.watch().status == 0


def test_it_ends_between_two_files_when_it_is_asked_to(folder: Folder) -> None:
    folder.put("a.csv", DAN)
    folder.put("b.csv", DAN)
    watched, asked = Watch(folder.path, "springfield-pd", Options()), iter([False, True])
    watched.begin()
    try:
        assert [getattr(one, "name", "") for one in watched.check(lambda: next(asked))] == ["a.csv"]
    finally:
        watched.end()
    assert folder.names() == ["b.csv"]


def test_a_lock_whose_file_is_removed_at_the_same_moment_is_taken_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, other, usual = WatchLock(folder.path), WatchLock(folder.path), WatchLock._lock
    removed: list[int] = []

    def remove_once(self: WatchLock, file: int) -> None:
        if not removed:
            (folder.path / LOCK).unlink()
        removed.append(file)
        usual(self, file)

    monkeypatch.setattr(WatchLock, "_lock", remove_once)
    lock.hold()
    assert len(removed) == 2
    with pytest.raises(FolderBusy):
        other.hold()
    lock.release()
    assert other.hold() > 0
    other.release()
