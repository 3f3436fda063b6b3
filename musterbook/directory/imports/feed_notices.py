"""Notices about a feed instead of an import: its file is late, its location cannot be reached, or it has stopped.

There is one of a kind each day, in the agency's time zone, however often and by however many workers it is noticed.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction

from musterbook.directory import models
from musterbook.directory.imports import notice_facts, notices, webhook_events
from musterbook.directory.models import NoticeKind

PERMISSION = "users.import"
"""The permission that a user needs to see feeds."""


def add_notice(feed: models.Feed, kind: NoticeKind, at: datetime, day: date, facts: Mapping[str, Any]) -> bool:
    """Add a notice about the feed, and its emails, in the caller's transaction. Return False if the day has one already.

    `kind`: LATE, UNREACHABLE, STOPPED, or FAILED for a file that could not be imported at all. `day`: the day in the
    agency's zone. `facts`: what the feed does not say itself (`notice_facts.describe_feed`).
    """
    defaults = {
        "agency": feed.agency, "permission": PERMISSION, "at": at,
        "facts": notice_facts.describe_feed(feed, kind, at, {**facts, "day": day.isoformat()}),
    }  # fmt: skip
    with transaction.atomic():
        notice, is_new = models.Notice.objects.get_or_create(feed=feed, kind=kind, day=day, defaults=defaults)
        if is_new:
            notices.add_mails(notice)
            webhook_events.add_of_feed(feed, kind, at, notice.facts)
    return is_new
