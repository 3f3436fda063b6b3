"""The rounds of a worker over the feeds that are due (rule N6).

Feeds whose location is a folder of this machine are claimed and checked several at a time, because most checks find nothing
new. One whose location is another machine is claimed alone: it may be slow.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import Error, connection
from django.db.models import Count, QuerySet

from musterbook.directory import models
from musterbook.directory.storage import frames, isolation, locks, looks
from musterbook.directory.storage.clocks import SKEW
from musterbook.directory.storage.locks import AgencyPaused
from musterbook.feeds import checks, claims, schedule, settling
from musterbook.feeds.checks import CheckReport
from musterbook.feeds.claims import REMOTE, UNCHECKED, Clock, EndCheck, Interrupted, Lease
from musterbook.feeds.locations.location import LocationError
from musterbook.feeds.taking import FeedPaused, LeaseLost

_LOG = logging.getLogger(__name__)
_BATCH = 50
"""The most feeds with folders that a worker claims at a time."""
_MOST_REMOTE = 2
"""The most feeds of one agency on other machines that are checked at the same time, by all workers."""
_PATIENCE = 5.0
"""The seconds after which the rest of them are left to whichever worker is free."""


def never_end() -> bool:
    """Return False: no one asks the worker to end."""
    return False


class FeedBusy(Exception):
    """A worker checks the feed at this moment."""


def check_next_feed(worker: str, now: Clock, ending: EndCheck = never_end) -> bool:
    """Check the feed that is due the longest. Return False if none is due.

    `worker`: a name that no other worker has. `now`: the clock. `ending`: return whether the worker is asked to end.
    """
    if not _may_have_due(now()):
        return False
    claimed = claims.claim(claims.select_due(now())[:1], worker, now())
    for feed in claimed:
        _check_claimed(feed, now, ending)
    return bool(claimed)


def has_due(at: datetime) -> bool:
    """Return whether a feed is due and free, wherever its location is."""
    # A feed whose files are sent has no time either. The second query leaves it out, and those that are claimed.
    return _may_have_due(at) and claims.select_due(at).exists()


def _may_have_due(at: datetime) -> bool:
    due = (
        "paused_at IS NULL AND stopped = '' AND (next_check_at IS NULL OR next_check_at <= %s OR asked_at IS NOT NULL)"
    )
    return looks.has_any(models.Feed, due, frames.stamp(at))


def check_folders(worker: str, now: Clock, ending: EndCheck = never_end) -> int:
    """Check some of the due feeds whose location is on this machine. Return their number.

    A feed at whose location nothing has changed is written together with the others of that kind.
    """
    local = claims.select_due(now()).exclude(location__kind__in=REMOTE)
    at, started = now(), time.monotonic()
    claimed = claims.claim(local[:_BATCH], worker, at)
    unsettled = _list_unsettled(claimed)
    idle, busy = defaultdict[datetime, list[models.Feed]](list), list[models.Feed]()
    for feed in claimed:
        next_at = None if feed.pk in unsettled or feed.failures or feed.asked_at else _find_idle(feed, at)
        if next_at is None:
            busy.append(feed)
        else:
            idle[next_at].append(feed)
    for next_at, feeds in idle.items():
        claims.release_all(feeds, checked_at=at, next_check_at=next_at)
    for number, feed in enumerate(busy):
        if number and (ending() or time.monotonic() - started > _PATIENCE):
            claims.release_all(busy[number:])
            break
        _check_claimed(feed, now, ending)
    return len(claimed)


def select_remote(at: datetime) -> "QuerySet[models.Feed]":
    """Return the due feeds on other machines, without those of agencies that have enough of them checked, as a query set.

    Otherwise an agency with many feeds of slow servers would keep all others waiting.
    """
    remote = models.Feed.objects.filter(location__kind__in=REMOTE)
    checked = remote.filter(lease_until__gte=at, lease_until__lte=at + claims.LEASE + SKEW).values("agency")
    busy = checked.annotate(number=Count("pk")).filter(number__gte=_MOST_REMOTE).values("agency")
    return claims.select_due(at).filter(location__kind__in=REMOTE).exclude(agency__in=busy)


def has_remote(at: datetime) -> bool:
    """Return whether a feed on another machine is due."""
    return select_remote(at).exists()


def check_remote(worker: str, now: Clock, ending: EndCheck = never_end) -> bool:
    """Check the due feed on another machine that waits the longest. Return False if there is none."""
    claimed = claims.claim(select_remote(now())[:1], worker, now())
    for feed in claimed:
        _check_claimed(feed, now, ending)
    return bool(claimed)


def _list_unsettled(feeds: Sequence[models.Feed]) -> set[int]:
    return set(settling.select_unsettled().filter(feed__in=feeds).values_list("feed", flat=True)) if feeds else set()


def _find_idle(feed: models.Feed, at: datetime) -> datetime | None:
    """Return when the feed is due again if there is nothing to do for it now, otherwise None."""
    try:
        zone = schedule.get_zone(feed.agency)
        if not schedule.is_open(feed.schedule, at, zone):
            return schedule.find_next_check(feed.schedule, at, zone)
        with checks.open_location(feed) as location:
            look = checks.look_at(feed, location, at)
    except Error:
        raise
    except Exception:  # noqa: BLE001  (the check of this feed alone reports it)
        return None
    if look.arrivals or look.waits or dict(look.seen) != checks.read_seen(feed):
        return None
    return schedule.find_next_check(feed.schedule, at, zone)


def check_feed_now(feed: models.Feed, now: Clock, ending: EndCheck = never_end) -> CheckReport:
    """Check the feed at once, whatever its schedule says. Raise FeedBusy, FeedPaused, AgencyPaused."""
    locks.refuse_paused(feed.agency)
    if feed.paused_at:
        raise FeedPaused(feed.paused_why)
    if feed.location.get("kind") in UNCHECKED:
        return CheckReport()
    claimed = claims.claim(models.Feed.objects.filter(pk=feed.pk), "now", now())
    if not claimed:
        raise FeedBusy(feed.name)
    return _check_claimed(claimed[0], now, ending, forced=True)


def preview_check(feed: models.Feed, now: Clock) -> CheckReport:
    """Return what a check would find now. Nothing is taken, and nothing is written."""
    if feed.location.get("kind") in UNCHECKED:
        return CheckReport()
    try:
        with checks.open_location(feed) as location:
            look = checks.look_at(feed, location, now())
            return CheckReport(look.arrivals, look.others, tuple(location.left_out))
    except (LocationError, OSError) as error:
        return CheckReport(problem=checks.describe_error(error))


def has_unsettled() -> bool:
    """Return whether an import of a feed still has to be settled, or still has to end."""
    return looks.has_any(models.FeedFile, "settled_at IS NULL")


def settle_next(worker: str, now: Clock, ending: EndCheck = never_end) -> bool:
    """Settle imports of feeds that have ended, even if that is not due, for a while. Return False if there are none.

    A feed whose location fails, or that has stopped, carries them out when it is checked again.
    """
    started, settled = time.monotonic(), False
    for feed_id in _list_ended():
        if settled and (ending() or time.monotonic() - started > _PATIENCE):
            break
        for feed in claims.claim(models.Feed.objects.filter(pk=feed_id), worker, now()):
            _settle_claimed(feed, list(_select_ended().filter(feed=feed_id)), Lease(feed, now, ending))
            settled = True
    return settled


def _select_ended() -> "QuerySet[models.FeedFile]":
    return settling.select_unsettled().filter(feed__stopped="", feed__failures=0)


@cache
def _compile_ended() -> tuple[str, tuple[Any, ...]]:
    """Return the SQL that finds the feeds whose files have ended. It names no time, so it is made once.

    Files often wait for a person, and each worker asks every second.
    """
    sql, parameters = _select_ended().values_list("feed", flat=True).query.sql_with_params()
    return sql, tuple(parameters)


def _list_ended() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(*_compile_ended())
        return list(dict.fromkeys(feed_id for (feed_id,) in cursor.fetchall()))


def _settle_claimed(feed: models.Feed, files: list[models.FeedFile], lease: Lease) -> None:
    with isolation.limit_to(feed.agency_id):
        _settle_limited(feed, files, lease)


def _settle_limited(feed: models.Feed, files: list[models.FeedFile], lease: Lease) -> None:
    try:
        if feed.location.get("kind") in UNCHECKED:
            settling.settle(feed, files, None, lease.now, lease.keep)
        else:
            with checks.open_location(feed) as location:
                settling.settle(feed, files, location, lease.now, lease.keep)
    except (LeaseLost, Interrupted, AgencyPaused):
        claims.release(feed)
    except Error:
        raise
    except Exception as error:  # noqa: BLE001  (as in `_check_claimed`)
        checks.record_failure(feed, error, lease.now())
    else:
        claims.release(feed)


def _check_claimed(feed: models.Feed, now: Clock, ending: EndCheck, *, forced: bool = False) -> CheckReport:
    """Check a feed that this worker has claimed, and release it. An error of our own in one feed delays no other."""
    with isolation.limit_to(feed.agency_id):
        return _check_limited(feed, now, ending, forced=forced)


def _check_limited(feed: models.Feed, now: Clock, ending: EndCheck, *, forced: bool) -> CheckReport:
    try:
        zone = schedule.get_zone(feed.agency)
        if not forced and not feed.asked_at and not schedule.is_open(feed.schedule, now(), zone):
            claims.release(feed, next_check_at=schedule.find_next_check(feed.schedule, now(), zone))
            return CheckReport()
        return checks.check(feed, Lease(feed, now, ending))
    except LeaseLost:
        _LOG.warning("Feed %s is checked by another worker, or is gone", feed.name)
    except (FeedPaused, AgencyPaused, Interrupted):
        claims.release(feed)  # it is as due as it was
    except Error:
        raise
    except Exception as error:  # noqa: BLE001  (it is stored for the person who looks after the feed, and logged if it is ours)
        checks.record_failure(feed, error, now())
        return CheckReport(problem=checks.describe_error(error))
    return CheckReport()
