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
from musterbook.directory.storage.clocks import is_recent
from musterbook.directory.users.editing import Check

PERMISSION = "credentials.manage"
_SENT_TWICE = timedelta(minutes=1)
"""A repeated request within this time counts as one request: a button was pressed twice."""
_PRESSED_TWICE = timedelta(seconds=10)
"""A shorter time for links that are handed over: a later request may be meant to invalidate the first link."""
_LINK_FIELDS = ("active", "registered_at", "invited_at", "invitation_expires_at", "reset_at", "access_ended_at")
"""The fields that links depend on."""


class UnknownUser(Exception):
    """The error for an external ID that no user of the agency has."""


class NotAllowed(Exception):
    """The error for an action that the operator's role does not allow; the message contains the reason."""


def find_user(agency: Agency, external_id: str) -> User:
    """Return the user of the agency. Raise UnknownUser if there is none."""
    found = (
        User.objects.filter(agency=agency, external_id=external_id).select_related("agency", "role", "account").first()
    )
    if found is None:
        raise UnknownUser(external_id)
    return found


def find_operator(agency: Agency, external_id: str) -> Operator | None:
    """Return the operator: the active user with that external ID, or the system (None) for "".

    Raise snapshot_queries.UnknownOperator if there is no such user.
    """
    return snapshot_queries.read_operator(agency, external_id) if external_id else None


def check_permission(by: Operator | None, target: User, context: AuditContext, action: str) -> None:
    """Raise NotAllowed, and record the refusal, unless the operator may act on the user.

    The system may. An operator needs the permission to manage credentials, and each permission of the user's role.
    `action`: the requested action, for the audit trail.
    """
    why = _explain_refusal(by, target)
    if why:
        trail.record_event(
            target.agency, context, EventKind.ACT_REFUSED, target, {"asked": ("", action)}, outcome=REFUSED
        )
        raise NotAllowed(why)


def _explain_refusal(by: Operator | None, target: User) -> str:
    if by is None:
        return ""
    if PERMISSION not in by.permissions:
        return f"The operator's role lacks the permission {PERMISSION}."
    theirs = ALL if target.role.administrator else frozenset(target.role.permissions)
    if not theirs <= by.permissions:
        return f"The role of {target.external_id} has permissions that the operator's role lacks."
    return ""


def invite(target: User, context: AuditContext, by: Operator | None, check: Check | None = None) -> None:
    """Add an invitation to the outbox. Raise NotAllowed or registration.CannotInvite.

    `check`: may refuse the action by an error, within the lock. It is the same for all actions here.
    """
    check_permission(by, target, context, "invite")
    with _lock_agency(target, check):
        if not _was_just_sent(target, "invitation", context):
            registration.invite(target, context)
            trail.record_event(target.agency, context, EventKind.USER_INVITATION_ASKED, target)


def create_invitation(target: User, context: AuditContext, by: Operator | None, check: Check | None = None) -> str:
    """Create an invitation, and return its URL. Raise the same errors as `invite`.

    Return the same URL if a button was pressed twice.
    """
    check_permission(by, target, context, "invite")
    with _lock_agency(target, check):
        if (
            target.active
            and not target.registered_at
            and _was_just_created(target, EventKind.USER_INVITED, context, by)
        ):
            return links.make_url(target, "invitation")
        return registration.issue_invitation(target, context)


def reset(target: User, context: AuditContext, by: Operator | None, check: Check | None = None) -> None:
    """Add a link to choose a new password to the outbox. Raise NotAllowed or registration.CannotReset."""
    check_permission(by, target, context, "reset")
    with _lock_agency(target, check):
        registration.check_resettable(target)
        if not _was_just_sent(target, "reset", context):
            registration.queue_mail(target, "reset", context.at)
            trail.record_event(target.agency, context, EventKind.USER_RESET_ASKED, target)


def create_reset_link(target: User, context: AuditContext, by: Operator | None, check: Check | None = None) -> str:
    """Create a link to choose a new password, and return its URL. Raise the same errors as `reset`.

    Return the same URL if a button was pressed twice.
    """
    check_permission(by, target, context, "reset")
    with _lock_agency(target, check):
        registration.check_resettable(target)
        if target.reset_at and _was_just_created(target, EventKind.USER_RESET_ASKED, context, by):
            return links.make_url(target, "reset")
        target.reset_at = context.at
        target.save(update_fields=["reset_at"])
        trail.record_event(target.agency, context, EventKind.USER_RESET_ASKED, target, {"link": ("", "handed over")})
        return links.make_url(target, "reset")


@contextmanager
def _lock_agency(target: User, check: Check | None) -> Iterator[None]:
    """Open a transaction in which no one else does the same in the agency, and read what links depend on."""
    with transaction.atomic():
        locks.lock_row(target.agency)
        target.refresh_from_db(fields=_LINK_FIELDS)
        if check:
            check(target)
        yield


@contextmanager
def _lock_user(target: User, check: Check | None) -> Iterator[None]:
    """Open a transaction in which no one else does the same to that user.

    The agency is locked before the user, as everywhere: an edit of the user, and the trail, wait for each other otherwise.
    """
    with transaction.atomic():
        locks.lock_row(target.agency)
        User.objects.select_for_update(no_key=True).get(pk=target.pk)
        if check:
            check(target)
        yield


def _was_just_sent(target: User, kind: str, context: AuditContext) -> bool:
    recent = Mail.objects.filter(is_recent("created_at", context.at, _SENT_TWICE))
    return recent.filter(user=target, kind=kind, of=None, to=target.email).exists()


def _was_just_created(target: User, kind: str, context: AuditContext, by: Operator | None) -> bool:
    """Return whether the same operator has just created the link.

    A link that the audit trail does not record must not be handed over.
    """
    recent = is_recent("at", context.at, _PRESSED_TWICE)
    events = Event.objects.filter(recent, agency=target.agency_id, subject=target, kind=kind)
    return by is not None and events.filter(actor=context.actor).exists()


def unlock(target: User, context: AuditContext, by: Operator | None, check: Check | None = None) -> bool:
    """End the user's lock, and return whether there was one. Raise NotAllowed."""
    check_permission(by, target, context, "unlock")
    with _lock_user(target, check):
        return lockout.unlock(target, context)


def remove_factors(
    target: User, context: AuditContext, by: Operator | None, reason: str = "", check: Check | None = None
) -> bool:
    """Remove all second factors of a user who has lost them, and return whether there were any.

    `reason`: the reason for the removal. Raise NotAllowed.
    """
    check_permission(by, target, context, "remove second factors")
    with _lock_user(target, check):
        return factors.remove_all(target, context, reason)


def release_sign_on(target: User, context: AuditContext, by: Operator | None, check: Check | None = None) -> bool:
    """Release the user from their identity at a provider. Raise NotAllowed.

    Return whether the user was bound to one.
    """
    check_permission(by, target, context, "release single sign-on")
    with _lock_user(target, check):
        return identities.release(target, context)


def end_session(target: User, number: int, current: str, context: AuditContext, by: Operator | None) -> None:
    """End a session of the user, but not the one with the key `current`.

    Raise NotAllowed or sessions.UnknownSession.
    """
    check_permission(by, target, context, "end session")
    with _lock_user(target, None):
        sessions.end_session(target.account, number, current, context, sessions.BY_ADMINISTRATOR)


def end_sessions(
    target: User, current: str, context: AuditContext, by: Operator | None, check: Check | None = None
) -> int:
    """End all sessions of the user except the one with that key, and return their number.

    A user who has never registered has none. Raise NotAllowed.
    """
    check_permission(by, target, context, "end sessions")
    with _lock_user(target, check):
        if not hasattr(target, "account"):
            return 0
        return sessions.end_others(target.account, current, context, sessions.BY_ADMINISTRATOR)
