"""Files that programs send to a feed: each request once, by its idempotency key, and each content once, by its hash."""

from datetime import UTC, datetime

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import records
from musterbook.directory.imports.file_import import FileOnDisk, KeyTaken
from musterbook.feeds import taking
from musterbook.feeds.taking import Taken


def send_file(feed: models.Feed, upload: FileOnDisk, context: AuditContext, key: str) -> Taken:
    """Submit the file, or return what an earlier request with the same key and the same file has led to.

    `key`: the idempotency key ("": none). A file whose import failed or was refused has not used up its key. Raise KeyTaken,
    and what `taking.submit_file` raises.
    """
    earlier = _find_by_key(feed, key)
    if earlier:
        if earlier.sha256 != upload.digest():
            raise KeyTaken(earlier.of.number if earlier.of else earlier.name)
        return Taken(earlier.of, earlier)
    taken = taking.submit_file(feed, upload, context)
    if key:
        # A process that ends before this has taken the file once too: the content is known, and sent again it is nothing new.
        models.FeedFile.objects.filter(pk=taken.file.pk).update(key=key)
    return taken


def _find_by_key(feed: models.Feed, key: str) -> models.FeedFile | None:
    if not key:
        return None
    since = datetime.now(UTC) - records.KEY_KEPT_FOR
    files = models.FeedFile.objects.filter(feed=feed, key=key, at__gt=since).exclude(
        of__state__in=("failed", "refused")
    )
    return files.select_related("of").order_by("-pk").first()


def find_import_of(feed: models.Feed, file: models.FeedFile) -> models.Import | None:
    """Return the import that has the content of a file with nothing new, if it is known."""
    same = models.FeedFile.objects.filter(feed=feed, sha256=file.sha256, of__isnull=False)
    last = same.select_related("of").order_by("-pk").first()
    return last.of if last else None
