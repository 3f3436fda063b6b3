"""Schedules: windows, blackout days and deadlines, in zones whose clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.feeds import schedule
from musterbook.feeds.schedule import DAYS, Deadline

CHICAGO = ZoneInfo("America/Chicago")
EVERY_DAY = list(DAYS)
NIGHTLY = {"every_minutes": 5, "windows": [{"days": EVERY_DAY, "from": "01:00", "to": "06:00"}]}
MINUTE = timedelta(minutes=1)


def at(text: str, zone: Any = CHICAGO, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def test_a_schedule_without_windows_is_always_open_and_checks_every_five_minutes() -> None:
    noon = at("2026-07-01 12:00")
    assert schedule.is_open({}, noon, CHICAGO)
    assert schedule.find_next_check({}, noon, CHICAGO) == noon + 5 * MINUTE
    assert schedule.find_deadline({}, noon, CHICAGO) is None


def test_a_window_begins_with_its_first_minute_and_ends_before_its_last() -> None:
    times = {"00:59": False, "01:00": True, "05:59": True, "06:00": False}
    assert {text: schedule.is_open(NIGHTLY, at(f"2026-07-01 {text}"), CHICAGO) for text in times} == times


def test_the_next_check_is_in_the_window_or_when_the_next_one_opens() -> None:
    assert schedule.find_next_check(NIGHTLY, at("2026-07-01 01:00"), CHICAGO) == at("2026-07-01 01:05")
    assert schedule.find_next_check(NIGHTLY, at("2026-07-01 05:57"), CHICAGO) == at("2026-07-02 01:00")
    assert schedule.find_next_check(NIGHTLY, at("2026-07-01 00:58"), CHICAGO) == at("2026-07-01 01:00")


def test_a_window_shorter_than_the_minutes_between_checks_is_not_missed() -> None:
    short = {"every_minutes": 60, "windows": [{"days": EVERY_DAY, "from": "01:00", "to": "01:10"}]}
    assert schedule.find_next_check(short, at("2026-07-01 00:30"), CHICAGO) == at("2026-07-01 01:00")


def test_a_window_that_passes_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    friday = {"windows": [{"days": ["fri"], "from": "22:00", "to": "04:00"}]}
    times = {"2026-07-03 21:59": False, "2026-07-03 22:00": True, "2026-07-04 03:59": True, "2026-07-04 22:00": False}
    assert {text: schedule.is_open(friday, at(text), CHICAGO) for text in times} == times
    assert schedule.find_next_check(friday, at("2026-07-04 03:58"), CHICAGO) == at("2026-07-10 22:00")


def test_adjacent_windows_are_one() -> None:
    both = {
        "every_minutes": 7,
        "windows": [
            {"days": EVERY_DAY, "from": "22:00", "to": "24:00"}, {"days": EVERY_DAY, "from": "00:00", "to": "02:00"},
        ],
    }  # fmt: skip
    assert schedule.find_next_check(both, at("2026-07-01 23:58"), CHICAGO) == at("2026-07-02 00:05")


def test_a_blackout_day_is_closed_from_midnight_to_midnight() -> None:
    night = {
        "windows": [{"days": EVERY_DAY, "from": "22:00", "to": "04:00"}],
        "expected_by": [{"days": EVERY_DAY, "at": "06:00"}],
        "blackout": ["2026-12-25"],
    }
    times = {
        "2026-12-24 23:59": True, "2026-12-25 00:00": False, "2026-12-25 23:59": False, "2026-12-26 00:00": True,
    }  # fmt: skip
    assert {text: schedule.is_open(night, at(text), CHICAGO) for text in times} == times
    assert schedule.find_next_check(night, at("2026-12-24 23:59"), CHICAGO) == at("2026-12-26 00:00")
    assert schedule.find_deadline(night, at("2026-12-25 12:00"), CHICAGO) == Deadline(
        at("2026-12-24 06:00"), at("2026-12-23 06:00"), date(2026, 12, 24)
    )
    after = schedule.find_deadline(night, at("2026-12-26 06:00"), CHICAGO)
    assert after == Deadline(at("2026-12-26 06:00"), at("2026-12-24 06:00"), date(2026, 12, 26))


def test_a_window_that_the_clock_skips_opens_an_hour_later() -> None:
    skipped = {"windows": [{"days": EVERY_DAY, "from": "02:15", "to": "02:45"}]}
    assert schedule.find_next_check(skipped, at("2026-03-08 00:00"), CHICAGO) == at("2026-03-08 03:15")
    assert not schedule.is_open(skipped, at("2026-03-08 03:45"), CHICAGO)
    ends_after = {"windows": [{"days": EVERY_DAY, "from": "02:30", "to": "03:00"}]}
    assert schedule.is_open(ends_after, at("2026-03-08 03:59"), CHICAGO)
    assert not schedule.is_open(ends_after, at("2026-03-08 04:00"), CHICAGO)


def test_a_window_that_the_clock_shows_twice_opens_once() -> None:
    twice = {"windows": [{"days": EVERY_DAY, "from": "01:00", "to": "01:30"}]}
    assert schedule.is_open(twice, at("2026-11-01 01:10"), CHICAGO)
    assert not schedule.is_open(twice, at("2026-11-01 01:10", fold=1), CHICAGO)
    assert schedule.find_next_check(twice, at("2026-11-01 01:29"), CHICAGO) == at("2026-11-02 01:00")


def test_a_deadline_passes_once_and_knows_the_one_before_it() -> None:
    weekdays = {"expected_by": [{"days": ["mon", "tue", "wed", "thu", "fri"], "at": "06:00"}]}
    monday = Deadline(at("2026-07-06 06:00"), at("2026-07-03 06:00"), date(2026, 7, 6))
    assert schedule.find_deadline(weekdays, at("2026-07-06 06:00"), CHICAGO) == monday
    assert schedule.find_deadline(weekdays, at("2026-07-07 05:59"), CHICAGO) == monday
    twice = {"expected_by": [{"days": EVERY_DAY, "at": "01:30"}]}
    first = schedule.find_deadline(twice, at("2026-11-01 01:30", fold=1), CHICAGO)
    assert first == Deadline(at("2026-11-01 01:30"), at("2026-10-31 01:30"), date(2026, 11, 1))


def test_a_schedule_that_never_opens_is_looked_at_again_later_and_expects_nothing() -> None:
    never: dict[str, Any] = {
        "windows": [{"days": [], "from": "01:00", "to": "02:00"}], "expected_by": [{"days": [], "at": "06:00"}],
    }  # fmt: skip
    noon = at("2026-07-01 12:00")
    assert schedule.find_next_check(never, noon, CHICAGO) > noon + timedelta(days=7)
    assert schedule.find_deadline(never, noon, CHICAGO) is None


def test_a_window_that_blackout_days_close_for_months_opens_after_them() -> None:
    mondays = [date(2026, 7, 6) + number * timedelta(days=7) for number in range(20)]
    rare = {
        "windows": [{"days": ["mon"], "from": "01:00", "to": "02:00"}],
        "expected_by": [{"days": ["mon"], "at": "06:00"}],
        "blackout": [day.isoformat() for day in mondays],
    }
    assert schedule.find_next_check(rare, at("2026-07-01 12:00"), CHICAGO) == at("2026-11-23 01:00")
    late = schedule.find_deadline(rare, at("2026-11-23 12:00"), CHICAGO)
    assert late == Deadline(at("2026-11-23 06:00"), at("2026-06-29 06:00"), date(2026, 11, 23))


def test_the_zone_is_the_agencys_or_utc() -> None:
    assert schedule.get_zone(SimpleNamespace(time_zone="America/Chicago")) == CHICAGO
    assert schedule.get_zone(SimpleNamespace(time_zone="")) == UTC
    assert schedule.get_zone(SimpleNamespace(time_zone="../../etc/passwd")) == UTC


ZONES = st.sampled_from(
    ("UTC", "America/Chicago", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo", "America/Havana")
).map(ZoneInfo)  # fmt: skip
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
SOME_DAYS = st.lists(st.sampled_from(DAYS), min_size=1, unique=True)
WINDOWS = st.fixed_dictionaries({"days": SOME_DAYS, "from": CLOCK, "to": CLOCK | st.just("24:00")})
SPRING, FALL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 10, 20, tzinfo=UTC)
MOMENTS = st.builds(
    lambda start, minutes: start + minutes * MINUTE, st.sampled_from((SPRING, FALL)), st.integers(0, 60 * 24 * 60)
)
BLACKOUT = st.dates(date(2026, 2, 27), date(2026, 12, 28)).map(date.isoformat)
SCHEDULES = st.fixed_dictionaries(
    {},
    optional={
        "every_minutes": st.integers(1, 1440),
        "windows": st.lists(WINDOWS, max_size=3),
        "expected_by": st.lists(st.fixed_dictionaries({"days": SOME_DAYS, "at": CLOCK}), max_size=3),
        "blackout": st.lists(BLACKOUT, max_size=8),
    },
)


@given(SCHEDULES, MOMENTS, ZONES)
def test_law_the_next_check_is_later_open_and_the_earliest(
    rules: dict[str, Any], after: datetime, zone: ZoneInfo
) -> None:
    found = schedule.find_next_check(rules, after, zone)
    minutes = rules.get("every_minutes", 5)
    assert after < found
    assert schedule.is_open(rules, found, zone)
    due = after + minutes * MINUTE
    step = max((found - after) / 97, MINUTE)
    between = [after + number * step for number in range(1, 97) if after + number * step < found]
    if found > due:
        # It is late only because the feed is closed from the end of the interval on.
        assert not any(schedule.is_open(rules, moment, zone) for moment in (due, *between) if due <= moment < found)
    if found < due:
        # It is early only because the feed opens then.
        assert not schedule.is_open(rules, found - timedelta(microseconds=1), zone)


@given(SCHEDULES, MOMENTS, ZONES)
def test_law_a_feed_is_never_open_on_a_blackout_day_and_without_windows_on_every_other(
    rules: dict[str, Any], moment: datetime, zone: ZoneInfo
) -> None:
    closed = moment.astimezone(zone).date().isoformat() in rules.get("blackout", ())
    if closed:
        assert not schedule.is_open(rules, moment, zone)
    elif not rules.get("windows"):
        assert schedule.is_open(rules, moment, zone)


@given(WINDOWS, MOMENTS, ZONES)
def test_law_a_window_follows_the_wall_clock_on_days_whose_clock_does_not_change(
    window: dict[str, Any], moment: datetime, zone: ZoneInfo
) -> None:
    near = [moment + hours * timedelta(hours=1) for hours in range(-50, 51, 2)]
    if len({one.astimezone(zone).utcoffset() for one in near}) > 1:
        return
    local = moment.astimezone(zone)
    start = time.fromisoformat(window["from"])
    end = time.max if window["to"] == "24:00" else time.fromisoformat(window["to"])
    today, yesterday = DAYS[local.weekday()] in window["days"], DAYS[local.weekday() - 1] in window["days"]
    now = local.time()
    expected = (today and start <= now < end) if start < end else (today and start <= now) or (yesterday and now < end)
    assert schedule.is_open({"windows": [window]}, moment, zone) == expected


@given(SCHEDULES, MOMENTS, ZONES, st.integers(0, 60 * 24 * 3))
def test_law_deadlines_pass_in_their_order_and_none_twice(
    rules: dict[str, Any], moment: datetime, zone: ZoneInfo, minutes: int
) -> None:
    found = schedule.find_deadline(rules, moment, zone)
    if found is None:
        assert not rules.get("expected_by")
        return
    assert found.since < found.at <= moment
    assert found.day.isoformat() not in rules.get("blackout", ())
    assert schedule.find_deadline(rules, found.at, zone) == found
    before = schedule.find_deadline(rules, found.at - timedelta(microseconds=1), zone)
    assert before is not None
    assert before.at == found.since
    later = schedule.find_deadline(rules, moment + minutes * MINUTE, zone)
    assert later is not None
    assert later.at >= found.at


@pytest.mark.parametrize("clocks_change", ["2026-03-08", "2026-11-01"])
def test_checks_of_a_night_are_evenly_spaced_when_the_clock_changes(clocks_change: str) -> None:
    moment = at(f"{clocks_change} 00:00")
    end = at(f"{clocks_change} 12:00")
    checks = []
    while (moment := schedule.find_next_check(NIGHTLY, moment, CHICAGO)) < end:
        checks.append(moment)
    assert {later - earlier for earlier, later in pairwise(checks)} == {5 * MINUTE}
    assert checks[0] == at(f"{clocks_change} 01:00")
    assert at(f"{clocks_change} 06:00") - checks[-1] == 5 * MINUTE
