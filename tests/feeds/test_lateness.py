"""A file that is late (rule N5): one notice when the deadline passes, and one each day until it arrives."""

from datetime import date, datetime, timedelta

import pytest

from musterbook.directory import models
from musterbook.directory.models import NoticeKind
from musterbook.feeds import deadlines, lateness
from tests.directory import cast
from tests.feeds.places import NOW, Place

DAYS = ["mon", "tue", "wed", "thu", "fri"]
SIX = NOW.replace(hour=6)
DAY = timedelta(days=1)


@pytest.fixture
def due(place: Place) -> Place:
    """A feed whose file is expected by six on weekdays. Its first day is a Monday."""
    models.Feed.objects.update(schedule={"expected_by": [{"days": DAYS, "at": "06:00"}]})
    place.refresh()
    return place


def notify(at: datetime) -> list[date]:
    """The days of all notices, after the worker has looked."""
    lateness.notify_late(at)
    notices = models.Notice.objects.filter(kind=NoticeKind.LATE).order_by("pk")
    return [notice.day for notice in notices if notice.day]


def test_a_file_that_has_not_arrived_is_told_once_and_again_each_day(due: Place) -> None:
    first = SIX.date()
    assert notify(SIX - timedelta(seconds=1)) == []
    assert notify(SIX) == [first]
    assert notify(SIX + DAY - timedelta(seconds=1)) == [first]
    assert notify(SIX + DAY) == [first, first + DAY]
    assert notify(SIX + 6 * DAY) == [first, first + DAY, first + 6 * DAY]
    assert models.Notice.objects.earliest("pk").feed == due.feed


def test_a_file_that_arrives_also_one_with_nothing_new_ends_it(due: Place) -> None:
    notify(SIX)
    due.at = SIX + timedelta(hours=1)
    due.bring("hr.csv", cast.people(*range(1, 11)))
    assert len(notify(SIX + DAY - timedelta(seconds=1))) == 1
    assert deadlines.find_late(due.refresh(), due.at) is None
    due.at = SIX + timedelta(hours=20)
    due.put("hr.csv", cast.people(*range(1, 11)))
    due.pass_time(10)
    due.check()
    due.pass_time(10)
    due.check()
    assert len(notify(SIX + DAY)) == 1
    assert len(notify(SIX + 2 * DAY)) == 2


def test_a_late_file_is_not_also_the_file_of_the_next_day(due: Place) -> None:
    notify(SIX)
    due.at = SIX + timedelta(hours=2)
    due.bring("hr.csv", cast.people(*range(1, 11)))
    assert notify(SIX + DAY) == [SIX.date(), SIX.date() + DAY]


def test_a_file_shortly_before_a_deadline_is_in_time_for_it_also_if_the_one_before_never_came(due: Place) -> None:
    notify(SIX)
    due.at = SIX + timedelta(hours=23)
    due.bring("hr.csv", cast.people(*range(1, 11)))
    assert notify(SIX + DAY) == [SIX.date()]


def test_a_file_late_on_friday_is_not_that_of_monday(due: Place) -> None:
    friday = SIX + 4 * DAY
    models.Feed.objects.update(counts_at=friday - timedelta(hours=25))
    due.refresh()
    due.at = friday + timedelta(hours=5)
    due.bring("hr.csv", cast.people(*range(1, 11)))
    assert notify(friday + 3 * DAY) == [friday.date() + 3 * DAY]


def test_a_file_that_arrives_the_evening_before_is_in_time(due: Place) -> None:
    models.Feed.objects.update(counts_at=SIX - timedelta(hours=8))
    assert notify(SIX) == []


@pytest.mark.parametrize(
    "change", [{"paused_at": NOW}, {"created_at": SIX}, {"schedule": {}}], ids=["paused", "younger", "not expected"]
)
def test_a_feed_that_is_paused_or_new_or_expects_nothing_is_not_late(due: Place, change: dict[str, object]) -> None:
    models.Feed.objects.update(**change)
    assert notify(SIX) == ([SIX.date()] if change.get("created_at") == SIX else [])
    models.Feed.objects.update(created_at=SIX + timedelta(seconds=1))
    models.Notice.objects.all().delete()
    assert notify(SIX) == []


@pytest.mark.parametrize("ahead", [timedelta(minutes=30), timedelta(days=400)])
def test_a_feed_that_was_made_by_a_clock_that_was_ahead_can_be_late(due: Place, ahead: timedelta) -> None:
    models.Feed.objects.update(created_at=NOW + ahead)
    due.check()
    assert due.refresh().created_at == NOW
    assert notify(SIX) == [SIX.date()]


def test_a_schedule_that_cannot_be_read_hides_no_other_late_feed(due: Place, caplog: pytest.LogCaptureFixture) -> None:
    other = Place.make(due.home, "another", schedule=due.feed.schedule)
    models.Feed.objects.filter(pk=due.feed.pk).update(schedule={"expected_by": [{"days": 5}]})
    lateness.notify_late(SIX)
    assert [notice.feed for notice in models.Notice.objects.all()] == [other.feed]
    assert "schedule" in caplog.text
