"""Sign-in with a name and a password: the same answer and the same work for every error."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.crypto import get_random_string, salted_hmac

from musterbook.accounts import hashing, limits, lockout, passwords, registration, strangers
from musterbook.accounts.models import Account, Failure
from musterbook.core.values import keys
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, User
from musterbook.directory.storage import locks

_Where = Callable[[Account | None], str]


class TooMany(Exception):
    """The error for too many failed sign-ins at a place; nothing was checked."""


@dataclass(frozen=True, slots=True)
class _Try:
    """An attempt to sign in: the user, if there is one, the place, the actor, and the time."""

    agency: Agency
    user: User | None
    where: str
    context: AuditContext


def account_of(
    agency: Agency, name: str, password: str, context: AuditContext, where: _Where | None = None
) -> Account | None:
    """Return the account with that username or email address and password, if it may sign in now.

    Return None if anything is wrong. Only the audit trail contains the reason. `where`: returns the place of the
    attempt for an account; without it, the place is the address. Raise TooMany or hashing.Busy.
    """
    user = registration.named(agency, name)
    account: Account | None = getattr(user, "account", None)
    tried = _Try(agency, user, where(account) if where else lockout.place(context.address), context)
    if not limits.take("failed sign-in", tried.where, context.at):
        raise TooMany
    if user and user.locked_at:
        lockout.end_due(user, context)
    if not _is_right(tried, account, password, like=name):
        return None
    limits.give_back("failed sign-in", tried.where)
    return account


def _is_right(tried: _Try, account: Account | None, password: str, like: str) -> bool:
    """Return whether the account may sign in with that password. The work is the same if there is no account."""
    failure, allowed = lockout.reserve(tried.user, tried.where, tried.context.at)
    stored = account.password if account and account.password else _nobodys(_decoy(tried.agency, like))
    try:
        right = passwords.is_right(password, stored)
    except hashing.Busy:
        lockout.release(failure)
        raise
    if account and right and allowed and _granted(tried, account, failure):
        _rehash(account, password, stored)
        return True
    strangers.record_each_event(tried.agency, tried.context, EventKind.USER_SIGN_IN_FAILED, tried.user)
    with transaction.atomic():
        locks.row(tried.agency)
        lockout.settle(failure, tried.user, tried.context)
    return False


def _granted(tried: _Try, account: Account, failure: Failure) -> bool:
    """Return whether nothing has changed since the password was checked, and no lock was set meanwhile."""
    with transaction.atomic():
        locks.row(tried.agency)
        same = Account.objects.select_related("user__agency", "user__role").filter(
            pk=account.pk, password=account.password
        )
        now = same.filter(user__active=True).first()
        if now is None or lockout.is_locked_at(now.user, tried.where, tried.context.at):
            return False
        lockout.release(failure)
    return True


def _rehash(account: Account, password: str, stored: str) -> None:
    """Replace a hash that would be computed differently today.

    This ends the user's other sessions, as a new password does.
    """
    if not hashing.is_outdated(stored):
        return
    account.set_password(passwords.normalized(password))
    Account.objects.filter(pk=account.pk, password=stored).update(password=account.password)


@cache
def _nobodys(like: str = "") -> str:
    """Return the hash for the check if there is no user, so that it takes as long."""
    return like or make_password(get_random_string(32))


_SAMPLE = 100
_SAMPLE_LASTS = 600
"""Seconds."""
_samples: dict[int, tuple[float, list[str]]] = {}


def _decoy(agency: Agency, name: str) -> str:
    """Return a hash that takes as long to check as that of one of the agency's users.

    It is always the same for a name. Hashes of earlier versions take longer. If all decoys had one kind, the response
    time would reveal the users that exist.
    """
    known = _sample(agency)
    if not known:
        return ""
    number = int(salted_hmac("musterbook.accounts.signing_in", keys.key(name), algorithm="sha256").hexdigest()[:8], 16)
    return known[number % len(known)]


def _sample(agency: Agency) -> list[str]:
    since, known = _samples.get(agency.pk, (-_SAMPLE_LASTS, []))
    if time.monotonic() - since < _SAMPLE_LASTS:
        return known
    some = User.objects.filter(agency=agency, active=True, registered_at__isnull=False, locked_at=None, reset_at=None)
    stored = some.filter(account__isnull=False).values_list("account__password", flat=True)[:_SAMPLE]
    known = list(filter(None, map(hashing.decoy, stored)))
    _samples[agency.pk] = time.monotonic(), known
    return known


def signed_in(account: Account, context: AuditContext, factors: str, where: str = "") -> None:
    """Record that the user has signed in by these factors (`password`, `password+totp`, `webauthn`, a provider).

    `where`: the place, as `lockout` counts it; without it, the address.
    """
    user = account.user
    with transaction.atomic():
        trail.record_event(
            user.agency, registration.by(user, context), EventKind.USER_SIGNED_IN, user, {"factors": ("", factors)}
        )
        lockout.forget(user, where or lockout.place(context.address))
        User.objects.filter(pk=user.pk).update(last_sign_in_at=context.at)


def signed_in_again(account: Account, context: AuditContext, factor: str, where: str = "") -> None:
    """Record that the user, who is signed in, has re-authenticated by that factor."""
    user = account.user
    with transaction.atomic():
        trail.record_event(
            user.agency, registration.by(user, context), EventKind.USER_SIGNED_IN_AGAIN, user, {"factors": ("", factor)}
        )
        lockout.forget(user, where or lockout.place(context.address))
