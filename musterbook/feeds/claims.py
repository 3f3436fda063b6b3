"""The claim of a feed: one worker at a time checks it, for as long as its lease lasts (rule N6).

A worker that is killed keeps its lease until it ends, and then another worker claims the feed. Every write of a check
says under which claim it is made, so that a worker that was slow changes nothing after another one took over.

A person who changes a feed makes it due at once, also while it is checked. The check that runs then is of the feed as it was,
so its result does not count.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.storage import locks
from musterbook.directory.storage.clocks import SKEW
from musterbook.feeds.taking import LeaseLost

LEASE = timedelta(minutes=2)
_RENEW_AFTER = 20.0
_FREE: Mapping[str, Any] = {"worker": "", "lease_until": None}
"""The columns of a feed that no worker has claimed."""
LONGEST_BACKOFF = timedelta(hours=1)
"""The longest wait for the next check after a failure."""
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
"""When a feed was due that is due at once: a time of a clock may be wrong, even that at which the feed was made."""
REMOTE = ("sftp", "https")
"""The kinds of locations that are on another machine, which may be slow."""
UNCHECKED = ("sent", "command")
"""The kinds of locations that nothing is looked for at: the files are brought."""

Clock = Callable[[], datetime]
EndCheck = Callable[[], bool]


class Interrupted(Exception):
    """The worker was asked to end. The next one checks the feed."""


def select_due(at: datetime) -> "QuerySet[models.Feed]":
    """Return the feeds that are due and free, as a query set: those that wait the longest first."""
    due = Q(next_check_at=None) | Q(next_check_at__lte=at) | Q(asked_at__isnull=False)
    running = models.Feed.objects.filter(due, _is_free(at), paused_at=None, stopped="")
    running = running.exclude(agency__in=pausing.select_paused())
    return running.exclude(location__kind__in=UNCHECKED).order_by(F("next_check_at").asc(nulls_first=True), "pk")


def _is_free(at: datetime) -> Q:
    return Q(lease_until=None) | Q(lease_until__lt=at) | Q(lease_until__gt=at + LEASE + SKEW)


def claim(feeds: "QuerySet[models.Feed]", worker: str, at: datetime) -> list[models.Feed]:
    """Claim those of the feeds that are free, and return them. Each has the name of the claim as its `worker`.

    Each has a `next_check_at`, too. One that has none when it is released was changed meanwhile. For one that was due at once,
    it is a time that has passed by any clock.
    """
    if not feeds.exists():
        return []
    name = f"{worker[:52]}-{secrets.token_hex(4)}"
    if connection.features.has_select_for_update_skip_locked:
        feeds = feeds.select_for_update(skip_locked=True)
    with locks.write_transaction(lambda: None):
        ids = list(feeds.values_list("pk", flat=True))
        free = models.Feed.objects.filter(_is_free(at), pk__in=ids).exclude(agency__in=pausing.select_paused())
        free.update(worker=name, lease_until=at + LEASE, next_check_at=Coalesce("next_check_at", AT_ONCE))
    claimed = models.Feed.objects.filter(worker=name, pk__in=ids).select_related("agency")
    return sorted(claimed, key=lambda one: ids.index(one.pk))


def release(feed: models.Feed, then: Callable[[], object] = lambda: None, **fields: Any) -> bool:
    """Write the result of a check, and let others claim the feed. Return False if this worker has lost it.

    Write no result if a person has changed the feed since it was claimed: it is due at once. `then`: writes more in the
    same transaction, with the result.
    """
    with locks.write_transaction(lambda: None):
        mine = _select_mine(feed)
        if _select_unchanged(mine).update(**fields, **_FREE):
            then()
            return True
        return bool(mine.update(**_FREE))


def release_all(feeds: Sequence[models.Feed], **fields: Any) -> None:
    """Do the same for several feeds of one claim."""
    with locks.write_transaction(lambda: None):
        mine = models.Feed.objects.filter(pk__in=[one.pk for one in feeds], worker=feeds[0].worker)
        _select_unchanged(mine).update(**fields, **_FREE)
        mine.update(**_FREE)


def _select_unchanged(claimed: "QuerySet[models.Feed]") -> "QuerySet[models.Feed]":
    return claimed.filter(next_check_at__isnull=False)


def write(feed: models.Feed, **fields: Any) -> bool:
    """Write columns of the feed, if this worker still has it."""
    with locks.write_transaction(lambda: None):
        return bool(_select_mine(feed).update(**fields))


def _select_mine(feed: models.Feed) -> "QuerySet[models.Feed]":
    return models.Feed.objects.filter(pk=feed.pk, worker=feed.worker)


class Lease:
    """The lease of a claimed feed, which is renewed while the worker uses it."""

    def __init__(self, feed: models.Feed, now: Clock, ending: EndCheck) -> None:
        self.feed, self.now, self._ending = feed, now, ending
        until = feed.lease_until or now()
        self._renewed = time.monotonic() - max((now() - until + LEASE).total_seconds(), 0)

    def keep(self) -> None:
        """Renew the lease if it is old. Raise LeaseLost, and Interrupted if the worker is asked to end."""
        if self._ending():
            raise Interrupted
        if time.monotonic() - self._renewed > _RENEW_AFTER:
            self.renew()

    def renew(self) -> None:
        """Renew the lease. Raise LeaseLost."""
        if not write(self.feed, lease_until=self.now() + LEASE):
            raise LeaseLost(self.feed.name)
        self._renewed = time.monotonic()
