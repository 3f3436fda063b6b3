"""One check of a feed that a worker has claimed: what is at its location, what of that is taken, and what failed.

Rules N1, N2, N5 and N6.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import Value
from django.db.models.functions import NullIf
from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import feed_notices
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.models import NoticeKind
from musterbook.feeds import claims, complete, deadlines, fetching, schedule, settling, taking
from musterbook.feeds.claims import Lease
from musterbook.feeds.complete import Arrival, Look, Reason
from musterbook.feeds.fetching import CannotTake, WrongChecksum
from musterbook.feeds.locations import opening
from musterbook.feeds.locations.location import (
    FileChanged,
    FoundFile,
    HostKeyChanged,
    Location,
    LocationError,
    NotAllowed,
    NotSetUp,
)
from musterbook.feeds.taking import LeaseLost, Origin, Taken

_LOG = logging.getLogger(__name__)
_MOST_FILES = 20
"""The most files of one feed that are taken in one check. The others are due at once."""
SOON = timedelta(minutes=1, seconds=1)
"""The time until a file that has just been found is looked at again."""
_PLACE = "location"
"""The key of the location in `Feed.seen`."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of a feed finds: what it takes, and why it leaves each other file.

    `left_out`: the names of files that cannot be taken because of their names. `taken`: what was taken; empty in a
    preview. `problem`: why the location cannot be used, "" if it can.
    """

    arrivals: tuple[Arrival, ...] = ()
    others: tuple[tuple[FoundFile, Reason], ...] = ()
    left_out: tuple[str, ...] = ()
    taken: list[Taken] = field(default_factory=list)
    problem: str = ""


@contextmanager
def open_location(feed: models.Feed) -> Iterator[Location]:
    """Open the location of the feed, and close it at the end. Raise LocationError."""
    location = opening.open_location(feed)
    try:
        yield location
    finally:
        location.close()


def look_at(feed: models.Feed, location: Location, at: datetime) -> Look:
    """Return what is at the location of the feed."""
    last = models.FeedFile.objects.filter(feed=feed, problem="").order_by("-pk").first() if feed.together else None
    return complete.choose(
        location.list_files(), read_seen(feed), at, pattern=feed.location.get("pattern") or "*", together=feed.together,
        usual=len(last.parts) if last else 0,
    )  # fmt: skip


def read_seen(feed: models.Feed) -> Mapping[str, Any]:
    """Return what the last check saw, if the feed still has the location at which it saw it."""
    seen: Mapping[str, Any] = feed.seen
    return {name: part for name, part in seen.items() if name != _PLACE} if seen.get(_PLACE) == feed.location else {}


def _store_seen(feed: models.Feed, seen: Mapping[str, Any]) -> dict[str, Any]:
    return {**seen, _PLACE: feed.location} if seen else {}


def check(feed: models.Feed, lease: Lease) -> CheckReport:
    """Settle what has ended, and take what has arrived. Raise the errors of a location, and LeaseLost."""
    lease.keep()
    taken: list[Taken] = []
    with open_location(feed) as location:
        unsettled = settling.select_unsettled().filter(feed=feed)
        if settling.settle(feed, unsettled, location, lease.now, lease.keep):
            feed = _refresh(feed)
        look = look_at(feed, location, lease.now())
        seen = dict(look.seen)
        for arrival in look.arrivals[:_MOST_FILES]:
            done = _take(feed, location, arrival, seen, lease)
            if done is None:
                break  # a newer file must not overtake it
            taken.append(done)
        report = CheckReport(look.arrivals, look.others, tuple(location.left_out), taken)
    wait = SOON if look.waits or len(taken) < len(look.arrivals[:_MOST_FILES]) else None
    _release(feed, seen, lease.now(), timedelta(0) if len(look.arrivals) > _MOST_FILES else wait)
    return report


def _refresh(feed: models.Feed) -> models.Feed:
    """Return the feed with what it has learned, under the same claim."""
    fresh = models.Feed.objects.select_related("agency").get(pk=feed.pk)
    if fresh.worker != feed.worker:
        raise LeaseLost(feed.name)
    return fresh


def _take(feed: models.Feed, location: Location, arrival: Arrival, seen: dict[str, Any], lease: Lease) -> Taken | None:
    """Take an arrival. Return None if it is not complete after all. `seen` is what the next check must know."""
    at = lease.now()
    taken_away = {one.name: complete.identify(one) for one in (*arrival.files, *arrival.markers)}
    then = {
        **seen,
        "files": {name: entry for name, entry in seen.get("files", {}).items() if name not in taken_away},
        "taken": {**seen.get("taken", {}), **taken_away},
    }
    origin = Origin(arrival.files, arrival.markers, feed.worker, _store_seen(feed, then))
    try:
        with fetching.fetch(location, arrival, f"{feed.name}.csv", lease.keep) as file:
            lease.renew()
            done = taking.submit_file(feed, file, AuditContext(at, "", "feed"), origin=origin)
    except CannotTake as error:
        done = taking.refuse_file(feed, origin, at, error.size, error.sha256, str(error))
    except WrongChecksum:
        by_name = {marker.name: marker for marker in arrival.markers}
        keys = {
            one.name: complete.key_of_try(one, by_name[arrival.checksums[one.name]])
            for one in arrival.files
            if one.name in arrival.checksums
        }
        seen["tried"] = {**seen.get("tried", {}), **keys}
        return None
    except FileChanged:
        for one in arrival.files:
            seen.get("files", {}).pop(one.name, None)
        return None
    seen.update(then)
    return done


def _release(feed: models.Feed, seen: Mapping[str, Any], at: datetime, wait: timedelta | None) -> None:
    """Write the result of a check that reached the location, and when the next one is due.

    `wait`: after which time a check will find more, if one is allowed then; None if it is not known.
    """
    zone = schedule.get_zone(feed.agency)
    next_at = schedule.find_next_check(feed.schedule, at, zone)
    if wait is not None and schedule.is_open(feed.schedule, at + wait, zone):
        next_at = min(next_at, at + wait)
    claims.release(
        feed,
        checked_at=at,
        next_check_at=next_at,
        seen=_store_seen(feed, seen),
        problem="",
        failing_since=None,
        failures=0,
        unreachable=False,
        **_answer(feed),
    )


def _answer(feed: models.Feed) -> dict[str, Any]:
    """Return what to write if a user had asked for this check. One who asks while it is made gets another one."""
    return {"asked_at": NullIf("asked_at", Value(feed.asked_at))} if feed.asked_at else {}


def record_failure(feed: models.Feed, error: Exception, at: datetime) -> None:
    """Write that the location could not be used. The next check comes later each time (rule N5).

    A feed whose server has another host key stops.
    """
    if not isinstance(error, LocationError | OverQuota | OSError):
        _LOG.error("Feed %s could not be checked because of an error in Musterbook", feed.name, exc_info=error)
    if isinstance(error, HostKeyChanged):
        fields: dict[str, Any] = {"stopped": str(error), "problem": str(error), "checked_at": at}
        claims.release(feed, lambda: _notify(feed, NoticeKind.STOPPED, at, fields), **fields, **_answer(feed))
        return
    since, failures = min(feed.failing_since or at, at), feed.failures + 1
    zone, next_at = schedule.get_zone(feed.agency), at + find_backoff(failures)
    if not schedule.is_open(feed.schedule, next_at, zone):
        next_at = schedule.find_next_check(feed.schedule, at, zone)
    needs_person = isinstance(error, NotAllowed) and not isinstance(error, NotSetUp)
    unreachable = needs_person or at - since >= deadlines.UNREACHABLE_AFTER
    fields = {"problem": describe_error(error), "failing_since": since, "failures": failures, "checked_at": at}
    fields["unreachable"] = unreachable
    then = partial(_notify, feed, NoticeKind.UNREACHABLE, at, fields) if unreachable else lambda: None
    claims.release(feed, then, **fields, next_check_at=next_at, **_answer(feed))


def find_backoff(failures: int) -> timedelta:
    """Return how long a feed waits after that many failed checks in a row: a minute, and twice as long each time."""
    return min(timedelta(minutes=2 ** min(failures - 1, 10)), claims.LONGEST_BACKOFF)


def _notify(feed: models.Feed, kind: NoticeKind, at: datetime, fields: Mapping[str, Any]) -> None:
    """Add the notice of what was just written of the feed, in the same transaction."""
    for name, value in fields.items():
        setattr(feed, name, value)
    feed_notices.add_notice(feed, kind, at, at.astimezone(schedule.get_zone(feed.agency)).date(), {})


def describe_error(error: Exception) -> str:
    """Return why a location cannot be used, for a person."""
    if isinstance(error, LocationError | OverQuota):
        return str(error)
    if isinstance(error, OSError):
        return _("The file could not be stored: %(reason)s.") % {"reason": error.strerror or error}
    return _("An error in Musterbook prevented the check. The log of the worker has the details.")
