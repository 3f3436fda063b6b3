"""What is due by the clock: files that are late, and times that a clock wrote before it was set back (rules N5, N6)."""

from datetime import datetime, timedelta

from musterbook.directory import models
from musterbook.directory.imports import feed_notices
from musterbook.directory.models import NoticeKind
from musterbook.directory.storage import locks
from musterbook.feeds import schedule
from musterbook.feeds.claims import LONGEST_BACKOFF, SKEW
from musterbook.feeds.schedule import Deadline

_DAY = timedelta(days=1)


def find_late(feed: models.Feed, at: datetime) -> Deadline | None:
    """Return the deadline that the feed has missed, None if its file has arrived in time or is not expected yet."""
    if feed.paused_at or not feed.schedule.get("expected_by"):
        return None
    deadline = schedule.find_deadline(feed.schedule, at, schedule.get_zone(feed.agency))
    if deadline is None or deadline.at > at or feed.created_at > deadline.at:
        return None
    return None if feed.arrived_at and feed.arrived_at >= deadline.since else deadline


def notify_late(at: datetime) -> int:
    """Add a notice of each feed whose file is late: one when the deadline passes, and one each day. Return their number."""
    number = 0
    for feed in models.Feed.objects.filter(paused_at=None).select_related("agency").order_by("pk"):
        deadline = find_late(feed, at)
        if deadline is None:
            continue
        day = deadline.day + _DAY * ((at - deadline.at) // _DAY)
        if models.Notice.objects.filter(feed=feed, kind=NoticeKind.LATE, day=day).exists():
            continue
        with locks.write_transaction(lambda: None):
            number += feed_notices.add_notice(feed, NoticeKind.LATE, at, day, {"expected_by": deadline.at})
    return number


def correct_times(at: datetime) -> int:
    """Make the feeds due at once that would wait longer than their schedule says. Return their number.

    That happens when a clock was wrong: it wrote a time, and was set back.
    """
    wrong = []
    for feed in models.Feed.objects.filter(paused_at=None, stopped="", next_check_at__gt=at).select_related("agency"):
        latest = schedule.find_next_check(feed.schedule, at, schedule.get_zone(feed.agency))
        is_ahead = feed.checked_at is not None and feed.checked_at > at + SKEW
        if is_ahead or (feed.next_check_at and feed.next_check_at > max(latest, at + LONGEST_BACKOFF) + SKEW):
            wrong.append(feed.pk)
    with locks.write_transaction(lambda: None):
        return models.Feed.objects.filter(pk__in=wrong, next_check_at__gt=at).update(
            next_check_at=None, checked_at=None
        )
