"""Which deadline a feed has missed, and which one a file that arrives is for (rule N5)."""

from datetime import datetime, timedelta

from musterbook.directory import models
from musterbook.feeds import schedule
from musterbook.feeds.schedule import Deadline

UNREACHABLE_AFTER = timedelta(hours=1)
"""For how long a location fails before its feed is unreachable (rule N5)."""


def find_late(feed: models.Feed, at: datetime) -> Deadline | None:
    """Return the deadline that the feed has missed, None if its file has arrived in time or is not expected yet."""
    if feed.paused_at or not feed.schedule.get("expected_by"):
        return None
    deadline = schedule.find_deadline(feed.schedule, at, schedule.get_zone(feed.agency))
    if deadline is None or deadline.at > at or feed.created_at > deadline.at:
        return None
    return None if feed.counts_at and feed.counts_at >= deadline.since else deadline


def count_arrival(feed: models.Feed, at: datetime) -> datetime:
    """Return when a file that arrives now counts as having arrived."""
    missed = find_late(feed, at)
    return schedule.count_arrival(feed.schedule, missed, at, schedule.get_zone(feed.agency)) if missed else at
