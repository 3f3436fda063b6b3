"""What administrators do for others: invite, reset, unlock, end sessions; judged by the operator's role, told in the trail."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction

from musterbook.accounts import factors, identities, kinds, links, lockout, registration, sessions
from musterbook.core.domain.policy import Operator
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import Agency, Event, Mail, User
from musterbook.directory.permissions import ALL
from musterbook.directory.storage import locks

PERMISSION = "credentials.manage"
_SENT_TWICE = timedelta(minutes=1)
"""What is asked for again so soon was asked for once: a button pressed twice."""
_PRESSED_TWICE = timedelta(seconds=10)
"""Shorter for links that are handed over: whoever asks for another soon after may well want the first to be void."""
_LINKED = ("active", "registered_at", "invited_at", "invitation_expires_at", "reset_at", "access_ended_at")
"""What links hang on."""


class UnknownUser(Exception):
    """The agency has no user with that external id."""


class NotAllowed(Exception):
    """The operator's role does not allow it; the message says why."""


def user(agency: Agency, external_id: str) -> User:
    """The user of the agency. Raises UnknownUser."""
    found = (
        User.objects.filter(agency=agency, external_id=external_id).select_related("agency", "role", "account").first()
    )
    if found is None:
        raise UnknownUser(external_id)
    return found


def operator(agency: Agency, external_id: str) -> Operator | None:
    """Who acts: the active user with that external id, or the system for "". Raises queries.UnknownOperator."""
    return snapshot_queries.operator(agency, external_id) if external_id else None


def check(by: Operator | None, about: User, act: Act, what: str) -> None:
    """Lets the system, and whoever manages credentials and has each permission of the user's role. Raises NotAllowed.

    `what`: what was asked for, for the trail.
    """
    why = _why_not(by, about)
    if why:
        trail.tell(about.agency, act, kinds.REFUSED, about, {"asked": ("", what)}, outcome=kinds.FORBIDDEN)
        raise NotAllowed(why)


def _why_not(by: Operator | None, about: User) -> str:
    if by is None:
        return ""
    if PERMISSION not in by.permissions:
        return f"The operator's role lacks the permission {PERMISSION}."
    theirs = ALL if about.role.administrator else frozenset(about.role.permissions)
    if not theirs <= by.permissions:
        return f"The role of {about.external_id} has permissions that the operator's has not."
    return ""


def invite(about: User, act: Act, by: Operator | None) -> None:
    """Puts an invitation into the outbox. Raises NotAllowed and registration.CannotInvite."""
    check(by, about, act, "invite")
    with _turn(about):
        if not _just_posted(about, "invitation", act):
            registration.invite(about, act)
            trail.tell(about.agency, act, kinds.INVITATION_ASKED, about)


def invitation(about: User, act: Act, by: Operator | None) -> str:
    """Makes an invitation, and gives its address; the same for a button pressed twice. Raises what `invite` does."""
    check(by, about, act, "invite")
    with _turn(about):
        about.refresh_from_db(fields=_LINKED)
        if about.active and not about.registered_at and _just_made(about, kinds.INVITED, act, by):
            return links.url(about, "invitation")
        return registration.issue(about, act)


def reset(about: User, act: Act, by: Operator | None) -> None:
    """Puts a link to choose a new password into the outbox. Raises NotAllowed and registration.CannotReset."""
    check(by, about, act, "reset")
    registration.may_reset(about)
    with _turn(about):
        if not _just_posted(about, "reset", act):
            registration.post(about, "reset", act.at)
            trail.tell(about.agency, act, kinds.RESET_ASKED, about)


def reset_link(about: User, act: Act, by: Operator | None) -> str:
    """Makes a link for a new password, and gives its address; the same for a button pressed twice. Raises what `reset` does."""
    check(by, about, act, "reset")
    with _turn(about):
        about.refresh_from_db(fields=_LINKED)
        registration.may_reset(about)
        if about.reset_at and _just_made(about, kinds.RESET_ASKED, act, by):
            return links.url(about, "reset")
        about.reset_at = act.at
        about.save(update_fields=["reset_at"])
        trail.tell(about.agency, act, kinds.RESET_ASKED, about, {"link": ("", "handed over")})
        return links.url(about, "reset")


@contextmanager
def _turn(about: User) -> Iterator[None]:
    """One transaction, in which nobody else does the same."""
    with transaction.atomic():
        locks.row(about.agency)
        yield


@contextmanager
def _alone(about: User) -> Iterator[None]:
    """One transaction, in which nobody else does the same to that user; it does not wait for an import of others."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=about.pk)
        yield


def _just_posted(about: User, kind: str, act: Act) -> bool:
    since = act.at - _SENT_TWICE
    return Mail.objects.filter(user=about, kind=kind, of=None, to=about.email, created_at__gt=since).exists()


def _just_made(about: User, kind: str, act: Act, by: Operator | None) -> bool:
    """Whether the same operator has just made the link: what the trail tells nothing of, nobody may be handed."""
    made = Event.objects.filter(agency=about.agency_id, subject=about, kind=kind, at__gt=act.at - _PRESSED_TWICE)
    return by is not None and made.filter(actor=act.actor).exists()


def unlock(about: User, act: Act, by: Operator | None) -> bool:
    """Ends the user's lock; tells whether there was one. Raises NotAllowed."""
    check(by, about, act, "unlock")
    with transaction.atomic():
        return lockout.unlock(about, act)


def remove_factors(about: User, act: Act, by: Operator | None, reason: str = "") -> bool:
    """Removes all second factors of a user who has lost them, for that reason; says whether there were any. Raises NotAllowed."""
    check(by, about, act, "remove second factors")
    with _alone(about):
        return factors.remove_all(about, act, reason)


def release_sign_on(about: User, act: Act, by: Operator | None) -> bool:
    """Releases the user from the person of a provider that they were; tells whether they were one. Raises NotAllowed."""
    check(by, about, act, "release single sign-on")
    with _alone(about):
        return identities.release(about, act)


def end_session(about: User, number: int, current: str, act: Act, by: Operator | None) -> None:
    """Ends a session of the user, but not the one with the key `current`. Raises NotAllowed and sessions.UnknownSession."""
    check(by, about, act, "end session")
    with _alone(about):
        sessions.end(about.account, number, current, act, sessions.BY_ADMINISTRATOR)


def end_sessions(about: User, current: str, act: Act, by: Operator | None) -> int:
    """Ends all sessions of the user, but the one with that key; tells how many there were. Raises NotAllowed."""
    check(by, about, act, "end sessions")
    with _alone(about):
        return sessions.end_others(about.account, current, act, sessions.BY_ADMINISTRATOR)
