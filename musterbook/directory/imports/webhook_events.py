"""The messages of webhooks about imports and feeds, written in the transaction that ends the import or adds the notice.

They have the facts of notices (`notice_facts`), without names of files, texts of problems and answers of other servers:
those may have data of users. The page that the link opens shows them to users who may see them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from musterbook.core.planning.holds import Hold
from musterbook.directory import models
from musterbook.directory.audit import webhook_messages
from musterbook.directory.audit.webhook_kinds import WebhookKind
from musterbook.directory.imports import notice_facts, notices
from musterbook.directory.models import NoticeKind

_OF_FEED = {
    NoticeKind.FAILED: WebhookKind.IMPORT_FAILED,
    NoticeKind.LATE: WebhookKind.IMPORT_LATE,
    NoticeKind.UNREACHABLE: WebhookKind.FEED_UNREACHABLE,
    NoticeKind.STOPPED: WebhookKind.FEED_STOPPED,
}
_LEFT_OUT = ("kind", "at", "file", "problem")
"""The facts of a notice that a message does not have."""


def choose_kind(record: models.Import) -> WebhookKind | None:
    """Return the kind of message of a finished import, or None.

    A preview changes nothing and waits for the user who made it. That of a feed waits for any user, so it is reported.
    """
    if record.options.get("preview") and not notices.is_by_feed(record):
        return None
    if record.state == "applied":
        return WebhookKind.IMPORT_APPLIED
    if record.state in {"held", "previewed"}:
        return WebhookKind.IMPORT_HELD
    return None if record.stop else WebhookKind.IMPORT_FAILED


def add(record: models.Import) -> None:
    """Write the messages of a finished import, in the caller's transaction."""
    kind = choose_kind(record)
    if kind:
        at = record.finished_at or datetime.now(UTC)
        subject = f"import:{record.number}"
        webhook_messages.queue(record.agency, kind, subject, at, lambda: describe_import(record, at))


def describe_import(record: models.Import, at: datetime) -> dict[str, Any]:
    """Return the data of the message of an import. The holds have no names of roles and groups, and no text of the file."""
    facts = _keep_small(notice_facts.describe_import(record, record.feed, NoticeKind.FINISHED, at))
    reasons = [Hold.of_json(hold) for hold in facts.pop("holds")]
    holds = [{"kind": hold.key, "number": hold.number} for hold in reasons]
    link = webhook_messages.make_link(record.agency, f"imports/{record.number}")
    return {**facts, "kind": str(record.kind), "holds": holds, "link": link}


def add_of_feed(feed: models.Feed, kind: NoticeKind, at: datetime, facts: Mapping[str, Any]) -> None:
    """Write the messages of a notice about a feed, in the caller's transaction."""
    subject = webhook_messages.name_feed(feed.name)
    webhook_messages.queue(feed.agency, _OF_FEED[kind], subject, at, lambda: describe_feed(feed, facts))


def describe_feed(feed: models.Feed, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a message about a feed, from the facts of its notice."""
    link = webhook_messages.make_link(feed.agency, f"feeds/{feed.name}/")
    return {**_keep_small(facts), "link": link}


def _keep_small(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in _LEFT_OUT}
