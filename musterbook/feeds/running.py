"""Feeds that are run by hand: a check now, and the wait for what it has taken."""

import time
from collections.abc import Callable
from datetime import datetime

from django.db.models import QuerySet

from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import heartbeats, queue
from musterbook.directory.imports.worker import run_next_import
from musterbook.feeds import rounds
from musterbook.feeds.checks import CheckReport
from musterbook.feeds.rounds import FeedBusy

_LOOK_EVERY = 0.2
_PATIENCE = 1.0

Clock = Callable[[], datetime]


def check_now(
    feed: models.Feed, context: AuditContext, by: Operator | None, now: Clock
) -> tuple[CheckReport, list[models.Import]]:
    """Check the feed now. Return what was found, and the imports of all files that were taken since the call.

    A worker may have taken some of them, because it was faster. Raise InvalidValue, NotAllowed, UnknownFeed, FeedPaused.
    """
    before = _list_files(feed).order_by("-pk").values_list("pk", flat=True).first() or 0
    feeds.request_check(feed, context, by)
    while True:
        try:
            report = rounds.check_feed_now(feed, now)
            break
        except FeedBusy:
            time.sleep(_LOOK_EVERY)
    taken = _list_files(feed).filter(pk__gt=before, of__isnull=False).select_related("of").order_by("pk")
    return report, [file.of for file in taken if file.of]


def finish(record: models.Import, worker: str, now: Clock) -> models.Import:
    """Return the import when it has ended. If no worker runs, this process runs what is queued, under the name `worker`."""
    while True:
        current = queue.wait(record, _PATIENCE)
        if current.finished_at:
            break
        if heartbeats.has_live_worker() or not run_next_import(worker, now):
            time.sleep(_LOOK_EVERY)
    rounds.settle_next(worker, now)
    return current


def _list_files(feed: models.Feed) -> "QuerySet[models.FeedFile]":
    return models.FeedFile.objects.filter(feed=feed)
