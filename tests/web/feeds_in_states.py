"""Feeds in each of their states, with files that were applied, held, failed, or had nothing new."""

from datetime import UTC, datetime, timedelta
from typing import Any

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from tests.directory import cast

FOLDER = {"kind": "folder", "path": "hr", "pattern": "*.csv"}
SFTP = {
    "kind": "sftp",
    "host": "sftp.example.org",
    "port": 22,
    "path": "/out",
    "pattern": "*.csv",
    "user": "musterbook",
}


def add_feed(agency: models.Agency, name: str = "hr", *, approved: bool = True, **values: Any) -> models.Feed:
    """Add a feed by a command; a person has applied a file with its settings. `columns`: what its workers have written."""
    columns = values.pop("columns", {})
    known: dict[str, Any] = {"name": name, "mode": "update", "location": FOLDER}
    feed = feeds.add(agency, known | values, AuditContext(datetime.now(UTC), "", "cli"), None)
    if approved:
        columns = {"approved": feeds.digest_settings(feed)} | columns
    models.Feed.objects.filter(pk=feed.pk).update(**columns)
    feed.refresh_from_db()
    return feed


def receive(
    feed: models.Feed,
    rows: list[cast.Row] | None = None,
    *,
    days: float = 0,
    name: str = "hr.csv",
    problem: str = "",
    **options: Any,
) -> models.FeedFile:
    """Receive a file so many days ago. Without rows it has nothing new, or the problem."""
    at, record = datetime.now(UTC) - timedelta(days=days), None
    if rows is not None:
        known = {"mode": Mode(feed.mode)} | options
        record = cast.run(feed.agency, rows, Options(**known), through="feed", at=at).record
        models.Import.objects.filter(pk=record.pk).update(feed=feed, file_name=name)
        record.refresh_from_db()
    models.Feed.objects.filter(pk=feed.pk).update(arrived_at=at, counts_at=at)
    return models.FeedFile.objects.create(
        feed=feed, name=name, size=10, modified=f"{at.timestamp()}", sha256=f"{days}", at=at, of=record, problem=problem
    )
