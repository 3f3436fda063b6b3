"""What a notice says, as JSON: one shape for each kind, for emails, pages and programs (`docs/reference/notices.md`).

Times are in ISO 8601. A shape has all its keys in each notice; a fact that is not known is null.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from musterbook.directory import models
from musterbook.directory.models import NoticeKind

OF_IMPORT = (NoticeKind.HELD, NoticeKind.FAILED, NoticeKind.PROBLEMS, NoticeKind.FINISHED, NoticeKind.FIRST)
"""The kinds of notices about an import. A file of a feed that never became an import is a notice FAILED about the feed."""
_COMMON = ("kind", "agency", "feed", "at")
_IMPORT = ("import", "file", "mode", "state", "counts", "emails", "holds", "problem")
SHAPES: Mapping[NoticeKind, tuple[str, ...]] = {
    **dict.fromkeys(OF_IMPORT, (*_COMMON, *_IMPORT)),
    NoticeKind.LATE: (*_COMMON, "day", "expected_by", "last_arrived_at"),
    NoticeKind.UNREACHABLE: (*_COMMON, "day", "since", "attempts", "problem"),
    NoticeKind.STOPPED: (*_COMMON, "day", "problem"),
    NoticeKind.WEBHOOK: ("kind", "agency", "at", "webhook", "problem"),
}
"""Kind of notice → the keys of its facts."""


def describe_import(record: models.Import, feed: models.Feed | None, kind: NoticeKind, at: datetime) -> dict[str, Any]:
    """Return the facts of a notice about an import. `feed`: the feed that its file arrived by."""
    return _describe(record.agency, feed, kind, at) | {
        "import": record.number,
        "file": record.file_name,
        "mode": record.mode,
        "state": record.state,
        "counts": dict(record.counts),
        "emails": dict(record.mails),
        "holds": list(record.holds or ()),
        "problem": record.message,
    }


def describe_feed(feed: models.Feed, kind: NoticeKind, at: datetime, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a notice about a feed, as the feed has them now.

    `facts`: those that the feed does not have, such as `expected_by` and `file`. Facts outside the shape are left out.
    """
    known: dict[str, Any] = dict.fromkeys(SHAPES[kind]) | {
        "counts": {}, "emails": {}, "holds": [], "mode": feed.mode, "state": "failed", "problem": feed.problem,
        "last_arrived_at": feed.arrived_at, "since": feed.failing_since, "attempts": feed.failures,
    }  # fmt: skip
    if kind == NoticeKind.STOPPED:
        known["problem"] = feed.stopped
    found = known | dict(facts) | _describe(feed.agency, feed, kind, at)
    return {name: _to_json(found[name]) for name in SHAPES[kind]}


def describe_webhook(endpoint: models.WebhookEndpoint, at: datetime) -> dict[str, Any]:
    """Return the facts of a notice about a webhook that was disabled."""
    return {
        "kind": str(NoticeKind.WEBHOOK), "agency": endpoint.agency.slug, "at": _to_json(at), "webhook": endpoint.name,
        "problem": endpoint.disabled_why,
    }  # fmt: skip


def _describe(agency: models.Agency, feed: models.Feed | None, kind: NoticeKind, at: datetime) -> dict[str, Any]:
    return {"kind": str(kind), "agency": agency.slug, "feed": feed.name if feed else None, "at": _to_json(at)}


def _to_json(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def read_time(facts: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time among the facts, or None if it is not known."""
    text = facts.get(name)
    return datetime.fromisoformat(text) if text else None
