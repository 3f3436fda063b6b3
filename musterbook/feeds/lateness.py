"""What is due by the clock: files that are late, and times that a clock wrote before it was set back (rules N5, N6).

Also the number of late feeds, for the metrics.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import Error
from django.db.models import Q

from musterbook.directory import models
from musterbook.directory.imports import feed_notices
from musterbook.directory.models import NoticeKind
from musterbook.directory.storage import frames, locks, looks
from musterbook.directory.storage.clocks import SKEW
from musterbook.feeds import deadlines, schedule
from musterbook.feeds.claims import LONGEST_BACKOFF

_LOG = logging.getLogger(__name__)
_DAY = timedelta(days=1)
_CLOCK = ("schedule", "created_at", "counts_at", "paused_at", "agency__time_zone", "agency__paused_at")
"""The columns that say whether a file is late."""

_PAST = ("created_at", "arrived_at", "counts_at")
"""The columns of what has happened, by which a file is late or not."""
_AHEAD = f"{' OR '.join(f'{name} > %s' for name in (*_PAST, 'checked_at'))} OR next_check_at > %s"
"""The condition of feeds of which a time may be wrong: usually there are none."""

STATES = ("on time", "late", "unreachable", "stopped", "paused")
"""The states of feeds that the metrics show. Of several, a feed has the last in this list."""


def count_states(at: datetime) -> Counter[str]:
    """Return the number of feeds of all agencies in each of STATES. Those of paused agencies are paused."""
    feeds = models.Feed.objects.select_related("agency").only(*_CLOCK, "stopped", "unreachable", "failing_since")
    return Counter(_find_state(feed, at) for feed in feeds.iterator())


def _find_state(feed: models.Feed, at: datetime) -> str:
    if feed.paused_at or feed.agency.paused_at:
        return "paused"
    if feed.stopped:
        return "stopped"
    if feed.unreachable or (feed.failing_since and at - feed.failing_since >= deadlines.UNREACHABLE_AFTER):
        return "unreachable"
    return "late" if deadlines.find_late(feed, at) else "on time"


def notify_late(at: datetime) -> int:
    """Add a notice of each feed whose file is late: one when the deadline passes, and one each day. Return their number."""
    feeds = models.Feed.objects.filter(
        paused_at=None, agency__paused_at=None, schedule__has_key="expected_by"
    ).order_by("pk")
    return sum(_try(_notify_if_late, feed, at) for feed in feeds.select_related("agency").only(*_CLOCK, "name"))


def _notify_if_late(feed: models.Feed, at: datetime) -> bool:
    deadline = deadlines.find_late(feed, at)
    if deadline is None:
        return False
    day = deadline.day + _DAY * ((at - deadline.at) // _DAY)
    if models.Notice.objects.filter(feed=feed, kind=NoticeKind.LATE, day=day).exists():
        return False
    with locks.write_transaction(lambda: None):
        return feed_notices.add_notice(feed, NoticeKind.LATE, at, day, {"expected_by": deadline.at})


def correct_times(at: datetime) -> int:
    """Make the feeds due at once that would wait longer than their schedule says. Return their number.

    That happens when a clock was wrong: it wrote a time, and was set back. A feed that seems to be made in the future, and a
    file that seems to arrive then, are there by now; otherwise no file would be late until then.
    """
    if not looks.has_any(
        models.Feed, _AHEAD, *[frames.stamp(at + SKEW)] * 4, frames.stamp(at + LONGEST_BACKOFF + SKEW)
    ):
        return 0
    for name in _PAST:
        ahead = models.Feed.objects.filter(**{f"{name}__gt": at + SKEW})
        if ahead.exists():
            with locks.write_transaction(lambda: None):
                ahead.update(**{name: at})
    waiting = models.Feed.objects.filter(paused_at=None, stopped="", next_check_at__gt=at).select_related("agency")
    # Those that are ahead are few, and all others are thousands.
    suspect = waiting.filter(Q(checked_at__gt=at + SKEW) | Q(next_check_at__gt=at + LONGEST_BACKOFF + SKEW))
    wrong = [feed.pk for feed in suspect if _try(_waits_too_long, feed, at)]
    if not wrong:
        return 0
    with locks.write_transaction(lambda: None):
        return models.Feed.objects.filter(pk__in=wrong, next_check_at__gt=at).update(
            next_check_at=None, checked_at=None
        )


def _waits_too_long(feed: models.Feed, at: datetime) -> bool:
    if feed.checked_at and feed.checked_at > at + SKEW:
        return True
    if feed.next_check_at is None:
        return False
    return feed.next_check_at > schedule.find_next_check(feed.schedule, at, schedule.get_zone(feed.agency)) + SKEW


def _try(task: Callable[[models.Feed, datetime], bool], feed: models.Feed, at: datetime) -> bool:
    """Do the task for one feed. An error of our own in one feed hides no other, and is logged."""
    try:
        return task(feed, at)
    except Error:
        raise
    except Exception:  # noqa: BLE001  (it is logged in full)
        _LOG.exception("The schedule of feed %s could not be followed", feed.name)
        return False
