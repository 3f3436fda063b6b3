"""Who gets the email of a notice: those that the feed names, and the users whose own settings ask for it. Nobody twice.

A feed names users by external ID, and addresses. A named user must be active and allowed to see what the notice is about.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from musterbook.core.values import emails, keys
from musterbook.directory import models, permissions
from musterbook.directory.imports import entry_files
from musterbook.directory.models import NoticeKind

CHOICES: tuple[NoticeKind, ...] = (
    NoticeKind.HELD, NoticeKind.FAILED, NoticeKind.LATE, NoticeKind.PROBLEMS, NoticeKind.FINISHED,
)  # fmt: skip
"""The kinds that users choose for themselves. HELD stands for FIRST too, and LATE for all that keeps a feed or a webhook
from running."""
BY_DEFAULT: tuple[NoticeKind, ...] = (NoticeKind.HELD, NoticeKind.FAILED, NoticeKind.LATE)
"""The kinds that a user gets by email unless they choose otherwise: those for which a person is needed."""
MOST_EMAILS = 100
"""The most users who get an email of one notice."""
MOST_ADDRESSES = 20
"""The most addresses that a feed can notify of one kind."""
_CHOICE_OF = {
    NoticeKind.FIRST: NoticeKind.HELD, NoticeKind.UNREACHABLE: NoticeKind.LATE, NoticeKind.STOPPED: NoticeKind.LATE,
    NoticeKind.WEBHOOK: NoticeKind.LATE,
}  # fmt: skip
_NAMES: Mapping[NoticeKind, str] = {
    NoticeKind.HELD: "held",
    NoticeKind.FAILED: "failed",
    NoticeKind.LATE: "late",
    NoticeKind.PROBLEMS: "problems",
    NoticeKind.FINISHED: "finished",
}
"""A choice → its name in `Feed.notify`."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients of the email of one notice. `addresses` are those that are no user's of the first list."""

    users: list[models.User]
    addresses: list[str]


def list_choices_for(kind: NoticeKind, *, is_fed: bool) -> tuple[NoticeKind, ...]:
    """Return the choices that bring a notice of this kind.

    `is_fed`: whether a feed is concerned. Then FINISHED is every file that was applied, also one with problems.
    """
    also = (NoticeKind.FINISHED,) if is_fed and kind == NoticeKind.PROBLEMS else ()
    return (_CHOICE_OF.get(kind, kind), *also)


def list_named(feed: models.Feed, kind: NoticeKind) -> list[str]:
    """Return the external IDs and addresses that the feed names for this kind of notice."""
    named = [
        name
        for choice in list_choices_for(kind, is_fed=True)
        for name in feed.notify.get(_NAMES[choice], ())
        if isinstance(name, str)
    ]
    return list(dict.fromkeys(named))


def find_recipients(notice: models.Notice, feed: models.Feed | None) -> Recipients:
    """Return who gets the email of the notice. `feed`: the feed that it is about, or whose file the import has."""
    kind = NoticeKind(notice.kind)
    allowed = _query_allowed(notice)
    named = list_named(feed, kind) if feed else []
    users = list(allowed.filter(external_id__in=named).order_by("pk")[:MOST_EMAILS])
    users += _list_choosing(allowed.exclude(pk__in=[user.pk for user in users]), kind, MOST_EMAILS - len(users), feed)
    return Recipients(users, _list_addresses(notice.agency, named, users))


def list_visible(role: models.Role) -> list[str]:
    """Return the permissions by which users of the role see notices. Pages of bulk changes need users.view as well.

    A notice about a webhook names no user, so it needs only the permission for webhooks. One about a file of groups, roles
    or ranks needs the permission to import it.
    """
    granted = permissions.get_permissions(role)
    bulk = ("users.edit", "credentials.manage") if "users.view" in granted else ()
    names = ("users.import", *bulk, "api.manage", *dict.fromkeys(entry_files.PERMISSIONS.values()))
    return [name for name in names if name in granted]


def _query_allowed(notice: models.Notice) -> "QuerySet[models.User]":
    """Return the users who may see what the notice is about. The user who did it on a page has seen its result there."""
    roles = [
        role.pk
        for role in models.Role.objects.filter(agency=notice.agency_id)
        if notice.permission in list_visible(role)
    ]
    users = models.User.objects.filter(
        agency=notice.agency_id, role__in=roles, active=True, registered_at__isnull=False
    )
    record = notice.of
    return users.exclude(external_id=record.actor) if record and record.through == "page" else users


def _list_choosing(
    users: "QuerySet[models.User]", kind: NoticeKind, most: int, feed: models.Feed | None
) -> list[models.User]:
    """Return those of the users whose own settings ask for the notice, at most this many."""
    choices = list_choices_for(kind, is_fed=feed is not None)
    chosen = models.NoticeSettings.objects.filter(user__in=users, emails__isnull=False)
    wants = {user: _has_any(choices, kinds or ()) for user, kinds in chosen.values_list("user", "emails")}
    others = {user for user, wanted in wants.items() if not wanted}
    if not _has_any(choices, BY_DEFAULT):
        users = users.filter(pk__in=[user for user, wanted in wants.items() if wanted])
    found = users.order_by("pk")[: most + len(others)]
    return [user for user in found if user.pk not in others][:most]


def _has_any(wanted: Iterable[str], among: Collection[str]) -> bool:
    return any(kind in among for kind in wanted)


def _list_addresses(agency: models.Agency, named: list[str], users: list[models.User]) -> list[str]:
    """Return the named addresses that can be written to, each mailbox once, without those of users who get it anyway.

    An external ID is not an address, and the address of a user who is Inactive gets nothing.
    """
    given = [name for name in named if "@" in name][: 2 * MOST_ADDRESSES]
    ids = set(models.User.objects.filter(agency=agency, external_id__in=given).values_list("external_id", flat=True))
    taken = {emails.to_mailbox(user.email) for user in users}
    found: dict[str, str] = {}
    for address in given:
        if address not in ids and is_address(address) and emails.to_mailbox(address) not in taken:
            found.setdefault(emails.to_mailbox(address), address)
    for address in _list_inactive(agency, found.values()):
        found.pop(emails.to_mailbox(address), None)
    return list(found.values())[:MOST_ADDRESSES]


def is_address(text: str) -> bool:
    """Return whether an email can be sent to the address. A line end in it would be a header of its own."""
    return len(text) <= 254 and text.isprintable() and not emails.find_fault(text)


def _list_inactive(agency: models.Agency, addresses: Iterable[str]) -> list[str]:
    inactive = models.User.objects.filter(agency=agency, active=False)
    found = inactive.filter(email_key__in=[keys.make_key(address) for address in addresses])
    return list(found.values_list("email", flat=True))
