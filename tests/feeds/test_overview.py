"""The overview of feeds: their states, last files and nights, with few queries for any number of feeds."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from musterbook.directory import models
from musterbook.feeds import overview
from musterbook.feeds.overview import FeedState, Mark, Night
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.feeds_in_states import add_feed, receive

EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SCHEDULE = {"every_minutes": 5, "expected_by": [{"days": EVERY_DAY, "at": "06:00"}]}


@built_once
def _build() -> models.Agency:
    made = cast.agency(limits=[cast.allow(1)])
    cast.apply_rows(made, [person(1, ROLE="Admin"), person(2), person(3), person(4)])
    return made


@pytest.fixture
def agency(db: None) -> models.Agency:
    return _build()


def now() -> datetime:
    return datetime.now(UTC)


def state(feed: models.Feed) -> FeedState:
    feed.refresh_from_db()
    return overview.get_state(feed, now())


def test_a_feed_that_has_applied_a_file_is_fine(agency: models.Agency) -> None:
    feed = add_feed(agency)
    receive(feed, [person(5)])
    assert state(feed) == FeedState.FINE


def test_a_new_feed_waits_for_its_first_file_and_then_for_a_person(agency: models.Agency) -> None:
    feed = add_feed(agency, approved=False)
    assert state(feed) == FeedState.FIRST and not overview.list_waiting(agency, now())
    file = receive(feed, [person(5)], preview=True)
    [waiting] = overview.list_waiting(agency, now())
    assert file.of and (waiting.feed, waiting.state, waiting.number) == (feed, FeedState.FIRST, file.of.number)


def test_a_held_file_waits_until_its_import_has_ended(agency: models.Agency) -> None:
    feed = add_feed(agency, mode="sync", source="")
    file = receive(feed, [person(1, ROLE="Admin")])
    assert file.of and file.of.state == "held"
    assert state(feed) == FeedState.WAITS
    models.Import.objects.filter(pk=file.of.pk).update(ended="discarded")
    assert state(feed) == FeedState.FINE


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"paused_at": cast.NOW}, FeedState.PAUSED),
        ({"stopped": "The host key has changed."}, FeedState.STOPPED),
        ({"stopped": "The host key has changed.", "paused_at": cast.NOW}, FeedState.STOPPED),
        ({"failing_since": cast.NOW}, FeedState.UNREACHABLE),
        ({"failing_since": cast.NOW, "paused_at": cast.NOW}, FeedState.PAUSED),
    ],
)
def test_what_stops_a_feed_is_its_state(agency: models.Agency, columns: dict[str, Any], expected: FeedState) -> None:
    assert state(add_feed(agency, columns=columns)) == expected


def test_a_location_is_unreachable_after_an_hour(agency: models.Agency) -> None:
    at = now()
    feed = add_feed(agency, columns={"failing_since": at - timedelta(minutes=59)})
    assert overview.get_state(feed, at) == FeedState.FINE
    assert overview.get_state(feed, at + timedelta(minutes=1)) == FeedState.UNREACHABLE


def test_a_location_that_only_a_person_can_fix_is_unreachable_at_once(agency: models.Agency) -> None:
    feed = add_feed(agency, columns={"failing_since": now(), "unreachable": True})
    assert state(feed) == FeedState.UNREACHABLE


def test_a_feed_whose_last_file_failed_is_not_fine(agency: models.Agency) -> None:
    feed = add_feed(agency)
    receive(feed, [person(5)], days=3)
    receive(feed, problem="It is no file of users.", days=2)
    receive(feed, days=1)
    assert state(feed) == FeedState.FAILED
    [found] = overview.list_waiting(agency, now())
    assert (found.feed, found.state) == (feed, FeedState.FAILED)
    refused = receive(feed, [person(5)], days=0.5).of
    assert refused and state(feed) == FeedState.FINE
    models.Import.objects.filter(pk=refused.pk).update(state="refused")
    assert state(feed) == FeedState.FAILED


def test_a_file_says_why_it_is_on_hold_and_how_its_wait_has_ended(agency: models.Agency) -> None:
    feed = add_feed(agency, mode="sync", source="")
    held = receive(feed, [person(1, ROLE="Admin")]).of
    assert held
    last = overview.read_row(feed, now()).last
    assert last and last.sentence.startswith("3 users would lose access. The limit is 1, with 4 active users. ")
    for ended, text in (("replaced-by", "A newer file has replaced it."), ("discarded", "It was discarded.")):
        models.Import.objects.filter(pk=held.pk).update(ended=ended)
        [file] = overview.read_files(feed).files
        assert file.sentence == f"{text} Nothing has changed."


def test_a_feed_is_late_until_a_file_arrives(agency: models.Agency) -> None:
    at = now()
    feed = add_feed(
        agency,
        expected_by=[{"days": EVERY_DAY, "at": "00:00"}],
        columns={"created_at": at - timedelta(days=9), "arrived_at": at - timedelta(days=3)},
    )
    assert state(feed) == FeedState.LATE
    models.Feed.objects.update(arrived_at=at, counts_at=at)
    assert state(feed) == FeedState.FINE


def test_a_feed_that_was_added_after_the_deadline_is_not_late(agency: models.Agency) -> None:
    assert state(add_feed(agency, expected_by=[{"days": EVERY_DAY, "at": "00:00"}])) == FeedState.FINE


def test_each_night_has_the_mark_of_its_last_news(agency: models.Agency) -> None:
    feed = add_feed(agency, mode="sync", source="")
    good = [person(1, ROLE="Admin"), person(2), person(3), person(4)]
    applied = receive(feed, [*good, person(5)], days=4)
    receive(feed, days=4)
    receive(feed, days=3)
    receive(feed, problem="It is no file of users.", days=2)
    held = receive(feed, [person(1, ROLE="Admin")], days=1)
    assert applied.of and held.of
    at = now()
    nights = overview.list_nights([feed], at, UTC, 6)[feed.pk]
    days = [at.date() - timedelta(days=number) for number in range(5, -1, -1)]
    assert nights == [
        Night(days[0]),
        Night(days[1], Mark.APPLIED, applied.of.number, "hr.csv"),
        Night(days[2], Mark.SAME, "", "hr.csv"),
        Night(days[3], Mark.FAILED, "", "hr.csv"),
        Night(days[4], Mark.HELD, held.of.number, "hr.csv"),
        Night(days[5]),
    ]


def test_a_night_is_a_day_in_the_zone_of_the_agency(agency: models.Agency) -> None:
    feed = add_feed(agency)
    file = receive(feed)
    models.FeedFile.objects.filter(pk=file.pk).update(at=datetime(2026, 3, 2, 3, tzinfo=UTC))
    at = datetime(2026, 3, 3, 12, tzinfo=UTC)
    nights = overview.list_nights([feed], at, ZoneInfo("America/Chicago"), 3)[feed.pk]
    assert [(night.day, night.mark) for night in nights] == [
        (date(2026, 3, 1), Mark.SAME),
        (date(2026, 3, 2), Mark.NONE),
        (date(2026, 3, 3), Mark.NONE),
    ]


def test_a_held_file_that_a_person_applied_is_marked_as_applied(agency: models.Agency) -> None:
    feed = add_feed(agency)
    held = receive(feed, [person(5)], preview=True)
    other = receive(feed, [person(6)]).of
    assert held.of and other
    models.FeedFile.objects.exclude(pk=held.pk).delete()
    models.Import.objects.filter(pk=held.of.pk).update(ended="applied-as", successor=other)
    row = overview.read_row(feed, now())
    assert row.nights[-1] == Night(now().date(), Mark.APPLIED, other.number, "hr.csv")
    assert row.last and row.last.entry and row.last.entry.number == other.number and row.last.mark == Mark.APPLIED


def test_the_last_file_has_its_sentence(agency: models.Agency) -> None:
    feed = add_feed(agency)
    assert overview.read_row(feed, now()).last is None
    receive(feed, [person(5)], days=0.003)
    receive_and_say = [
        ({"rows": [person(6)]}, "1 user added, 1 invitation."),
        ({}, "Nothing new: its content is the same as that of the file before."),
        ({"problem": "It is cut off."}, "It is cut off."),
    ]
    for more, sentence in receive_and_say:
        receive(feed, **more)  # type: ignore[arg-type]  # one of two
        last = overview.read_row(feed, now()).last
        assert last and last.sentence == sentence


def test_an_import_that_has_not_ended_is_in_progress(agency: models.Agency) -> None:
    feed = add_feed(agency)
    file = receive(feed, [person(5)])
    for changes, mark, sentence in (
        ({"state": "running", "finished_at": None}, Mark.RUNNING, "In progress."),
        ({"state": "failed", "message": ""}, Mark.FAILED, "Nothing has changed."),
        ({"state": "refused", "message": "It has no EMAIL."}, Mark.FAILED, "It has no EMAIL."),
    ):
        models.Import.objects.filter(pk=file.of_id or 0).update(**changes)
        last = overview.read_row(feed, now()).last
        assert last and (last.mark, last.sentence) == (mark, sentence)


def test_two_hundred_feeds_take_as_many_queries_as_two(agency: models.Agency) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert overview.list_rows(agency, now())
        return len(queries)

    record = receive(add_feed(agency, "feed-0"), [person(5)]).of
    receive(add_feed(agency, "feed-1"), [person(6)])
    few = count()
    made = [
        models.Feed(
            agency=agency,
            name=f"more-{number}",
            mode="update",
            created_at=now(),
            location={"kind": "folder"},
            schedule=SCHEDULE,
        )
        for number in range(198)
    ]
    models.Feed.objects.bulk_create(made)
    files = [
        models.FeedFile(
            feed=feed,
            name="a",
            size=1,
            modified="",
            sha256="",
            at=now() - timedelta(days=day, minutes=1),
            of=record if day % 2 else None,
        )
        for feed in made
        for day in range(31)
    ]
    models.FeedFile.objects.bulk_create(files)
    assert count() == few <= 10


def test_nobody_sees_the_feeds_of_another_agency(agency: models.Agency) -> None:
    other = cast.agency("shelbyville")
    theirs = add_feed(other, "theirs", columns={"stopped": "It has stopped."})
    assert overview.list_rows(agency, now()) == [] == overview.list_waiting(agency, now())
    assert [row.feed for row in overview.list_rows(other, now())] == [theirs]


def test_feeds_that_synchronize_can_be_left_out(agency: models.Agency) -> None:
    add_feed(agency, "one", mode="sync", columns={"stopped": "It has stopped."})
    add_feed(agency, "two")
    assert [row.feed.name for row in overview.list_rows(agency, now(), sync=False)] == ["two"]
    assert overview.count_feeds(agency, sync=False) == 1
    assert overview.list_waiting(agency, now(), sync=False) == []


def test_when_it_looks_for_files_again(agency: models.Agency) -> None:
    at, soon = now(), now() + timedelta(minutes=5)

    def next_of(feed: models.Feed) -> tuple[bool, datetime | None]:
        row = overview.read_row(feed, at)
        return row.is_due, row.next_at

    assert next_of(add_feed(agency, "at-once")) == (True, None)
    assert next_of(add_feed(agency, "soon", columns={"next_check_at": soon})) == (False, soon)
    assert next_of(add_feed(agency, "paused", columns={"paused_at": at, "next_check_at": soon})) == (False, None)
    assert next_of(add_feed(agency, "sent", location={"kind": "sent"})) == (False, None)


def test_the_files_of_a_feed_come_page_by_page(agency: models.Agency) -> None:
    feed = add_feed(agency)
    assert overview.read_files(feed).total == 0
    for number in range(12):
        receive(feed, days=number, name=f"{number}.csv")
    first, last = overview.read_files(feed), overview.read_files(feed, 99)
    assert [file.name for file in first.files] == [f"{number}.csv" for number in range(10)] and first.has_next
    assert [file.name for file in last.files] == ["10.csv", "11.csv"] and not last.has_next
    assert (last.number, last.first, last.last, last.total) == (2, 11, 12, 12)


def test_who_paused_a_feed(agency: models.Agency) -> None:
    feed = add_feed(agency)
    assert overview.find_pauser(feed) is None
    user = cast.user(agency, 1)
    for by, expected in (("E-1", (user.pk, "First 1 Last 1")), ("E-99", (0, "E-99"))):
        feed.paused_at, feed.paused_by = now(), by
        found = overview.find_pauser(feed)
        assert found and (found.pk, found.name) == expected
    feed.paused_by = ""
    assert overview.find_pauser(feed) is None
