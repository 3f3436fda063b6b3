"""What waits for an administrator of accounts: emails that could not be sent, and invitations that expire soon."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from musterbook.directory import models

SOON = timedelta(days=2)
MOST_EXPIRING = 500
"""The most users with an invitation that expires soon whose ids are read."""
_LATEST, _RECENT = 200, timedelta(days=14)
"""The most failed emails that are read, and the time after which a failed email is no longer shown."""
_Recipient = tuple[int | None, str, str]
"""The id of a user, or else an address, and the kind of email."""
_CANCELED = "Not sent:"
"""The beginning of the reason why an email that was no longer true has not been sent."""


@dataclass(frozen=True, slots=True)
class FailedEmail:
    """An email that could not be sent: its user, kind and reason, and when it was given up.

    `user_id` is None for an address that a feed notifies, which is the `name` then.
    """

    user_id: int | None
    name: str
    kind: str
    problem: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FailedEmails:
    """The latest failed emails, one for each recipient and kind. `is_more`: there may be more of them."""

    emails: list[FailedEmail]
    is_more: bool


def list_failed_emails(agency: models.Agency, at: datetime) -> FailedEmails:
    """Return the emails of the last days that could not be sent, the latest first.

    An email does not count if a later one of its kind has reached the recipient, or if it was no longer true.
    """
    failed = models.Mail.objects.filter(agency=agency, ended_at__isnull=False, sent_at=None).exclude(problem="")
    latest = list(failed.order_by("-pk").values_list("pk", "user_id", "to", "kind", "problem", "ended_at")[:_LATEST])
    by_recipient: dict[_Recipient, tuple[int, str, datetime]] = {}
    for pk, user, to, kind, problem, ended_at in latest:
        if ended_at and ended_at >= at - _RECENT and not problem.startswith(_CANCELED) and (user or to):
            by_recipient.setdefault((user, "" if user else to, kind), (pk, problem, ended_at))
    for key in _find_sent_later({key: pk for key, (pk, _, _) in by_recipient.items()}):
        del by_recipient[key]
    names = _read_names(agency, (user for user, _, _ in by_recipient if user))
    emails = [
        FailedEmail(user, names[user] if user else to, kind, problem, ended_at)
        for (user, to, kind), (_, problem, ended_at) in by_recipient.items()
        if user is None or user in names
    ]
    return FailedEmails(emails, len(latest) == _LATEST)


def _find_sent_later(failed: dict[_Recipient, int]) -> list[_Recipient]:
    """Return those of the emails, by recipient and kind, that have a later one that was sent or waits to be sent."""
    users, addresses = {user for user, _, _ in failed if user}, {to for _, to, _ in failed if to}
    to_them = Q(user__in=users) | Q(user=None, to__in=addresses) if addresses else Q(user__in=users)
    later = models.Mail.objects.filter(to_them, pk__gt=min(failed.values(), default=0))
    current = later.exclude(ended_at__isnull=False, sent_at=None).values_list("user_id", "to", "kind", "pk")
    keys = [((user, "" if user else to, kind), pk) for user, to, kind, pk in current]
    return list({key for key, pk in keys if pk > failed.get(key, pk)})


def _read_names(agency: models.Agency, ids: Iterable[int]) -> dict[int, str]:
    users = models.User.objects.filter(agency=agency, active=True, pk__in=set(ids))
    return {pk: f"{first} {last}" for pk, first, last in users.values_list("pk", "first_name", "last_name")}


@dataclass(frozen=True, slots=True)
class ExpiringInvitations:
    """The users whose invitation expires soon, the next first. `is_more`: there are more of them."""

    ids: list[int]
    next_at: datetime | None
    is_more: bool


def list_expiring(agency: models.Agency, at: datetime) -> ExpiringInvitations:
    """Return the users whose invitation expires within SOON."""
    unregistered = models.User.objects.filter(
        agency=agency, active=True, registered_at=None, locked_at=None,
        invitation_expires_at__gte=at, invitation_expires_at__lt=at + SOON,
    )  # fmt: skip
    found = list(
        unregistered.order_by("invitation_expires_at").values_list("pk", "invitation_expires_at")[: MOST_EXPIRING + 1]
    )
    shown = found[:MOST_EXPIRING]
    return ExpiringInvitations([pk for pk, _ in shown], shown[0][1] if shown else None, len(found) > MOST_EXPIRING)
