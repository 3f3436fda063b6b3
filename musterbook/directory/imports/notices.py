"""Notices: an import is held, failed, or was applied with problems. A page lists them, and emails bring them.

A notice and its emails are written in the transaction that ends the import, so both exist or neither does. Each import
has one notice of a kind at most, and each user one email of a notice. Only users whose role allows them to see the
import get the notice.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from musterbook.directory import models, permissions
from musterbook.directory.models import ImportKind, NoticeKind

BY_DEFAULT: tuple[str, ...] = (NoticeKind.HELD, NoticeKind.FAILED)
"""The kinds that a user gets by email unless they choose otherwise: those that leave the directory as it was."""
PAGE = 50
MOST_UNREAD = 99
MOST_EMAILS = 100
"""The most users who get an email of one notice."""
KEPT_FOR = timedelta(days=90)
_FORGOTTEN_AT_ONCE = 1_000
_EMAIL_ACTIONS = ("invite", "reset")


def choose_kind(record: models.Import) -> NoticeKind | None:
    """Return the kind of notice of a finished import, or None.

    A preview needs none, and a cancellation neither. If a plan had changed before it was applied, the operator sees the
    new plan at once.
    """
    if record.options.get("preview"):
        return None
    if record.state == "held":
        return NoticeKind.HELD
    if (record.state == "failed" and not record.stop) or (record.state == "refused" and record.origin_id is None):
        return NoticeKind.FAILED
    with_problems = record.state == "applied" and record.counts.get("errored", 0)
    return NoticeKind.PROBLEMS if with_problems and record.kind != ImportKind.BULK else None


def get_permission(record: models.Import) -> str:
    """Return the permission that a user needs to act on the import."""
    if record.kind != ImportKind.BULK:
        return "users.import"
    return "credentials.manage" if record.options["bulk"]["act"] in _EMAIL_ACTIONS else "users.edit"


def list_visible(role: models.Role) -> list[str]:
    """Return the permissions by which users of the role see notices. Pages of bulk changes need users.view as well."""
    granted = permissions.get_permissions(role)
    bulk = ("users.edit", "credentials.manage") if "users.view" in granted else ()
    return [name for name in ("users.import", *bulk) if name in granted]


def add(record: models.Import) -> None:
    """Add the notice of a finished import, if it needs one, and its emails, in the caller's transaction."""
    kind = choose_kind(record)
    if kind is None:
        return
    at = record.finished_at or datetime.now(UTC)
    notice, is_new = models.Notice.objects.get_or_create(
        of=record, kind=kind, defaults={"agency": record.agency, "permission": get_permission(record), "at": at}
    )
    if is_new and record.agency.sends_mail:
        models.Mail.objects.bulk_create(
            models.Mail(agency=record.agency, user=user, kind=kind, to=user.email, notice=notice, created_at=at)
            for user in _list_recipients(record, notice)
        )


def _list_recipients(record: models.Import, notice: models.Notice) -> list[models.User]:
    """Return the users who want the notice by email.

    They can see the import. The user who ran it on a page has seen its result there.
    """
    roles = [
        role.pk
        for role in models.Role.objects.filter(agency=record.agency_id)
        if notice.permission in list_visible(role)
    ]
    users = models.User.objects.filter(
        agency=record.agency_id, role__in=roles, active=True, registered_at__isnull=False
    )
    if record.through == "page":
        users = users.exclude(external_id=record.actor)
    chosen = models.NoticeSettings.objects.filter(user__in=users, emails__isnull=False)
    wants = {user: notice.kind in (emails or ()) for user, emails in chosen.values_list("user", "emails")}
    others = {user for user, wanted in wants.items() if not wanted}
    if notice.kind not in BY_DEFAULT:
        users = users.filter(pk__in=[user for user, wanted in wants.items() if wanted])
    found = users.order_by("pk")[: MOST_EMAILS + len(others)]
    return [user for user in found if user.pk not in others][:MOST_EMAILS]


def find_cancel_reason(notice: models.Notice | None, user: models.User) -> str:
    """Return why the email of a notice must not be sent any more, or ""."""
    if notice is None or notice.permission not in list_visible(user.role) or not user.active:
        return "Not sent: the user may no longer see the import."
    if notice.kind == NoticeKind.HELD and notice.of.ended:
        return "Not sent: the import is no longer on hold."
    return ""


def count_unread(user: models.User) -> int:
    """Return how many notices the user has not read and still matter, at most MOST_UNREAD + 1. It takes one query."""
    visible = list_visible(user.role)
    if not visible:
        return 0
    read_to = models.NoticeSettings.objects.filter(user=user).values("read_to")[:1]
    unread = _select(user, visible).filter(pk__gt=Coalesce(Subquery(read_to), 0))
    return unread.exclude(kind=NoticeKind.HELD, of__ended__gt="")[: MOST_UNREAD + 1].count()


def _select(user: models.User, visible: Collection[str]) -> "QuerySet[models.Notice]":
    """Return the notices that the user may see, except those of what they did on a page themselves."""
    notices = models.Notice.objects.filter(agency=user.agency_id, permission__in=visible)
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
    notices = _select(user, list_visible(user.role))
    if before:
        notices = notices.filter(pk__lt=before)
    found = list(notices.select_related("of", "of__undoes", "of__successor").order_by("-pk")[: PAGE + 1])
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
    return [kind for kind in NoticeKind.values if kind in chosen]


def choose_emails(user: models.User, kinds: Collection[str]) -> None:
    """Set the kinds of notices that the user gets by email. Unknown kinds are ignored."""
    known = [kind for kind in NoticeKind.values if kind in kinds]
    models.NoticeSettings.objects.update_or_create(user=user, defaults={"emails": known})


def forget_old(at: datetime) -> int:
    """Delete some of the notices that are older than KEPT_FOR. Return their number."""
    old = models.Notice.objects.filter(at__lt=at - KEPT_FOR).order_by("pk").values_list("pk", flat=True)
    number, _ = models.Notice.objects.filter(pk__in=list(old[:_FORGOTTEN_AT_ONCE])).delete()
    return number
