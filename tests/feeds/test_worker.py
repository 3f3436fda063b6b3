"""The threads of a worker that look after feeds: one for folders, some for other machines, and one that settles."""

import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connections

from musterbook import jobs
from musterbook.directory import models
from musterbook.directory.models import NoticeKind
from musterbook.feeds import lateness, rounds
from musterbook.feeds.locations import opening
from musterbook.feeds.locations.location import Unreachable
from tests.directory import cast
from tests.feeds.places import Place

pytestmark = pytest.mark.django_db(transaction=True)
REMOTE = {"kind": "https", "url": "https://hr.example/roster.csv", "header": ""}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_PAUSE", "_PAUSE_AFTER_ERROR", "_LOOK_EVERY", "_FEEDS_EVERY"):
        monkeypatch.setattr(jobs, pause, 0.02)


def run_until(holds: Callable[[], bool]) -> None:
    """Let a worker run until this holds, and end it."""
    stop = threading.Event()

    def work() -> None:
        try:
            jobs.work(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(1500):
            if holds():
                break
            threading.Event().wait(0.02)
        else:
            raise AssertionError("it never came to hold")
    finally:
        stop.set()
        thread.join(30)


def arrive(place: Place) -> None:
    """Let a file arrive that is complete at once."""
    place.put("hr.csv", cast.people(*range(1, 11)))
    place.put("hr.csv.done", b"")


def test_a_worker_takes_what_arrives_and_settles_it(place: Place) -> None:
    arrive(place)
    run_until(lambda: place.states() == ["previewed"])
    models.Import.objects.filter(feed=place.feed).update(ended="discarded")
    run_until(lambda: place.names("done") == ["hr.csv", "hr.csv.done"])


def test_a_slow_machine_delays_no_folder(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Place.make(place.home, "slow", location=REMOTE)
    usual, going = opening.open_location, threading.Event()

    def open_slowly(feed: models.Feed) -> object:
        if feed.pk == slow.feed.pk:
            going.wait(20)
            raise Unreachable("It does not answer.")
        return usual(feed)

    monkeypatch.setattr(opening, "open_location", open_slowly)
    arrive(place)

    def is_taken() -> bool:
        taken = place.states() == ["previewed"]
        if taken:
            assert slow.refresh().problem == ""
            going.set()
        return taken

    run_until(is_taken)
    assert slow.refresh().problem == "It does not answer."


def test_a_database_that_fails_for_a_moment_ends_no_thread(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Place.make(place.home, "remote", location=REMOTE)
    usual, failures = rounds.check_remote, [OperationalError("gone"), OperationalError("gone")]

    def fail(*given: object) -> bool:
        if failures:
            raise failures.pop()
        return usual(*given)  # type: ignore[arg-type]  # what the worker gives

    monkeypatch.setattr(rounds, "check_remote", fail)
    run_until(lambda: models.Feed.objects.get(name="remote").failures == 1)
    assert "could not use the database" in caplog.text


def test_a_worker_tells_of_late_files(place: Place) -> None:
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    models.Feed.objects.update(schedule={"expected_by": [{"days": days, "at": "00:00"}]})
    run_until(lambda: models.Notice.objects.filter(kind=NoticeKind.LATE).exists())
    assert lateness.notify_late(jobs.now()) == 0


def test_a_round_of_all_work_takes_imports_and_settles(place: Place) -> None:
    models.Feed.objects.update(approved="")
    arrive(place)
    assert jobs.run_once()[0] == 1
    assert place.states() == ["previewed"]
    models.Import.objects.filter(feed=place.feed).update(ended="discarded")
    jobs.run_once()
    assert place.names() == []
