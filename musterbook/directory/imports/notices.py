"""Notices: an import is held, failed, or was applied with problems. A page lists them, and emails bring them.

A notice and its emails are written in the transaction that ends the import, so both exist or neither does. Each import
has one notice of a kind at most, and each recipient one email of a notice. Only users whose role allows them to see the
import get the notice. What keeps a feed from running is a notice too (`feed_notices`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from musterbook.directory import models
from musterbook.directory.imports import entry_files, notice_facts, notice_recipients
from musterbook.directory.imports.notice_recipients import BY_DEFAULT, CHOICES
from musterbook.directory.models import ImportKind, NoticeKind
from musterbook.directory.storage.clocks import is_recent

PAGE = 50
MOST_UNREAD = 99
KEPT_FOR = timedelta(days=90)
WAITING = (NoticeKind.HELD, NoticeKind.FIRST)
"""The kinds of an import that waits for a person. Their notices are over when its plan ends."""
_WAITING_IN = {"held": NoticeKind.HELD, "previewed": NoticeKind.FIRST}
_ONLY_OF_FEEDS = (NoticeKind.FIRST, NoticeKind.FINISHED)
_FORGOTTEN_AT_ONCE = 1_000
_EMAILED_ONCE = (NoticeKind.FAILED, NoticeKind.PROBLEMS)
_EMAIL_EVERY = timedelta(hours=1)
"""The files of one feed make one email of such a kind in this time."""
_EMAIL_ACTIONS = ("invite", "reset")


def choose_kind(record: models.Import) -> NoticeKind | None:
    """Return the kind of notice of a finished import, or None.

    A preview needs none, and a cancellation neither. If a plan had changed before it was applied, the operator sees the
    new plan at once. A preview that a feed makes by itself is the first file, which waits for a person (rule N3).
    """
    if record.options.get("preview") and not is_by_feed(record):
        return None
    if record.state in _WAITING_IN:
        return _WAITING_IN[record.state]
    if (record.state == "failed" and not record.stop) or (record.state == "refused" and record.origin_id is None):
        return NoticeKind.FAILED
    if record.state != "applied" or record.kind == ImportKind.BULK:
        return None
    if record.counts.get("errored", 0):
        return NoticeKind.PROBLEMS
    return NoticeKind.FINISHED if record.feed_id else None


def is_by_feed(record: models.Import) -> bool:
    """Return whether a feed has made the import by itself."""
    return record.feed_id is not None and record.through == "feed"


def get_permission(record: models.Import) -> str:
    """Return the permission that a user needs to act on the import."""
    if record.kind != ImportKind.BULK:
        return entry_files.PERMISSIONS.get(entry_files.get_layout(record), "users.import")
    return "credentials.manage" if record.options["bulk"]["act"] in _EMAIL_ACTIONS else "users.edit"


def add(record: models.Import) -> None:
    """Add the notice of a finished import, if it needs one, and its emails, in the caller's transaction."""
    if record.feed_id and not models.Feed.objects.filter(pk=record.feed_id).exists():
        record.feed = None  # it was removed while the import ran
    kind = choose_kind(record)
    if kind is None:
        return
    at = record.finished_at or datetime.now(UTC)
    facts = notice_facts.describe_import(record, record.feed, kind, at)
    defaults = {"agency": record.agency, "permission": get_permission(record), "at": at, "facts": facts}
    notice, is_new = models.Notice.objects.get_or_create(of=record, kind=kind, defaults=defaults)
    if is_new and not _repeats(notice):
        add_mails(notice)


def _repeats(notice: models.Notice) -> bool:
    """Return whether emails of that kind have just gone out for another file of the same feed.

    A folder full of bad files is one email. The notices of the other files are on the page.
    """
    feed = get_feed(notice)
    if feed is None or notice.kind not in _EMAILED_ONCE:
        return False
    same = models.Mail.objects.filter(agency=notice.agency, kind=notice.kind, notice__of__feed=feed)
    return same.filter(is_recent("created_at", notice.at, _EMAIL_EVERY)).exists()


def add_mails(notice: models.Notice) -> None:
    """Add the emails of a new notice, one for each recipient."""
    if not notice.agency.sends_mail:
        return
    found = notice_recipients.find_recipients(notice, get_feed(notice))
    to: list[tuple[models.User | None, str]] = [(user, user.email) for user in found.users]
    to += [(None, address) for address in found.addresses]
    models.Mail.objects.bulk_create(
        models.Mail(agency=notice.agency, user=user, kind=notice.kind, to=address, notice=notice, created_at=notice.at)
        for user, address in to
    )


def get_feed(notice: models.Notice) -> models.Feed | None:
    """Return the feed that the notice is about, or whose file its import has; None for other imports."""
    return notice.of.feed if notice.of else notice.feed


def find_cancel_reason(notice: models.Notice | None, user: models.User) -> str:
    """Return why the email of a notice must not be sent to the user any more, or ""."""
    if notice is None or notice.permission not in notice_recipients.list_visible(user.role) or not user.active:
        return "Not sent: the user may no longer see the import."
    return _find_settled(notice)


def find_address_cancel_reason(notice: models.Notice | None, address: str) -> str:
    """Return why the email of a notice must not be sent to an address that a feed names any more, or ""."""
    feed = get_feed(notice) if notice else None
    if notice is None or feed is None or address not in notice_recipients.list_named(feed, NoticeKind(notice.kind)):
        return "Not sent: the feed no longer names the address."
    return _find_settled(notice)


def _find_settled(notice: models.Notice) -> str:
    """Return why nobody is needed any more, or ""."""
    if notice.of:
        if notice.kind in _ONLY_OF_FEEDS and notice.of.feed is None:
            return "Not sent: the feed was removed."
        is_over = notice.kind in WAITING and bool(notice.of.ended)
        return "Not sent: the import is no longer on hold." if is_over else ""
    feed = notice.feed
    if feed and notice.kind == NoticeKind.LATE and feed.arrived_at and feed.arrived_at >= notice.at:
        return "Not sent: the file has arrived."
    if feed and notice.kind == NoticeKind.UNREACHABLE and not feed.failing_since:
        return "Not sent: the location can be reached again."
    if feed and notice.kind == NoticeKind.STOPPED and not feed.stopped:
        return "Not sent: the feed runs again."
    return ""


def count_unread(user: models.User) -> int:
    """Return how many notices the user has not read and still matter, at most MOST_UNREAD + 1. It takes one query."""
    visible = notice_recipients.list_visible(user.role)
    if not visible:
        return 0
    read_to = models.NoticeSettings.objects.filter(user=user).values("read_to")[:1]
    unread = _select(user, visible).filter(pk__gt=Coalesce(Subquery(read_to), 0))
    return unread.exclude(kind__in=WAITING, of__ended__gt="")[: MOST_UNREAD + 1].count()


def _select(user: models.User, visible: Collection[str]) -> "QuerySet[models.Notice]":
    """Return the notices that the user may see, except those of what they did on a page themselves.

    A file that was imported without problems needs nobody, so its notice is only for those who want an email of it.
    """
    notices = models.Notice.objects.filter(agency=user.agency_id, permission__in=visible)
    notices = notices.exclude(kind=NoticeKind.FINISHED)
    return notices.exclude(Q(of__actor=user.external_id, of__through="page"))


@dataclass(frozen=True, slots=True)
class NoticePage:
    """A page of notices, the latest first. `read_to`: the id of the last notice that the user had read.

    `latest`: the id of the first notice. `before`: the cursor of the next page (0: there is none).
    """

    notices: list[models.Notice]
    read_to: int
    latest: int
    before: int


def read_page(user: models.User, before: int = 0) -> NoticePage:
    """Return a page of the user's notices. `before`: only those with a lower id (0: from the latest)."""
    notices = _select(user, notice_recipients.list_visible(user.role))
    if before:
        notices = notices.filter(pk__lt=before)
    found = list(
        notices.select_related("of", "of__undoes", "of__successor", "of__feed", "feed").order_by("-pk")[: PAGE + 1]
    )
    visible = found[:PAGE]
    settings = models.NoticeSettings.objects.filter(user=user).first()
    return NoticePage(
        visible,
        settings.read_to if settings else 0,
        visible[0].pk if visible else 0,
        visible[-1].pk if len(found) > PAGE else 0,
    )


def mark_read(user: models.User, to: int) -> None:
    """Record that the user has read the notices up to this id. Later ones stay unread."""
    latest = models.Notice.objects.filter(agency=user.agency_id, pk__lte=to).order_by("-pk").first()
    if latest:
        models.NoticeSettings.objects.get_or_create(user=user)
        models.NoticeSettings.objects.filter(user=user, read_to__lt=latest.pk).update(read_to=latest.pk)


def list_emails(user: models.User) -> list[str]:
    """Return the kinds of notices that the user gets by email."""
    settings = models.NoticeSettings.objects.filter(user=user).first()
    chosen = BY_DEFAULT if settings is None or settings.emails is None else settings.emails
    return [str(kind) for kind in CHOICES if kind in chosen]


def choose_emails(user: models.User, kinds: Collection[str]) -> None:
    """Set the kinds of notices that the user gets by email. Unknown kinds are ignored."""
    known = [str(kind) for kind in CHOICES if kind in kinds]
    models.NoticeSettings.objects.update_or_create(user=user, defaults={"emails": known})


def forget_old(at: datetime) -> int:
    """Delete some of the notices that are older than KEPT_FOR. Return their number."""
    old = models.Notice.objects.filter(at__lt=at - KEPT_FOR).order_by("pk").values_list("pk", flat=True)
    number, _ = models.Notice.objects.filter(pk__in=list(old[:_FORGOTTEN_AT_ONCE])).delete()
    return number
