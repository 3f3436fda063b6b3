"""What administrators do for others: invite, unlock, remove second factors; judged by the operator's role, told in the trail."""

from django.db import transaction

from musterbook.accounts import factors, kinds, lockout, registration
from musterbook.core.policy import Operator
from musterbook.directory import queries, trail
from musterbook.directory.models import Agency, User
from musterbook.directory.permissions import ALL
from musterbook.directory.trail import Act

PERMISSION = "credentials.manage"


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
    registration.invite(about, act)


def invitation(about: User, act: Act, by: Operator | None) -> str:
    """Makes an invitation, and gives its address. Raises NotAllowed and registration.CannotInvite."""
    check(by, about, act, "invite")
    with transaction.atomic():
        return registration.issue(about, act)


def unlock(about: User, act: Act, by: Operator | None) -> bool:
    """Ends the user's lock; tells whether there was one. Raises NotAllowed."""
    check(by, about, act, "unlock")
    with transaction.atomic():
        return lockout.unlock(about, act)


def remove_factors(about: User, act: Act, by: Operator | None) -> bool:
    """Removes all second factors of a user who has lost them; tells whether there were any. Raises NotAllowed."""
    check(by, about, act, "remove second factors")
    return factors.remove_all(about, act)
