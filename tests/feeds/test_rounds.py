"""The rounds of a worker over feeds (rules N1, N3, N5, N6): what is due is checked, by one worker at a time."""

import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.pending_uploads import ArrivingFile
from musterbook.directory.models import NoticeKind
from musterbook.directory.storage.locks import AgencyPaused
from musterbook.feeds import checks, claims, lateness, overview, rounds, settling
from musterbook.feeds.complete import Reason
from musterbook.feeds.locations import opening
from musterbook.feeds.locations.location import (
    FileChanged,
    FoundFile,
    HostKeyChanged,
    NotAllowed,
    NotSetUp,
    Unreachable,
    Write,
)
from musterbook.feeds.overview import FeedState
from musterbook.feeds.rounds import FeedBusy
from musterbook.feeds.taking import FeedPaused, LeaseLost
from tests.directory import cast
from tests.feeds.places import MINUTE, NOW, Place
from tests.feeds.test_lateness import DAYS

TEN = cast.people(*range(1, 11))
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWb4oBrZ0y0vQ4l0KcV2HqS7nq8y9cS3Z1n0Yq3x5lD"
NIGHTLY = {"windows": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "02:00", "to": "03:00"}]}


class Broken:
    """A location at which every attempt fails in the same way."""

    moves = False
    left_out: tuple[str, ...] = ()

    def __init__(self, error: Exception) -> None:
        self.error = error

    def list_files(self) -> list[FoundFile]:
        """Fail."""
        raise self.error

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """Let every location fail, or none any more."""
    usual = opening.open_location

    def use(error: Exception | None) -> None:
        monkeypatch.setattr(opening, "open_location", (lambda feed: Broken(error)) if error else usual)

    return use


def test_the_first_file_waits_for_a_person_and_the_next_are_imported_by_themselves(place: Place) -> None:
    first = place.bring("hr.csv", TEN)
    assert first is not None
    assert (first.state, first.through, first.options["source"]) == ("previewed", "feed", "hr")
    assert place.names() == ["hr.csv"]
    assert place.confirm(first).state == "applied"
    assert place.names() == []
    assert place.names("done") == ["hr.csv", "hr.results.csv"]
    second = place.bring("hr2.csv", cast.people(*range(1, 12)))
    assert second is not None
    assert second.state == "applied"
    assert place.names("done") == ["hr.csv", "hr.results.csv", "hr2.csv", "hr2.results.csv"]
    assert all(file.settled_at for file in place.files())


def test_a_newer_file_replaces_one_that_waits(place: Place) -> None:
    """Both the first file, and one that is held later (rule N4)."""
    place.bring("1.csv", TEN)
    second = place.bring("2.csv", cast.people(*range(1, 12)))
    assert second is not None
    first = models.Import.objects.filter(feed=place.feed).earliest("pk")
    assert (first.ended, first.successor) == ("replaced-by", second)
    assert (place.names(), place.names("done")) == (["2.csv"], ["1.csv"])
    place.confirm(second)
    held = place.bring("3.csv", cast.people(1))
    newer = place.bring("4.csv", cast.people(*range(1, 12), LAST_NAME="New"))
    assert held is not None
    assert newer is not None
    held.refresh_from_db()
    assert (held.state, held.ended, held.successor, newer.state) == ("held", "replaced-by", newer, "applied")
    assert place.names() == []


def test_several_files_are_taken_in_their_order(begun: Place) -> None:
    for number, last in ((1, "One"), (2, "Two"), (3, "Three")):
        begun.put(f"{9 - number}.csv", cast.people(*range(1, 11), LAST_NAME=last))
    begun.pass_time(10)
    begun.check()
    begun.pass_time()
    begun.check()
    assert [file.name for file in begun.files()[1:]] == ["8.csv", "7.csv", "6.csv"]
    assert set(models.User.objects.values_list("last_name", flat=True)) == {"Three"}


def test_files_of_other_names_are_left_alone(place: Place) -> None:
    for name in ("notes.txt", ".hidden.csv", "hr.csv.part", "x.done"):
        place.put(name, b"x")
    for _ in range(3):
        place.pass_time(10)
        place.check()
    assert (place.files(), len(place.names())) == ([], 4)


def test_a_check_without_a_file_costs_few_queries_however_many_feeds_are_due(place: Place) -> None:
    def count() -> int:
        place.pass_time(10)
        place.check()
        place.pass_time(10)
        with CaptureQueriesContext(connection) as queries:
            assert rounds.check_folders("tests", place.now) > 0
        return len(queries)

    one = count()
    for number in range(30):
        Place.make(place.home, f"more-{number}")
    assert count() == one


def test_a_feed_is_checked_within_its_windows_only(place: Place) -> None:
    models.Feed.objects.update(schedule=NIGHTLY)
    place.bring("hr.csv", TEN)
    assert place.files() == []
    assert place.refresh().next_check_at == NOW.replace(hour=2)
    place.at = NOW.replace(hour=2)
    place.check()
    place.pass_time()
    place.check()
    assert place.states() == ["previewed"]
    place.at = NOW.replace(hour=2, minute=59)
    place.check()
    assert place.refresh().next_check_at == NOW.replace(hour=2) + timedelta(days=1)


def test_a_window_that_has_closed_since_is_respected(place: Place) -> None:
    models.Feed.objects.update(schedule=NIGHTLY, next_check_at=NOW - MINUTE)
    assert rounds.check_next_feed("tests", place.now)
    assert place.refresh().checked_at is None
    assert not rounds.check_next_feed("tests", place.now)


def test_a_check_that_a_user_asks_for_is_made_also_outside_of_the_windows(place: Place) -> None:
    models.Feed.objects.update(schedule=NIGHTLY)
    place.put("hr.csv", TEN)
    for _ in range(2):
        place.check()
        feeds.request_check(place.refresh(), AuditContext(place.at, "", "cli"), None)
        place.check()
        assert (place.refresh().asked_at, place.feed.checked_at) == (None, place.at)
        place.pass_time()
    assert place.states() == ["previewed"]


def test_a_check_that_is_asked_for_while_one_is_made_is_made_after_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = checks.look_at

    def ask(feed: models.Feed, *rest: Any) -> Any:
        models.Feed.objects.update(asked_at=place.at, next_check_at=place.at)
        return usual(feed, *rest)

    place.put("hr.csv", TEN)
    with monkeypatch.context() as patch:
        patch.setattr(checks, "look_at", ask)
        rounds.check_next_feed("tests", place.now)
    assert rounds.check_next_feed("tests", place.now)
    assert not rounds.check_next_feed("tests", place.now)


def test_a_check_that_is_asked_for_again_while_one_is_made_is_made_after_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> None:
        feeds.request_check(place.refresh(), AuditContext(place.at, "", "cli"), None)

    ask()
    with monkeypatch.context() as patch:
        patch.setattr(checks, "look_at", interrupt(checks.look_at, place.pass_time, ask))
        rounds.check_next_feed("tests", place.now)
    assert place.refresh().asked_at == place.at
    assert rounds.check_next_feed("tests", place.now)
    assert place.refresh().asked_at is None
    assert not rounds.check_next_feed("tests", place.now)


def interrupt(usual: Callable[..., Any], *steps: Callable[[], object]) -> Callable[..., Any]:
    """Take these steps first, and then do the usual."""

    def do(*given: Any) -> Any:
        for step in steps:
            step()
        return usual(*given)

    return do


Check = Callable[[str, Callable[[], datetime]], object]


@pytest.mark.parametrize("check", [rounds.check_next_feed, rounds.check_folders], ids=["one", "many"])
@pytest.mark.parametrize("fails", [False, True], ids=["finds nothing", "fails"])
def test_settings_that_are_changed_while_a_feed_is_checked_count_from_then_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, check: Check, fails: bool
) -> None:
    def change() -> None:
        feed = place.refresh()
        feeds.change(feed, {"every_minutes": 1}, feeds.mark(feed), AuditContext(place.at, "", "cli"), None)

    def fail(*_: object) -> None:
        raise NotAllowed("It is inside.")

    models.Feed.objects.update(schedule={"every_minutes": 1440})
    with monkeypatch.context() as patch:
        patch.setattr(checks, "look_at", interrupt(fail if fails else checks.look_at, change))
        assert check("tests", place.now)
    feed = place.refresh()
    assert (feed.next_check_at, feed.problem, feed.worker, feed.lease_until) == (None, "", "", None)
    assert not models.Notice.objects.exists()
    assert check("tests", place.now)
    assert place.refresh().next_check_at == place.at + MINUTE
    assert not check("tests", place.now)


def test_a_host_key_that_is_accepted_while_a_feed_is_checked_with_the_former_one_lets_it_go_on(
    place: Place, breaks: Callable[[Exception | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def accept() -> None:
        feeds.accept_host_key(place.refresh(), HOST_KEY, AuditContext(place.at, "", "cli"), None)

    models.Feed.objects.update(location={"kind": "sftp", "host": "x", "port": 22, "path": "", "user": "u"})
    breaks(HostKeyChanged("Another key."))
    monkeypatch.setattr(opening, "open_location", interrupt(opening.open_location, accept))
    assert rounds.check_next_feed("tests", place.now)
    assert (place.refresh().stopped, place.feed.next_check_at) == ("", None)
    assert not models.Notice.objects.exists()


def test_the_end_of_a_check_waits_for_a_change_that_is_not_committed_yet(place: Place) -> None:
    def end() -> None:
        try:
            claims.release(feed, next_check_at=NOW + MINUTE)
        finally:
            connections.close_all()

    (feed,) = claims.claim(models.Feed.objects.all(), "one", NOW)
    worker = threading.Thread(target=end)
    with transaction.atomic():
        models.Feed.objects.update(next_check_at=None)
        worker.start()
        worker.join(0.5)
        assert worker.is_alive()
    worker.join(30)
    assert (place.refresh().next_check_at, place.feed.worker) == (None, "")


@pytest.mark.parametrize("state", [{"paused_at": NOW}, {"stopped": "the key"}])
def test_a_feed_that_is_paused_or_has_stopped_is_not_checked(place: Place, state: dict[str, Any]) -> None:
    models.Feed.objects.update(**state)
    place.bring("hr.csv", TEN)
    assert (place.files(), place.refresh().checked_at) == ([], None)


@pytest.mark.parametrize("kind", claims.UNCHECKED)
def test_a_feed_whose_files_are_brought_is_not_checked(place: Place, kind: str) -> None:
    models.Feed.objects.update(location={"kind": kind})
    assert not rounds.check_next_feed("tests", place.now)
    assert rounds.preview_check(place.refresh(), place.now) == rounds.check_feed_now(place.feed, place.now)


def test_a_location_that_cannot_be_reached_is_tried_less_and_less_often_and_told_after_an_hour(
    place: Place, breaks: Callable[[Exception | None], None]
) -> None:
    breaks(Unreachable("The server does not answer."))
    waits = []
    while place.at - NOW < timedelta(hours=2):
        place.check()
        feed = place.refresh()
        assert feed.next_check_at is not None
        waits.append((feed.next_check_at - place.at) // MINUTE)
        assert models.Notice.objects.exists() == (place.at - NOW >= timedelta(hours=1))
        place.at = feed.next_check_at
    assert waits == [1, 2, 4, 8, 16, 32, 60]
    assert (feed.problem, feed.failing_since, feed.failures) == ("The server does not answer.", NOW, 7)
    (notice,) = models.Notice.objects.all()
    assert notice.kind == NoticeKind.UNREACHABLE
    breaks(None)
    place.check()
    feed = place.refresh()
    assert (feed.problem, feed.failing_since, feed.failures) == ("", None, 0)


def test_an_unreachable_location_is_tried_within_the_windows_only(
    place: Place, breaks: Callable[[Exception | None], None]
) -> None:
    models.Feed.objects.update(schedule=NIGHTLY)
    place.at = NOW.replace(hour=2, minute=59)
    breaks(Unreachable("No."))
    place.check()
    assert place.refresh().next_check_at == NOW.replace(hour=2) + timedelta(days=1)


def test_a_location_that_is_not_allowed_is_told_at_once(
    place: Place, breaks: Callable[[Exception | None], None]
) -> None:
    breaks(NotAllowed("It is inside."))
    place.check()
    assert [notice.kind for notice in models.Notice.objects.all()] == [NoticeKind.UNREACHABLE]
    assert overview.get_state(place.refresh(), place.at) == FeedState.UNREACHABLE
    breaks(None)
    place.pass_time(600)
    place.check()
    assert overview.get_state(place.refresh(), place.at) != FeedState.UNREACHABLE


def test_what_a_person_has_yet_to_enter_is_told_after_an_hour(
    place: Place, breaks: Callable[[Exception | None], None]
) -> None:
    breaks(NotSetUp("The secret is missing."))
    place.check()
    assert overview.get_state(place.refresh(), place.at) != FeedState.UNREACHABLE
    assert not models.Notice.objects.exists()
    place.pass_time(3600)
    place.check()
    assert overview.get_state(place.refresh(), place.at) == FeedState.UNREACHABLE
    assert [notice.kind for notice in models.Notice.objects.all()] == [NoticeKind.UNREACHABLE]


def test_another_host_key_stops_the_feed_until_a_person_continues_it(
    place: Place, breaks: Callable[[Exception | None], None]
) -> None:
    breaks(HostKeyChanged("Another key."))
    place.check()
    assert (place.refresh().stopped, place.feed.worker) == ("Another key.", "")
    assert [notice.kind for notice in models.Notice.objects.all()] == [NoticeKind.STOPPED]
    place.pass_time(600)
    assert not rounds.check_next_feed("tests", place.now)


def test_an_error_of_our_own_delays_no_other_feed(
    place: Place, breaks: Callable[[Exception | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    breaks(RuntimeError("a bug"))
    place.check()
    assert place.refresh().failures == 1
    assert "The log of the worker" in place.feed.problem
    assert "an error in Musterbook" in caplog.text


def test_a_folder_that_is_gone_is_unreachable_and_comes_back(place: Place) -> None:
    place.folder.rmdir()
    place.check()
    assert "There is no folder" in place.refresh().problem
    place.folder.mkdir()
    place.pass_time()
    place.check()
    assert place.refresh().problem == ""


def test_a_file_that_changes_while_it_is_read_waits_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from musterbook.feeds.locations.folder import FolderLocation

    usual, times = FolderLocation.read_file, [1]

    def change(self: FolderLocation, found: FoundFile, write: Write) -> FoundFile:
        if times.pop() if times else 0:
            write(b"half")
            raise FileChanged(found.name)
        return usual(self, found, write)

    monkeypatch.setattr(FolderLocation, "read_file", change)
    assert place.bring("hr.csv", TEN) is None
    place.pass_time()
    place.check()
    assert place.files() == []
    place.pass_time()
    place.check()
    assert place.states() == ["previewed"]


def test_a_claimed_feed_is_left_to_its_worker_until_its_lease_is_over(place: Place) -> None:
    (feed,) = claims.claim(models.Feed.objects.all(), "one", NOW)
    assert not rounds.check_next_feed("two", place.now)
    with pytest.raises(FeedBusy):
        rounds.check_feed_now(place.refresh(), place.now)
    place.at += claims.LEASE + MINUTE / 60
    assert rounds.check_next_feed("two", place.now)
    assert not claims.release(feed, problem="late")
    claims.release_all([feed], problem="late")
    with pytest.raises(LeaseLost):
        claims.Lease(feed, place.now, rounds.never_end).renew()
    assert place.refresh().problem == ""


def test_a_lease_is_renewed_while_a_file_is_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_RENEW_AFTER", -1.0)
    place.put("hr.csv", TEN)
    place.check()
    place.pass_time()
    seen: list[datetime | None] = []
    usual = ArrivingFile.write

    def write(self: ArrivingFile, part: bytes) -> None:
        seen.append(models.Feed.objects.get().lease_until)
        place.at += MINUTE
        usual(self, part)

    monkeypatch.setattr(ArrivingFile, "write", write)
    start = place.at
    place.check()
    assert seen == [start + claims.LEASE]
    assert place.states() == ["previewed"]


def test_a_worker_that_is_asked_to_end_leaves_the_feed_to_the_next_one(place: Place) -> None:
    place.put("hr.csv", TEN)
    place.check()
    place.pass_time()
    assert rounds.check_folders("tests", place.now, lambda: True) == 1
    assert (place.files(), place.refresh().worker, rounds.has_due(place.at)) == ([], "", True)
    place.check()
    assert place.states() == ["previewed"]


def test_a_worker_that_takes_long_leaves_the_rest_to_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Place.make(place.home, "other")
    for one in (place, other):
        one.put("hr.csv", TEN)
    place.check()
    place.pass_time()
    monkeypatch.setattr(rounds, "_PATIENCE", -1.0)
    assert rounds.check_folders("tests", place.now) == 2
    assert len(models.FeedFile.objects.all()) == 1
    assert models.Feed.objects.exclude(worker="").count() == 0
    assert rounds.check_folders("tests", place.now) == 1
    assert len(models.FeedFile.objects.all()) == 2


def test_a_feed_that_is_paused_or_removed_in_the_middle_takes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = checks.look_at

    def pause(feed: models.Feed, *rest: Any) -> Any:
        look = usual(feed, *rest)
        models.Feed.objects.update(paused_at=NOW)
        return look

    place.put("hr.csv", TEN)
    place.check()
    place.pass_time()
    monkeypatch.setattr(checks, "look_at", pause)
    assert rounds.check_next_feed("tests", place.now)
    assert (place.files(), place.refresh().worker) == ([], "")
    with pytest.raises(FeedPaused):
        rounds.check_feed_now(place.feed, place.now)

    def remove(feed: models.Feed, *rest: Any) -> Any:
        look = usual(feed, *rest)
        models.Feed.objects.all().delete()
        return look

    monkeypatch.setattr(checks, "look_at", remove)
    models.Feed.objects.update(paused_at=None)
    assert rounds.check_next_feed("tests", place.now)
    assert not models.Feed.objects.exists()


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(hours=3)])
def test_a_clock_that_was_wrong_for_a_while_loses_no_feed(place: Place, jump: timedelta) -> None:
    place.at += jump
    place.check()
    claims.claim(models.Feed.objects.all(), "dead", place.at)
    place.at -= jump
    place.bring("hr.csv", TEN)
    assert place.states() == ["previewed"]


def test_a_clock_that_was_wrong_when_a_new_feed_was_claimed_delays_it_by_nothing(place: Place) -> None:
    claims.claim(models.Feed.objects.all(), "dead", place.at + 30 * MINUTE)
    assert rounds.check_next_feed("tests", place.now)


def test_a_clock_that_was_wrong_when_a_feed_was_made_and_claimed_delays_it_by_nothing(place: Place) -> None:
    ahead = place.at + 30 * MINUTE
    models.Feed.objects.update(created_at=ahead)
    claims.claim(models.Feed.objects.all(), "dead", ahead)
    assert rounds.check_next_feed("tests", place.now)


def test_a_worker_with_a_wrong_clock_that_is_asked_to_end_delays_a_feed_by_nothing(place: Place) -> None:
    right = place.at
    for ahead in (timedelta(0), 30 * MINUTE):
        place.at = right + ahead
        assert rounds.check_next_feed("tests", place.now, lambda: True)
        assert rounds.has_due(right)


def test_a_next_check_beyond_the_schedule_is_not_waited_for(place: Place) -> None:
    far = NOW + timedelta(days=3650)
    models.Feed.objects.update(next_check_at=far, checked_at=NOW)
    assert lateness.correct_times(NOW) == 1
    assert rounds.check_next_feed("tests", place.now)
    models.Feed.objects.update(schedule=NIGHTLY, next_check_at=NOW.replace(hour=2))
    assert lateness.correct_times(NOW) == 0
    models.Feed.objects.update(failures=9, next_check_at=NOW + timedelta(minutes=59), schedule={"every_minutes": 5})
    assert lateness.correct_times(NOW) == 0


def test_a_changed_location_has_only_new_files(begun: Place) -> None:
    models.Feed.objects.update(seen={**begun.refresh().seen, "taken": {"hr.csv": "5 1.0 "}})
    assert checks.read_seen(begun.refresh())["taken"]
    models.Feed.objects.update(location={**begun.feed.location, "pattern": "*"})
    assert checks.read_seen(begun.refresh()) == {}


def test_a_check_at_once_ignores_the_schedule_and_says_what_it_takes(place: Place) -> None:
    models.Feed.objects.update(schedule=NIGHTLY)
    place.put("hr.csv", TEN)
    report = rounds.check_feed_now(place.refresh(), place.now)
    assert [(one.name, reason) for one, reason in report.others] == [("hr.csv", Reason.CHANGING)]
    place.pass_time()
    report = rounds.check_feed_now(place.refresh(), place.now)
    assert [taken.file.name for taken in report.taken] == ["hr.csv"]


def test_a_preview_of_a_check_takes_nothing_and_writes_nothing(
    place: Place, breaks: Callable[[Exception | None], None]
) -> None:
    place.put("hr.csv", TEN)
    place.check()
    place.pass_time()
    (place.folder / "a\nb.csv").write_bytes(b"x")
    before = models.Feed.objects.values().get()
    report = rounds.preview_check(place.refresh(), place.now)
    assert [one.name for arrival in report.arrivals for one in arrival.files] == ["hr.csv"]
    assert report.left_out == ("a\\nb.csv",)
    assert (models.Feed.objects.values().get(), place.files()) == (before, [])
    breaks(Unreachable("No."))
    assert rounds.preview_check(place.feed, place.now).problem == "No."


def test_a_folder_that_cannot_be_written_to_keeps_its_files_and_each_is_taken_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    place.begin()
    for _ in range(3):
        place.pass_time(10)
        place.check()
    assert (len(place.files()), place.names()) == (1, ["hr.csv"])
    place.bring("hr.csv", cast.people(*range(1, 12)))
    assert len(place.files()) == 2


def test_two_workers_take_every_file_once(place: Place) -> None:
    places = [place, *(Place.make(place.home, f"more-{number}") for number in range(5))]
    for one in places:
        one.put("hr.csv", TEN)
    place.check()
    place.pass_time()
    barrier = threading.Barrier(2)

    def work(name: str) -> None:
        try:
            barrier.wait(10)
            while rounds.check_next_feed(name, place.now) or rounds.check_folders(name, place.now):
                pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(one.files()) for one in places] == [1] * 6
    assert models.Import.objects.filter(feed__isnull=False).count() == 6


@pytest.mark.parametrize(
    ("state", "is_due"),
    [
        ({"next_check_at": None}, True),
        ({"next_check_at": NOW}, True),
        ({"next_check_at": NOW - timedelta(microseconds=1)}, True),
        ({"next_check_at": NOW + timedelta(microseconds=1)}, False),
        ({"next_check_at": NOW + timedelta(hours=1), "asked_at": NOW}, True),
        ({"next_check_at": None, "paused_at": NOW}, False),
        ({"next_check_at": None, "stopped": "Why."}, False),
        ({"next_check_at": None, "lease_until": NOW + timedelta(minutes=1)}, False),
        ({"next_check_at": None, "location": {"kind": "sent"}}, False),
        ({"next_check_at": None, "location": {"kind": "sftp"}}, True),
    ],
)
def test_a_round_looks_whether_a_feed_is_due(place: Place, state: dict[str, Any], is_due: bool) -> None:
    models.Feed.objects.update(**{"asked_at": None, **state})
    assert rounds.has_due(NOW) == claims.select_due(NOW).exists() == is_due


def test_a_feed_of_another_machine_is_claimed_alone(place: Place, breaks: Callable[[Exception | None], None]) -> None:
    breaks(Unreachable("No."))
    models.Feed.objects.update(location={"kind": "sftp", "host": "x", "port": 22, "path": "", "user": "u"})
    assert rounds.check_folders("tests", place.now) == 0
    assert rounds.has_remote(NOW)
    assert rounds.check_remote("tests", place.now)
    assert not rounds.has_remote(NOW)
    assert not rounds.check_remote("tests", place.now)
    assert place.refresh().problem == "No."


def test_what_a_person_decided_about_the_first_file_approves_the_feed(place: Place) -> None:
    assert feeds.is_new(place.refresh())
    place.begin()
    assert not feeds.is_new(place.refresh())


DatabaseUse = tuple[object, str, Callable[[Place], object]]
USES: list[DatabaseUse] = [
    (checks, "look_at", lambda place: rounds.check_folders("tests", place.now)),
    (checks, "check", lambda place: rounds.check_next_feed("tests", place.now)),
    (settling, "settle", lambda place: rounds.settle_next("tests", place.now)),
    (lateness, "_notify_if_late", lambda place: lateness.notify_late(place.at)),
]


@pytest.mark.parametrize(("owner", "name", "use"), USES, ids=[name for _, name, _ in USES])
def test_a_database_that_fails_is_no_failure_of_the_feed(
    place: Place, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, use: Callable[[Place], object]
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("gone")

    models.FeedFile.objects.create(feed=place.feed, name="hr.csv", size=1, modified="", sha256="", at=NOW)
    models.Feed.objects.update(schedule={**place.feed.schedule, "expected_by": [{"days": DAYS, "at": "06:00"}]})
    if name == "look_at":
        models.FeedFile.objects.update(settled_at=NOW)
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OperationalError):
        use(place)
    assert (place.refresh().failures, place.feed.problem) == (0, "")


def test_a_check_during_which_the_agency_is_paused_is_no_failure_and_is_made_again_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("hr.csv", TEN)
    place.pass_time(10)
    place.check()
    place.pass_time()
    usual = checks.look_at

    def pause(*args: Any) -> Any:
        models.Agency.objects.update(paused_at=NOW)
        return usual(*args)

    with monkeypatch.context() as patch:
        patch.setattr(checks, "look_at", pause)
        place.check()
    feed = models.Feed.objects.get()
    assert (feed.problem, feed.failures, feed.worker, feed.lease_until) == ("", 0, "", None)
    assert (place.files(), place.names()) == ([], ["hr.csv"])
    with pytest.raises(AgencyPaused):
        rounds.check_feed_now(feed, place.now)
    models.Agency.objects.update(paused_at=None)
    place.check()
    assert [file.name for file in place.files()] == ["hr.csv"]


@pytest.mark.parametrize("error", [LeaseLost("hr"), claims.Interrupted()], ids=["lease lost", "asked to end"])
def test_settling_that_is_stopped_is_left_to_the_next_worker(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def stop(*_: object) -> None:
        raise error

    models.FeedFile.objects.create(feed=place.feed, name="hr.csv", size=1, modified="", sha256="", at=NOW)
    with monkeypatch.context() as patch:
        patch.setattr(settling, "settle", stop)
        assert rounds.settle_next("tests", place.now)
    assert (place.files()[0].settled_at, place.refresh().worker) == (None, "")
    claims.claim(models.Feed.objects.all(), "another", NOW)
    assert not rounds.settle_next("tests", place.now)


def test_a_worker_that_loses_the_feed_while_it_settles_takes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = settling.settle

    def lose(*given: Any) -> int:
        number = usual(*given)
        models.Feed.objects.update(worker="another")
        return number

    models.FeedFile.objects.create(feed=place.feed, name="old.csv", size=1, modified="", sha256="", at=NOW)
    place.put("hr.csv", TEN)
    place.put("hr.csv.done", b"")
    monkeypatch.setattr(settling, "settle", lose)
    assert rounds.check_next_feed("tests", place.now)
    assert [file.name for file in place.files()] == ["old.csv"]
