"""A file becomes an import, once (rules N1, N2, N3): with its checksum, within its size, and never twice the same."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction
from pytest_django.fixtures import Settings

from musterbook.core.domain.problems import Problem
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue, quotas
from musterbook.directory.imports.file_import import FileOnDisk, Upload
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.models import NoticeKind
from musterbook.feeds import fetching, taking
from musterbook.feeds.locations.location import FoundFile
from musterbook.feeds.taking import FeedPaused, LeaseLost, Origin
from tests.directory import cast
from tests.feeds.places import NOW, Place

TEN = cast.people(*range(1, 11))
OTHER = cast.people(*range(1, 11), LAST_NAME="New")


def send(place: Place, rows: list[cast.Row] = TEN, name: str = "hr.csv") -> taking.Taken:
    """Send a file to the feed as a program does, and let the worker do what follows."""
    taken = taking.submit_file(place.refresh(), Upload(cast.file(rows), name), AuditContext(place.at, "", "feed"))
    place.check()
    return taken


def apply_first(place: Place) -> models.Import:
    record = send(place).record
    assert record is not None
    return place.confirm(record)


def test_a_file_that_is_sent_is_remembered_together_with_its_import(place: Place) -> None:
    taken = send(place)
    assert taken.record is not None
    assert (taken.file.of, taken.file.name, taken.file.size) == (taken.record, "hr.csv", len(cast.file(TEN)))
    assert taken.record.feed == place.feed
    assert place.refresh().arrived_at == NOW


def test_a_file_on_disk_is_taken_without_being_read(place: Place, tmp_path: Path) -> None:
    content = cast.file(TEN)
    path = tmp_path / "sent"
    path.write_bytes(content)
    file = FileOnDisk(path, "hr.csv", len(content), hashlib.sha256(content).hexdigest())
    assert taking.submit_file(place.feed, file, AuditContext(NOW, "", "feed")).record
    assert path.exists()


def test_the_import_has_the_settings_of_the_feed(place: Place) -> None:
    models.Feed.objects.update(
        mode="sync",
        source="sworn",
        reading={"mode": "update", "mails": False, "strict": True, "confirmed": {"shrunk": 1}},
    )
    record = send(place).record
    assert record is not None
    found = {name: record.options.get(name) for name in ("mode", "source", "mails", "strict", "confirmed", "preview")}
    assert found == {
        "mode": "sync",
        "source": "sworn",
        "mails": False,
        "strict": True,
        "confirmed": {},
        "preview": True,
    }


def test_the_same_content_while_the_first_waits_is_nothing_new(place: Place) -> None:
    send(place)
    assert send(place).record is None
    assert place.states() == ["previewed"]


def test_the_same_content_after_it_was_applied_is_nothing_new_and_other_content_is(place: Place) -> None:
    apply_first(place)
    place.pass_time()
    assert send(place).record is None
    assert place.refresh().arrived_at == place.at
    assert send(place, OTHER).record
    assert send(place, OTHER).record is None
    assert send(place).record
    assert [file.of is None for file in place.files()] == [False, True, False, True, False]


def discard(place: Place) -> None:
    queue.discard(models.Import.objects.get(ended="", state="held"), AuditContext(place.at, "", "cli"))


def expire(place: Place) -> None:
    models.Import.objects.filter(state="held").update(ended="expired")


def change(place: Place) -> None:
    models.Feed.objects.update(source="other")


def change_reading(place: Place) -> None:
    feed = place.refresh()
    models.Feed.objects.update(reading={**feed.reading, "strict": True})


@pytest.mark.parametrize(("then", "is_new"), [(discard, False), (expire, True), (change, True), (change_reading, True)])
def test_the_same_content_is_new_if_nobody_looked_in_time_or_the_settings_have_changed(
    place: Place, then: Callable[[Place], None], is_new: bool
) -> None:
    apply_first(place)
    held = send(place, cast.people(1)).record
    assert held is not None
    held.refresh_from_db()
    assert held.state == "held"
    then(place)
    assert bool(send(place, cast.people(1)).record) is is_new


def test_the_same_content_after_a_failure_is_tried_again(place: Place) -> None:
    apply_first(place)
    bad = [{"EXTERNAL_ID": "E-1"}]
    assert send(place, bad).record
    assert send(place, bad).record
    assert place.states()[-2:] == ["refused", "refused"]
    assert send(place).record is None  # the last one that did not fail had this content


def test_a_changed_feed_shows_its_next_file_even_if_it_is_the_same(place: Place) -> None:
    apply_first(place)
    change(place)
    record = send(place).record
    assert record is not None
    assert record.options["preview"]


def test_a_paused_feed_takes_nothing(place: Place) -> None:
    models.Feed.objects.update(paused_at=NOW, paused_why="holidays")
    with pytest.raises(FeedPaused, match="holidays"):
        send(place)
    assert place.files() == []
    assert [one.name for one in (place.home / "files").iterdir()] == [models.Import.objects.get().number]


def test_a_feed_that_is_gone_takes_nothing(place: Place) -> None:
    gone = models.Feed(pk=place.feed.pk, agency=place.feed.agency, name="hr", mode="update", created_at=NOW)
    place.feed.delete()
    with pytest.raises(LeaseLost):
        taking.submit_file(gone, Upload(b"x", "a.csv"), AuditContext(NOW, "", "feed"))


def test_a_worker_that_has_lost_the_feed_takes_nothing(place: Place) -> None:
    models.Feed.objects.update(worker="another")
    origin = Origin([FoundFile(1.0, "a.csv", 1)], [], "mine", {})
    with pytest.raises(LeaseLost):
        taking.submit_file(place.feed, Upload(b"x", "a.csv"), AuditContext(NOW, "", "feed"), origin=origin)
    with pytest.raises(LeaseLost):
        taking.refuse_file(place.feed, origin, NOW, 1, "", "no")
    assert place.files() == []


def test_what_fails_with_the_transaction_leaves_neither_the_file_nor_the_import(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        assert transaction.get_connection().in_atomic_block
        raise RuntimeError

    monkeypatch.setattr(models.FeedFile.objects, "create", fail)
    before = models.Import.objects.count()
    with pytest.raises(RuntimeError):
        send(place)
    assert (models.Import.objects.count(), place.refresh().arrived_at) == (before, None)


def test_a_checksum_that_agrees_is_taken_at_once(place: Place) -> None:
    content = cast.file(TEN)
    place.put("hr.csv", content)
    place.put("hr.csv.sha256", f"{hashlib.sha256(content).hexdigest()}  hr.csv\n".encode())
    place.check()
    assert place.states() == ["previewed"]
    assert [name for name, _ in place.files()[0].leaving] == ["hr.csv.sha256", "hr.csv"]


def test_a_checksum_that_does_not_agree_waits_and_then_the_file_has_failed(place: Place) -> None:
    place.put("hr.csv", TEN)
    place.put("hr.csv.sha256", b"0" * 64)
    place.check()
    assert (place.files(), place.names()) == ([], ["hr.csv", "hr.csv.sha256"])
    place.pass_time()
    place.check()
    (file,) = place.files()
    assert file.problem == "The checksum in hr.csv.sha256 is not that of hr.csv. Send the file and its checksum again."
    assert (place.names(), place.names("failed")) == ([], ["hr.csv", "hr.csv.sha256", "hr.problem.txt"])
    notice = models.Notice.objects.get(feed=place.feed)
    assert notice.kind == NoticeKind.FAILED
    assert place.states() == []


def test_a_newer_file_does_not_overtake_one_whose_checksum_is_not_there_yet(place: Place) -> None:
    place.put("a.csv", TEN)
    place.put("a.csv.sha256", b"0" * 64)
    content = cast.file(OTHER)
    place.put("b.csv", content)
    place.put("b.csv.sha256", hashlib.sha256(content).hexdigest().encode())
    place.check()
    assert place.files() == []


def test_a_file_that_is_too_large_has_failed(place: Place, settings: Settings) -> None:
    settings.MUSTER_MAX_FILE_MB = 1
    assert place.bring("hr.csv", b"x" * (1 << 20) + b"y") is None
    (file,) = place.files()
    assert "larger than 1 MB" in file.problem
    assert place.names("failed") == ["hr.csv", "hr.problem.txt"]
    assert list((settings.MUSTER_HOME / "arriving").iterdir()) == []


def test_a_file_that_takes_too_long_is_left_for_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LONGEST", -1.0)
    assert place.bring("hr.csv", TEN) is None
    assert "took longer" in place.refresh().problem
    assert (place.names(), place.feed.failures) == (["hr.csv"], 1)


def test_a_quota_that_is_used_up_leaves_the_file_for_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OverQuota(Problem.of("too-many-files", owner="this agency", value="3 files", retention=""))

    monkeypatch.setattr(quotas, "check_quotas", refuse)
    assert place.bring("hr.csv", TEN) is None
    assert place.refresh().problem
    assert place.names() == ["hr.csv"]


def test_a_full_disk_leaves_the_file_for_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileOnDisk, "keep", fill)
    assert place.bring("hr.csv", TEN) is None
    assert place.refresh().problem == "The file could not be stored: No space left on device."
    monkeypatch.undo()
    place.pass_time(10)
    place.check()
    assert place.states() == ["previewed"]
    assert place.refresh().problem == ""


def test_several_files_are_one_import(place: Place) -> None:
    models.Feed.objects.update(together=True)
    place.put("2.csv", cast.people(6, 7, 8, 9, 10))
    record = place.bring("1.csv", cast.people(*range(1, 6)))
    assert record is not None
    assert (record.file_name, record.counts["rows"]) == ("hr.csv", 10)
    assert place.files()[0].parts == ["1.csv", "2.csv"]
    place.confirm(record)
    assert place.names("done") == ["1.csv", "1.results.csv", "2.csv"]


def test_several_files_with_other_headings_fail_together(place: Place) -> None:
    models.Feed.objects.update(together=True)
    place.put("2.csv", b"A,B\r\n1,2\r\n")
    assert place.bring("1.csv", TEN) is None
    assert "2.csv has other headings than 1.csv" in place.files()[0].problem
    assert place.names("failed") == ["1.csv", "1.problem.txt", "2.csv"]


def test_what_a_dead_process_left_is_deleted_after_a_day(place: Place) -> None:
    folder = place.home / "arriving"
    folder.mkdir()
    (folder / "arriving-1").write_bytes(b"x")
    now = datetime.now(UTC)
    fetching.forget_old(now)
    assert list(folder.iterdir())
    fetching.forget_old(now + timedelta(days=2))
    assert list(folder.iterdir()) == []


def test_several_files_that_are_too_large_together_have_failed(place: Place, settings: Settings) -> None:
    models.Feed.objects.update(together=True)
    settings.MUSTER_MAX_FILE_MB = 1
    part = b"EXTERNAL_ID,EMAIL\r\n" + b"x" * 600_000 + b",y\r\n"
    place.put("2.csv", part)
    assert place.bring("1.csv", part) is None
    assert "larger than 1 MB" in place.files()[0].problem


def test_several_files_of_which_one_has_a_wrong_checksum_fail_together(place: Place) -> None:
    models.Feed.objects.update(together=True)
    place.put("2.csv", TEN)
    place.put("2.csv.sha256", b"0" * 64)
    assert place.bring("1.csv", TEN) is None
    assert "2.csv.sha256" in place.files()[0].problem
    assert place.names() == []


def test_files_are_forgotten_after_a_year_unless_they_could_be_taken_again(place: Place) -> None:
    record = apply_first(place)
    models.FeedFile.objects.all().delete()

    def make(name: str, days: int, modified: str = "1.0", settled: bool = True, **more: object) -> None:
        at = NOW - timedelta(days=days)
        facts = {"size": 1, "sha256": "0" * 64, "of": record, "settled_at": at if settled else None}
        models.FeedFile.objects.create(feed=place.feed, name=name, at=at, modified=modified, **facts, **more)

    make("sent.csv", 401, "")
    make("moved.csv", 401, leaving=[["moved.csv", "1.0"]])
    make("again.csv", 401)
    make("may-lie-there.csv", 401)
    make("unsettled.csv", 401, "", settled=False)
    make("young.csv", 399, "")
    make("again.csv", 500, "")
    assert (taking.forget_old(NOW), taking.forget_old(NOW)) == (3, 0)
    kept = ["again.csv", "may-lie-there.csv", "unsettled.csv", "young.csv"]
    assert sorted(models.FeedFile.objects.values_list("name", flat=True)) == kept
    assert models.Import.objects.filter(pk=record.pk).exists()
