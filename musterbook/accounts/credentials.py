"""What administrators do for others: invite, reset, unlock, end sessions; judged by the operator's role, told in the trail."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction

from musterbook.accounts import factors, kinds, links, lockout, registration, sessions
from musterbook.core.policy import Operator
from musterbook.directory import locks, queries, trail
from musterbook.directory.models import Agency, Mail, User
from musterbook.directory.permissions import ALL
from musterbook.directory.trail import Act

PERMISSION = "credentials.manage"
_SENT_TWICE = timedelta(minutes=1)
"""What is asked for again so soon was asked for once: a button pressed twice."""


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
    return queries.operator(agency, external_id) if external_id else None


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
    """Makes an invitation, and gives its address. Raises NotAllowed and registration.CannotInvite."""
    check(by, about, act, "invite")
    with transaction.atomic():
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
    """Makes a link to choose a new password, and gives its address. Raises NotAllowed and registration.CannotReset."""
    check(by, about, act, "reset")
    registration.may_reset(about)
    with _turn(about):
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


def _just_posted(about: User, kind: str, act: Act) -> bool:
    since = act.at - _SENT_TWICE
    return Mail.objects.filter(user=about, kind=kind, of=None, to=about.email, created_at__gt=since).exists()


def unlock(about: User, act: Act, by: Operator | None) -> bool:
    """Ends the user's lock; tells whether there was one. Raises NotAllowed."""
    check(by, about, act, "unlock")
    with transaction.atomic():
        return lockout.unlock(about, act)


def remove_factors(about: User, act: Act, by: Operator | None) -> bool:
    """Removes all second factors of a user who has lost them; tells whether there were any. Raises NotAllowed."""
    check(by, about, act, "remove second factors")
    return factors.remove_all(about, act)


def end_session(about: User, number: int, current: str, act: Act, by: Operator | None) -> None:
    """Ends a session of the user, but not the one with the key `current`. Raises NotAllowed and sessions.UnknownSession."""
    check(by, about, act, "end session")
    sessions.end(about.account, number, current, act, sessions.BY_ADMINISTRATOR)


def end_sessions(about: User, current: str, act: Act, by: Operator | None) -> int:
    """Ends all sessions of the user, but the one with that key; tells how many there were. Raises NotAllowed."""
    check(by, about, act, "end sessions")
    return sessions.end_others(about.account, current, act, sessions.BY_ADMINISTRATOR)
