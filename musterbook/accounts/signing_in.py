"""Sign-in with a name and a password: the same answer and the same work for every error."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.crypto import get_random_string, salted_hmac

from musterbook.accounts import hashing, limits, lockout, passwords, registration, unauthenticated_events
from musterbook.accounts.models import Account, Failure
from musterbook.config import counters
from musterbook.core.values import keys
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, User
from musterbook.directory.storage import locks

_FindPlace = Callable[[Account | None], str]


class TooManyFailures(Exception):
    """The error for too many failed sign-ins at a place; nothing was checked."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt to sign in: the user, if there is one, the place, the actor, and the time."""

    agency: Agency
    user: User | None
    where: str
    context: AuditContext


def authenticate(
    agency: Agency, name: str, password: str, context: AuditContext, where: _FindPlace | None = None
) -> Account | None:
    """Return the account with that username or email address and password, if it may sign in now.

    Return None if anything is wrong. Only the audit trail contains the reason. `where`: returns the place of the
    attempt for an account; without it, the place is the address. Raise TooManyFailures or hashing.Busy.
    """
    user = registration.find_by_name(agency, name)
    account: Account | None = getattr(user, "account", None)
    attempt = _Attempt(agency, user, where(account) if where else lockout.make_place(context.address), context)
    if not limits.take("failed sign-in", attempt.where, context.at):
        counters.count_sign_in("too many failures")
        raise TooManyFailures
    if user and user.locked_at:
        lockout.end_due(user, context)
    if not _check_password(attempt, account, password, like=name):
        return None
    limits.give_back("failed sign-in", attempt.where)
    return account


def _check_password(attempt: _Attempt, account: Account | None, password: str, like: str) -> bool:
    """Return whether the account may sign in with that password. The work is the same if there is no account."""
    failure, allowed = lockout.reserve(attempt.user, attempt.where, attempt.context.at)
    stored = account.password if account and account.password else _make_dummy_hash(_pick_decoy(attempt.agency, like))
    try:
        right = passwords.is_right(password, stored)
    except hashing.Busy:
        lockout.release(failure)
        raise
    if account and right and allowed and _confirm_sign_in(attempt, account, failure):
        _rehash(account, password, stored)
        return True
    unauthenticated_events.record_each_event(
        attempt.agency, attempt.context, EventKind.USER_SIGN_IN_FAILED, attempt.user
    )
    with transaction.atomic():
        locks.lock_row(attempt.agency)
        lockout.count_failure(failure, attempt.user, attempt.context)
    return False


def _confirm_sign_in(attempt: _Attempt, account: Account, failure: Failure) -> bool:
    """Return whether nothing has changed since the password was checked, and no lock was set meanwhile."""
    with transaction.atomic():
        locks.lock_row(attempt.agency)
        same = Account.objects.select_related("user__agency", "user__role").filter(
            pk=account.pk, password=account.password
        )
        now = same.filter(user__active=True).first()
        if now is None or lockout.is_locked_at(now.user, attempt.where, attempt.context.at):
            return False
        lockout.release(failure)
    return True


def _rehash(account: Account, password: str, stored: str) -> None:
    """Replace a hash that would be computed differently today.

    This ends the user's other sessions, as a new password does.
    """
    if not hashing.is_outdated(stored):
        return
    account.set_password(passwords.normalize(password))
    Account.objects.filter(pk=account.pk, password=stored).update(password=account.password)


@cache
def _make_dummy_hash(like: str = "") -> str:
    """Return the hash for the check if there is no user, so that it takes as long."""
    return like or make_password(get_random_string(32))


_SAMPLE = 100
_SAMPLE_LASTS = 600
"""Seconds."""
_samples: dict[int, tuple[float, list[str]]] = {}


def _pick_decoy(agency: Agency, name: str) -> str:
    """Return a hash that takes as long to check as that of one of the agency's users.

    It is always the same for a name. Hashes of earlier versions take longer. If all decoys had one kind, the response
    time would reveal the users that exist.
    """
    decoys = _sample_decoys(agency)
    if not decoys:
        return ""
    number = int(
        salted_hmac("musterbook.accounts.signing_in", keys.make_key(name), algorithm="sha256").hexdigest()[:8], 16
    )
    return decoys[number % len(decoys)]


def _sample_decoys(agency: Agency) -> list[str]:
    since, decoys = _samples.get(agency.pk, (-_SAMPLE_LASTS, []))
    if time.monotonic() - since < _SAMPLE_LASTS:
        return decoys
    some = User.objects.filter(agency=agency, active=True, registered_at__isnull=False, locked_at=None, reset_at=None)
    stored = some.filter(account__isnull=False).values_list("account__password", flat=True)[:_SAMPLE]
    decoys = list(filter(None, map(hashing.make_decoy, stored)))
    _samples[agency.pk] = time.monotonic(), decoys
    return decoys


def record_sign_in(account: Account, context: AuditContext, factors: str, where: str = "") -> None:
    """Record that the user has signed in by these factors (`password`, `password+totp`, `webauthn`, a provider).

    `where`: the place, as `lockout` counts it; without it, the address.
    """
    with transaction.atomic():
        _record_success(account.user, context, EventKind.USER_SIGNED_IN, factors, where)
        User.objects.filter(pk=account.user_id).update(last_sign_in_at=context.at)
    counters.count_sign_in("signed in")


def record_reauth(account: Account, context: AuditContext, factor: str, where: str = "") -> None:
    """Record that the user, who is signed in, has re-authenticated by that factor."""
    with transaction.atomic():
        _record_success(account.user, context, EventKind.USER_SIGNED_IN_AGAIN, factor, where)
    counters.count_sign_in("signed in again")


def _record_success(user: User, context: AuditContext, kind: EventKind, factors: str, where: str) -> None:
    """Record the event as the user's own act, and forget the failures at the place."""
    trail.record_event(user.agency, registration.with_actor(user, context), kind, user, {"factors": ("", factors)})
    lockout.forget_failures(user, where or lockout.make_place(context.address))
