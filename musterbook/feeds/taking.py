"""A file that arrives by a feed becomes an import, once (rules N2, N6).

It is on this machine already, whole and hashed. One transaction writes that it was taken, and its import. If the process is
killed before that, the file is where it was; after that, the file is remembered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q

from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import feed_notices, queue, records
from musterbook.directory.imports.file_import import FileOnDisk, Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import PlanEnd
from musterbook.directory.models import NoticeKind
from musterbook.directory.storage import frames, locks, looks
from musterbook.feeds import deadlines, schedule
from musterbook.feeds.locations.location import FoundFile


class LeaseLost(records.NotWanted):
    """Another worker checks the feed now, or the feed is gone: what this one does does not count (rule N6)."""


class FeedPaused(records.NotWanted):
    """The feed is paused, so no file is taken. The message is who paused it, and why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken: its import, or None if it has nothing new, and what is remembered of it."""

    record: models.Import | None
    file: models.FeedFile


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file comes from, if a worker has found it at a location.

    `found`: the file, or all files of a snapshot. `markers`: what said that it is complete. `claim`: the name under which the
    worker has claimed the feed. `seen`: what the next check must know, with these files as taken.
    """

    found: Sequence[FoundFile]
    markers: Sequence[FoundFile]
    claim: str
    seen: Mapping[str, Any]

    def describe(self) -> dict[str, Any]:
        """Return what is remembered of the files."""
        names = [one.name for one in self.found]
        return {
            "leaving": [[one.name, one.modified] for one in (*self.markers, *self.found[1:], self.found[0])],
            "name": names[0][:255], "parts": names if len(names) > 1 else [],
            "modified": repr(max(one.modified for one in self.found)),
        }  # fmt: skip


def submit_file(
    feed: models.Feed,
    upload: FileOnDisk | Upload,
    context: AuditContext,
    *,
    found: FoundFile | None = None,
    origin: Origin | None = None,
) -> Taken:
    """Submit a file of the feed for a worker to import, or remember that it has nothing new.

    `found`: the file at its location. `origin`: the same and more, from a worker. Raise FeedPaused, LeaseLost, OverQuota,
    and OSError if the file cannot be kept.
    """
    described = {"name": upload.name[:255], "modified": repr(found.modified) if found else ""}
    facts = {**described, **(origin.describe() if origin else {}), "size": upload.size, "sha256": upload.digest()}
    taken: list[models.FeedFile] = []

    def write(record: models.Import) -> None:
        current = lock_feed(feed, origin.claim if origin else "")
        if current.paused_at:
            raise FeedPaused(current.paused_why)
        if not is_known(current, upload.digest()) and not was_imported(current, facts):
            options = make_options(current)
            record.options, record.mode = options.as_json(), options.mode.value
            records.insert_record(record)
        taken.append(_remember(current, context.at, facts, origin, record if record.pk else None))

    record = queue.submit(feed.agency, upload, make_options(feed), context=context, feed=feed, write=write)
    return Taken(record if record.pk else None, taken[-1])


def refuse_file(feed: models.Feed, origin: Origin, at: datetime, size: int, sha256: str, problem: str) -> Taken:
    """Remember a file that cannot be imported, and why, and add a notice. Raise LeaseLost."""
    with locks.write_transaction(lambda: None):
        current = lock_feed(feed, origin.claim)
        facts = {**origin.describe(), "size": size, "sha256": sha256, "problem": problem}
        day = at.astimezone(schedule.get_zone(current.agency)).date()
        feed_notices.add_notice(current, NoticeKind.FAILED, at, day, {"file": facts["name"], "problem": problem})
        return Taken(None, _remember(current, at, facts, origin, None))


def lock_feed(feed: models.Feed, claim: str) -> models.Feed:
    """Return the feed as it is now, locked until the transaction ends.

    `claim`: the name under which the caller has claimed it ("": it needs no claim). Raise LeaseLost.
    """
    current = models.Feed.objects.select_for_update(of=("self",)).select_related("agency").filter(pk=feed.pk).first()
    if current is None or (claim and current.worker != claim):
        raise LeaseLost(feed.name)
    return current


def _remember(
    feed: models.Feed, at: datetime, facts: Mapping[str, Any], origin: Origin | None, record: models.Import | None
) -> models.FeedFile:
    file = models.FeedFile.objects.create(feed=feed, at=at, of=record, settings=feeds.digest_settings(feed), **facts)
    arrived = {"arrived_at": at, "counts_at": deadlines.count_arrival(feed, at)}
    changed: dict[str, Any] = arrived | ({"seen": origin.seen} if origin else {})
    models.Feed.objects.filter(pk=feed.pk).update(**changed)
    return file


def make_options(feed: models.Feed) -> Options:
    """Return the options of an import of the feed. The first file of a new or changed feed is previewed (N3)."""
    reading = Options.of_json({**feed.reading, "mode": feed.mode})
    return replace(
        reading, source=feed.source, preview=feeds.is_new(feed), confirmed={}, corrections={},
        decided={}, approves=False,
    )  # fmt: skip


def is_known(feed: models.Feed, sha256: str) -> bool:
    """Return whether this content is that of the last file of the feed that was not in vain (rule N2).

    A file was in vain if its import failed or was refused, or if nobody looked at its plan in time. The same content is
    new if the settings of the feed have changed since, because they decide what it means.
    """
    files = models.FeedFile.objects.filter(feed=feed, problem="", of__isnull=False).select_related("of")
    for last in files.order_by("-pk")[:_EXAMINED]:
        end = follow(last.of)  # type: ignore[arg-type]  # the query leaves out files without an import
        if not _is_in_vain(end):
            digest = feeds.digest_settings(feed)
            is_same = last.settings == digest or (end.state == "applied" and feed.approved == digest)
            return last.sha256 == sha256 and is_same
    return False


def was_imported(feed: models.Feed, facts: Mapping[str, Any]) -> bool:
    """Return whether an earlier file of the feed was this one, by its name, size, time and content (rule N2).

    A location may hide its files for a moment. They must not be imported again, because newer ones came after them.
    """
    names = ("name", "modified", "size", "sha256")
    same = models.FeedFile.objects.filter(
        feed=feed, problem="", of__isnull=False, **{name: facts[name] for name in names}
    )
    earlier = same.select_related("of").order_by("-pk").first() if facts["modified"] else None
    if earlier is None or _is_in_vain(follow(earlier.of)):  # type: ignore[arg-type]  # as in `is_known`
        return False
    return models.FeedFile.objects.filter(feed=feed, pk__gt=earlier.pk, of__isnull=False).exists()


def _is_in_vain(end: models.Import) -> bool:
    """Return whether an import leaves its file as if it had not come: it failed, was refused, or nobody saw it in time."""
    return end.state in ("failed", "refused") or end.ended == PlanEnd.EXPIRED


KEPT_FOR = timedelta(days=400)
"""For this long the files of a feed are remembered: a year and a month."""
_FORGOTTEN_AT_ONCE = 1_000


def forget_old(at: datetime) -> int:
    """Delete some of the files that were taken KEPT_FOR ago, and return their number. Their imports stay.

    A file is not forgotten while its import is open, while it is among the last of its feed, or while it can still lie at
    its location: it would be new again (`is_known`, `was_imported`).
    """
    if not looks.has_any(models.FeedFile, '"at" < %s AND settled_at IS NOT NULL', frames.stamp(at - KEPT_FOR)):
        return 0
    newer = models.FeedFile.objects.filter(feed=OuterRef("feed"), pk__gt=OuterRef("pk"), of__isnull=False)
    again = newer.filter(name=OuterRef("name"))
    old = models.FeedFile.objects.filter(at__lt=at - KEPT_FOR, settled_at__isnull=False).order_by("pk")
    gone = Q(modified="") | ~Q(leaving=[]) | Exists(again)
    found = old.filter(gone, Exists(newer)).values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE]
    number, _ = models.FeedFile.objects.filter(pk__in=list(found)).delete()
    return number


_EXAMINED = 20
"""The number of earlier files that are examined."""
_LONGEST_CHAIN = 100


def follow(record: models.Import) -> models.Import:
    """Return the import that a file has in the end: the plan made again, or the import that applied it.

    That of a newer file, which has replaced a plan, is another one.
    """
    for _ in range(_LONGEST_CHAIN):
        following = record.successor
        if following is None or following.file_sha256 != record.file_sha256 or following.undoes_id:
            break
        record = following
    return record
