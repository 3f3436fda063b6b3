"""Actions of administrators on other users: invite, reset, unlock, end sessions.

The operator's role decides whether they are permitted. The audit trail records them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction

from musterbook.accounts import factors, identities, links, lockout, registration, sessions
from musterbook.core.domain.policy import Operator
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, Event, Mail, User
from musterbook.directory.permissions import ALL
from musterbook.directory.storage import locks

PERMISSION = "credentials.manage"
_SENT_TWICE = timedelta(minutes=1)
"""A repeated request within this time counts as one request: a button was pressed twice."""
_PRESSED_TWICE = timedelta(seconds=10)
"""A shorter time for links that are handed over: a later request may be meant to invalidate the first link."""
_LINKED = ("active", "registered_at", "invited_at", "invitation_expires_at", "reset_at", "access_ended_at")
"""The fields that links depend on."""


class UnknownUser(Exception):
    """The error for an external id that no user of the agency has."""


class NotAllowed(Exception):
    """The error for an action that the operator's role does not allow; the message contains the reason."""


def user(agency: Agency, external_id: str) -> User:
    """Return the user of the agency. Raise UnknownUser if there is none."""
    found = (
        User.objects.filter(agency=agency, external_id=external_id).select_related("agency", "role", "account").first()
    )
    if found is None:
        raise UnknownUser(external_id)
    return found


def operator(agency: Agency, external_id: str) -> Operator | None:
    """Return the operator: the active user with that external id, or the system (None) for "".

    Raise snapshot_queries.UnknownOperator if there is no such user.
    """
    return snapshot_queries.operator(agency, external_id) if external_id else None


def check(by: Operator | None, about: User, context: AuditContext, what: str) -> None:
    """Raise NotAllowed, and record the refusal, unless the operator may act on the user.

    The system may. An operator needs the permission to manage credentials, and each permission of the user's role.
    `what`: the requested action, for the audit trail.
    """
    why = _why_not(by, about)
    if why:
        trail.record_event(about.agency, context, EventKind.ACT_REFUSED, about, {"asked": ("", what)}, outcome=REFUSED)
        raise NotAllowed(why)


def _why_not(by: Operator | None, about: User) -> str:
    if by is None:
        return ""
    if PERMISSION not in by.permissions:
        return f"The operator's role lacks the permission {PERMISSION}."
    theirs = ALL if about.role.administrator else frozenset(about.role.permissions)
    if not theirs <= by.permissions:
        return f"The role of {about.external_id} has permissions that the operator's role lacks."
    return ""


def invite(about: User, context: AuditContext, by: Operator | None) -> None:
    """Add an invitation to the outbox. Raise NotAllowed or registration.CannotInvite."""
    check(by, about, context, "invite")
    with _turn(about):
        if not _just_posted(about, "invitation", context):
            registration.invite(about, context)
            trail.record_event(about.agency, context, EventKind.USER_INVITATION_ASKED, about)


def invitation(about: User, context: AuditContext, by: Operator | None) -> str:
    """Create an invitation, and return its URL. Raise the same errors as `invite`.

    Return the same URL if a button was pressed twice.
    """
    check(by, about, context, "invite")
    with _turn(about):
        about.refresh_from_db(fields=_LINKED)
        if about.active and not about.registered_at and _just_made(about, EventKind.USER_INVITED, context, by):
            return links.url(about, "invitation")
        return registration.issue(about, context)


def reset(about: User, context: AuditContext, by: Operator | None) -> None:
    """Add a link to choose a new password to the outbox. Raise NotAllowed or registration.CannotReset."""
    check(by, about, context, "reset")
    registration.may_reset(about)
    with _turn(about):
        if not _just_posted(about, "reset", context):
            registration.post(about, "reset", context.at)
            trail.record_event(about.agency, context, EventKind.USER_RESET_ASKED, about)


def reset_link(about: User, context: AuditContext, by: Operator | None) -> str:
    """Create a link to choose a new password, and return its URL. Raise the same errors as `reset`.

    Return the same URL if a button was pressed twice.
    """
    check(by, about, context, "reset")
    with _turn(about):
        about.refresh_from_db(fields=_LINKED)
        registration.may_reset(about)
        if about.reset_at and _just_made(about, EventKind.USER_RESET_ASKED, context, by):
            return links.url(about, "reset")
        about.reset_at = context.at
        about.save(update_fields=["reset_at"])
        trail.record_event(about.agency, context, EventKind.USER_RESET_ASKED, about, {"link": ("", "handed over")})
        return links.url(about, "reset")


@contextmanager
def _turn(about: User) -> Iterator[None]:
    """Open a transaction in which no one else does the same in the agency."""
    with transaction.atomic():
        locks.row(about.agency)
        yield


@contextmanager
def _alone(about: User) -> Iterator[None]:
    """Open a transaction in which no one else does the same to that user.

    It does not wait for an import of other users.
    """
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=about.pk)
        yield


def _just_posted(about: User, kind: str, context: AuditContext) -> bool:
    since = context.at - _SENT_TWICE
    return Mail.objects.filter(user=about, kind=kind, of=None, to=about.email, created_at__gt=since).exists()


def _just_made(about: User, kind: str, context: AuditContext, by: Operator | None) -> bool:
    """Return whether the same operator has just created the link.

    A link that the audit trail does not record must not be handed over.
    """
    made = Event.objects.filter(agency=about.agency_id, subject=about, kind=kind, at__gt=context.at - _PRESSED_TWICE)
    return by is not None and made.filter(actor=context.actor).exists()


def unlock(about: User, context: AuditContext, by: Operator | None) -> bool:
    """End the user's lock, and return whether there was one. Raise NotAllowed."""
    check(by, about, context, "unlock")
    with transaction.atomic():
        return lockout.unlock(about, context)


def remove_factors(about: User, context: AuditContext, by: Operator | None, reason: str = "") -> bool:
    """Remove all second factors of a user who has lost them, and return whether there were any.

    `reason`: the reason for the removal. Raise NotAllowed.
    """
    check(by, about, context, "remove second factors")
    with _alone(about):
        return factors.remove_all(about, context, reason)


def release_sign_on(about: User, context: AuditContext, by: Operator | None) -> bool:
    """Release the user from their identity at a provider. Raise NotAllowed.

    Return whether the user was bound to one.
    """
    check(by, about, context, "release single sign-on")
    with _alone(about):
        return identities.release(about, context)


def end_session(about: User, number: int, current: str, context: AuditContext, by: Operator | None) -> None:
    """End a session of the user, but not the one with the key `current`.

    Raise NotAllowed or sessions.UnknownSession.
    """
    check(by, about, context, "end session")
    with _alone(about):
        sessions.end(about.account, number, current, context, sessions.BY_ADMINISTRATOR)


def end_sessions(about: User, current: str, context: AuditContext, by: Operator | None) -> int:
    """End all sessions of the user except the one with that key, and return their number.

    Raise NotAllowed.
    """
    check(by, about, context, "end sessions")
    with _alone(about):
        return sessions.end_others(about.account, current, context, sessions.BY_ADMINISTRATOR)
