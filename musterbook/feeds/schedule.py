"""When a feed is checked, and by when its file is expected. Pure: times in, times out.

A schedule is the stored form of `Feed.schedule`. Its times are those of a clock on the wall in the agency's zone. On a
day on which that clock is changed, a time that it skips counts as the one an hour later, and a time that it shows twice
is the first of the two. So every window opens once, and every deadline passes once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Protocol, TypeAlias

from musterbook.config import time_zones

USUAL_MINUTES = 5
"""The minutes between two checks of a feed whose schedule does not say them."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days of a week, as a schedule names them."""
_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)
_WEEK = 7

Schedule: TypeAlias = Mapping[str, Any]
_ALWAYS: tuple[Schedule, ...] = ({"days": DAYS, "from": "00:00", "to": "24:00"},)
_Span: TypeAlias = tuple[datetime, datetime]
"""From the first moment (included) to the second (not included)."""


class _HasZone(Protocol):
    time_zone: str


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time by which a file was expected.

    `since`: the deadline before it, or a day before if there is none. A file that arrived since then is in time. `day`:
    the date of the deadline in the agency's zone.
    """

    at: datetime
    since: datetime
    day: date


def get_zone(agency: _HasZone) -> tzinfo:
    """Return the zone of the agency's schedules: its own, or UTC."""
    return time_zones.find_zone(agency.time_zone)


def is_open(schedule: Schedule, at: datetime, zone: tzinfo) -> bool:
    """Return whether the feed may be checked at this time: in a window, and not on a blackout day."""
    day = at.astimezone(zone).date()
    return any(start <= at < end for start, end in _list_open(schedule, day - _DAY, 4, zone))


def find_next_check(schedule: Schedule, after: datetime, zone: tzinfo) -> datetime:
    """Return the time of the check after one at `after`.

    It is the number of minutes later if the feed is open then. It is when the feed next opens if that is earlier, or if
    the feed is closed then.
    """
    after = after.astimezone(UTC)
    due = after + timedelta(minutes=schedule.get("every_minutes", USUAL_MINUTES))
    first = after.astimezone(zone).date() - 2 * _DAY
    for days in _count_days(schedule):
        for start, end in _list_open(schedule, first, days, zone):
            if after < start:
                return start
            if due < end:
                return due
    # Only a schedule that never opens comes here. Look again when all of its blackout days are over.
    return after + days * _DAY


def find_deadline(schedule: Schedule, at: datetime, zone: tzinfo) -> Deadline | None:
    """Return the latest deadline that has passed at this time. Return None if there is none."""
    last = at.astimezone(zone).date() + _DAY
    for days in _count_days(schedule):
        passed = [one for one in _list_deadlines(schedule, last - days * _DAY, days + 1, zone) if one[0] <= at]
        if len(passed) > 1:
            break
    if not passed:
        return None
    moment, day = passed[-1]
    return Deadline(moment, passed[-2][0] if len(passed) > 1 else moment - _DAY, day)


def count_arrival(schedule: Schedule, missed: Deadline, at: datetime, zone: tzinfo) -> datetime:
    """Return when a file counts as having arrived that comes at this time, after a missed deadline.

    If it is nearer to that deadline than to the next, it is the late file: the next deadline expects another one.
    """
    days = _count_days(schedule)[-1]
    listed = _list_deadlines(schedule, at.astimezone(zone).date(), days, zone)
    following = next((moment for moment, _ in listed if moment > at), at)
    return missed.at - _MOMENT if at - missed.at < following - at else at


def _count_days(schedule: Schedule) -> tuple[int, int]:
    """Return how many days to look at: first some, then as many as there are until one is not a blackout day."""
    return 2 * _WEEK + 3, _WEEK * (len(schedule.get("blackout", ())) + 3)


def _list_open(schedule: Schedule, first: date, days: int, zone: tzinfo) -> list[_Span]:
    """Return the spans in which the feed is open, of the windows that begin on these days, in their order."""
    spans: list[_Span] = []
    for start, end in sorted(_list_windows(schedule, first, days, zone)):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    for text in schedule.get("blackout", ()):
        day = date.fromisoformat(text)
        if first <= day <= first + (days + 1) * _DAY:
            spans = [part for span in spans for part in _cut(span, _find_span(day, time.min, time.min, zone))]
    return spans


def _list_windows(schedule: Schedule, first: date, days: int, zone: tzinfo) -> Iterator[_Span]:
    windows = schedule.get("windows") or _ALWAYS
    for number in range(days):
        day = first + number * _DAY
        for window in windows:
            if DAYS[day.weekday()] in window["days"]:
                yield _find_span(day, _read_time(window["from"]), _read_time(window["to"]), zone)


def _find_span(day: date, start: time, end: time, zone: tzinfo) -> _Span:
    """Return when it is these times on this day. An end that is not after the start is on the next day."""
    after = datetime.combine(day + _DAY if end <= start else day, end)
    before = datetime.combine(day, start)
    first, last = _find_moment(before, zone), _find_moment(after, zone)
    # The clock may skip the start but not the end. The window is then as long as on other days.
    return first, last if first < last else first + (after - before)


def _cut(span: _Span, other: _Span) -> Iterator[_Span]:
    """Yield what is left of the span without the other."""
    start, end = span
    if start < min(end, other[0]):
        yield start, min(end, other[0])
    if max(start, other[1]) < end:
        yield max(start, other[1]), end


def _list_deadlines(schedule: Schedule, first: date, days: int, zone: tzinfo) -> list[tuple[datetime, date]]:
    """Return the deadlines of these days in their order, each with its day."""
    blackout = set(schedule.get("blackout", ()))
    found = {
        (_find_moment(datetime.combine(day, _read_time(deadline["at"])), zone), day)
        for day in (first + number * _DAY for number in range(days))
        if day.isoformat() not in blackout
        for deadline in schedule.get("expected_by", ())
        if DAYS[day.weekday()] in deadline["days"]
    }
    return sorted(found)


def _find_moment(wall: datetime, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _read_time(text: str) -> time:
    """Return the time of a text such as 06:00. 24:00 is midnight, as an end."""
    return time.min if text == "24:00" else time.fromisoformat(text)
