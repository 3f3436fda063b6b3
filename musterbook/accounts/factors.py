"""Second factors: the users who need one, the users who have one, and their storage in the account library."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from musterbook.accounts import registration
from musterbook.accounts.models import Account
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, Role, User
from musterbook.directory.storage import locks

_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""The types that are factors by themselves. Recovery codes only replace one."""

TYPE_NAMES = {
    Authenticator.Type.TOTP: "one-time codes",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}
"""The name of each type of factor in the audit trail."""


def is_required(user: User) -> bool:
    """Return whether the user's agency or role requires a second factor."""
    return user.agency.second_factor or user.role.second_factor


def has_factor(account: Account) -> bool:
    """Return whether the account has a second factor."""
    return bool(_query_factors(account).exists())


def lacks_factor(account: Account) -> bool:
    """Return whether the user must have a second factor, but the account has none.

    A user whose factors were removed must also have one.
    """
    return (account.factor_due or is_required(account.user)) and not has_factor(account)


def list_names(account: Account) -> list[str]:
    """Return the name of each type of factor that the account has, recovery codes included."""
    types = set(Authenticator.objects.filter(user=account).values_list("type", flat=True))
    return [TYPE_NAMES[kind] for kind in sorted(types)]


def list_ids(account: Account) -> list[int]:
    """Return the ids of all authenticators of the account, in the order in which they were added."""
    return list(Authenticator.objects.filter(user=account).order_by("pk").values_list("pk", flat=True))


@contextmanager
def begin_setup(account: Account, then: Callable[[], None] | None = None) -> Iterator[None]:
    """Open a transaction in which the user sets up a second factor. After its commit, call `then`.

    The agency is locked before the account, as everywhere: who removes the user's factors waits otherwise, and is waited for.
    """
    with transaction.atomic():
        locks.lock_row(account.user.agency)
        yield
        if then:
            transaction.on_commit(then)
        Account.objects.filter(pk=account.pk, factor_due=True).update(factor_due=False)


def count_factors(account: Account, kind: Authenticator.Type) -> int:
    """Return how many authenticators of that type the account has."""
    return int(Authenticator.objects.filter(user=account, type=kind).count())


def is_last(authenticator: Authenticator) -> bool:
    """Return whether its account has no other second factor."""
    return not _query_factors(authenticator.user).exclude(pk=authenticator.pk).exists()


def _query_factors(account: Account) -> "QuerySet[Authenticator]":
    query: QuerySet[Authenticator] = Authenticator.objects.filter(user=account, type__in=_FACTORS)
    return query


def count_without(agency: Agency, role: Role | None = None, most: int = 10_000) -> int:
    """Return how many active users of the agency, or of one role, have no second factor.

    Return `most` + 1 if there are more than `most`.
    """
    users = User.objects.filter(agency=agency, active=True)
    theirs = Authenticator.objects.filter(user__user=OuterRef("pk"), type__in=_FACTORS)
    lacking = (users.filter(role=role) if role else users).filter(~Exists(theirs))
    return lacking.order_by()[: most + 1].count()


def remove_all(user: User, context: AuditContext, reason: str = "") -> bool:
    """Remove all second factors of a user who has lost them, and return whether there were any.

    `reason`: how the administrator knows that the request is the user's own; the event contains it. The user must set
    up a new factor before anything else, whether or not one is required.
    """
    with transaction.atomic():
        theirs = Authenticator.objects.filter(user__user=user)
        names = ", ".join(TYPE_NAMES[kind] for kind in sorted(set(theirs.values_list("type", flat=True))))
        theirs.delete()
        if names:
            Account.objects.filter(user=user).update(factor_due=True)
            changes = {"factor": (names, "")} | ({"reason": ("", reason)} if reason else {})
            trail.record_event(user.agency, context, EventKind.USER_SECOND_FACTOR_REMOVED, user, changes)
            registration.queue_mail(user, "second-factor", context.at)
    return bool(names)
