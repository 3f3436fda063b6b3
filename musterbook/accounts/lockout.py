"""Locks: five failed sign-ins within 15 minutes lock a user out of the place where they failed.

A place is a known browser (`http.browsers`), or else an address. So an attacker who guesses from elsewhere is locked out,
and not the user. An agency can choose to lock all places at once except known browsers. Without that setting, very many
failures from many places do the same for 15 minutes. Wrong codes lock every place, because a code is requested only
after the password.

Each attempt is reserved before the password is checked, and counts until the password is known to be right. So at most
five of many concurrent attempts are checked. A user who has not registered is never locked, because there is no
password to guess.

An administrator's lock ends by itself after 15 minutes at the latest. Otherwise anyone who knows a name could keep
every administrator out. A passkey, a provider and a reset by email bypass a lock, because a user who has one of them is
not guessing.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.crypto import salted_hmac

from musterbook.accounts import limits, unauthenticated_events
from musterbook.accounts.models import Failure, Lock
from musterbook.config import counters
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import FAILED, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Mail, User
from musterbook.directory.storage import locks
from musterbook.directory.storage.clocks import SKEW, confirm, is_recent

SPAN = timedelta(minutes=15)
"""The span within which failures count together, and the longest time for which administrators are locked."""
MOST_ELSEWHERE = 50
"""The number of failures of one user within the span, from any unknown places, that lock all unknown places, in every
agency."""
UNKNOWN, EVERYWHERE = "", "*"
"""All places except known browsers; and all places without exception."""
_OLD = "before"
"""The same as UNKNOWN, written by a version without places."""
_BROWSER = "browser "
_NOTICE_EVERY = timedelta(days=1)
"""The shortest time between two emails to a user about a lock."""


def make_place(address: str, browser: str = "") -> str:
    """Return the place of an attempt: the known browser with that id, or the address."""
    if browser:
        return f"{_BROWSER}{browser}"
    return salted_hmac(
        "musterbook.accounts.lockout", limits.normalize_address(address), algorithm="sha256"
    ).hexdigest()[:40]


def find_end(user: User) -> datetime | None:
    """Return when the user's locks end by themselves.

    Return None if one of them does not, or if there is none.
    """
    if user.locked_at is None:
        return None
    times = [_find_lock_end(user, lock) for lock in _list_locks(user)]
    return None if None in times else max(filter(None, times))


def _list_locks(user: User) -> list[Lock]:
    stored = list(Lock.objects.filter(user=user))
    return stored or ([Lock(user=user, place=_OLD, at=user.locked_at)] if user.locked_at else [])


def _find_lock_end(user: User, lock: Lock) -> datetime | None:
    lifetime = timedelta(minutes=user.agency.lock_minutes)
    by_outsiders = lock.place == UNKNOWN and not user.agency.lock_all_places
    if user.role.administrator or by_outsiders:
        lifetime = min(lifetime or SPAN, SPAN)
    return lock.at + lifetime if lifetime else None


def is_locked(user: User, at: datetime) -> bool:
    """Return whether any lock of the user is in effect at that time, at any place."""
    return user.locked_at is not None and ((end := find_end(user)) is None or end > at)


def is_locked_at(user: User, where: str, at: datetime) -> bool:
    """Return whether the user cannot sign in with a password at that time from that place."""
    if user.locked_at is None:
        return False
    holding = {where, EVERYWHERE} | (set() if where.startswith(_BROWSER) else {UNKNOWN, _OLD})
    times = [_find_lock_end(user, lock) for lock in _list_locks(user) if lock.place in holding]
    return any(end is None or end > at for end in times)


def reserve(user: User | None, where: str, at: datetime) -> tuple[Failure, bool]:
    """Reserve an attempt; return it, and whether the password may be checked.

    The attempt counts before its password is known to be right. Call this outside a transaction. It does the same work
    for an unknown user.
    """
    number = user.pk if user else 0
    with transaction.atomic():
        now = User.objects.select_related("agency", "role").select_for_update(of=("self",), no_key=True)
        fresh = now.filter(pk=number).first()
        tries = Failure.objects.filter(user=number, place=where, at__gt=at - SPAN).count()
        locked = is_locked_at(fresh, where, at) if fresh else False
        allowed = not locked and not (fresh and tries >= fresh.agency.lock_failures)
        counted = fresh if allowed else None
        return Failure.objects.create(user=counted, at=at, place=where, pending=True), allowed


def release(attempt: Failure) -> None:
    """Take back a reserved attempt: the password was right, or the result is unknown."""
    attempt.delete()


def count_failure(attempt: Failure, user: User | None, context: AuditContext) -> None:
    """Count a wrong attempt, and lock its place if there are too many.

    Call this in a transaction that holds the agency's row.
    """
    Failure.objects.filter(pk=attempt.pk).update(pending=False)
    recent = Failure.objects.filter(user=user.pk if user else 0, at__gt=context.at - SPAN, pending=False)
    here = recent.filter(place=attempt.place).count()
    elsewhere = recent.exclude(place__startswith=_BROWSER).count()
    if user is None or attempt.user_id is None or not _can_be_guessed(user):
        return
    is_known = attempt.place.startswith(_BROWSER)
    if here >= user.agency.lock_failures:
        hard = user.agency.lock_all_places and not is_known
        _lock(user, UNKNOWN if hard else attempt.place, context)
    elif elsewhere >= MOST_ELSEWHERE and not is_known:
        _lock(user, UNKNOWN, context)


def _can_be_guessed(user: User) -> bool:
    account = getattr(user, "account", None)
    return bool(user.registered_at and account and account.has_usable_password())


def count_wrong_code(user: User, context: AuditContext) -> None:
    """Record and count a wrong code, and lock the user everywhere if there are too many.

    The user has already shown the password.
    """
    unauthenticated_events.log_failed_sign_in(user.agency, context, user)
    with transaction.atomic():
        trail.record_event(
            user.agency, context, EventKind.USER_SIGN_IN_FAILED, user, {"factor": ("", "code")}, outcome=FAILED
        )
        Failure.objects.create(user=user, at=context.at, place=EVERYWHERE)
        recent = Failure.objects.filter(user=user, at__gt=context.at - SPAN, place=EVERYWHERE).count()
        if recent >= user.agency.lock_failures:
            _lock(user, EVERYWHERE, context)


def _lock(user: User, where: str, context: AuditContext) -> None:
    _, new = Lock.objects.get_or_create(user=user, place=where, defaults={"at": context.at})
    if not new:
        return
    counters.count_sign_in("locked")
    if User.objects.filter(pk=user.pk, locked_at=None).update(locked_at=context.at):
        user.locked_at = context.at
    trail.record_event(user.agency, context, EventKind.USER_LOCKED, user)
    recent = Mail.objects.filter(is_recent("created_at", context.at, _NOTICE_EVERY), user=user, kind="locked")
    if not recent.exists():
        Mail.objects.create(agency=user.agency, user=user, kind="locked", to=user.email, created_at=context.at)


def unlock(user: User, context: AuditContext) -> bool:
    """End the user's locks, and return whether there were any.

    This also deletes the failures that led to them. Call it in a transaction.
    """
    Failure.objects.filter(user=user).delete()
    Lock.objects.filter(user=user).delete()
    if not User.objects.filter(pk=user.pk, locked_at__isnull=False).update(locked_at=None):
        return False
    user.locked_at = None
    trail.record_event(user.agency, context, EventKind.USER_UNLOCKED, user)
    return True


def end_due(user: User, context: AuditContext) -> bool:
    """End the user's locks that have expired, and return whether those were all.

    Call this outside a transaction.
    """
    if not is_locked(user, context.at):
        with transaction.atomic():
            locks.lock_row(user.agency)
            return unlock(user, context)
    for lock in _list_locks(user):
        end = _find_lock_end(user, lock)
        if end and end <= context.at:
            Failure.objects.filter(user=user, place=lock.place).delete()
            lock.delete()
    return False


def unlock_due(at: datetime) -> int:
    """End all expired locks in all agencies, and return how many users are no longer locked.

    This also deletes old failures. Locks and failures of a clock that was ahead count from now on. A machine whose own clock
    is behind dates none back: they would be over at once for the others.
    """
    for table in (Lock, Failure):
        if table.objects.filter(at__gt=at + SKEW).exists():
            now = confirm(at)
            table.objects.filter(at__gt=now + SKEW).update(at=now)
    Failure.objects.filter(at__lt=at - SPAN).delete()
    locked = User.objects.filter(locked_at__isnull=False, agency__paused_at=None).select_related("agency", "role")
    return sum(end_due(user, AuditContext(at, "", "system")) for user in locked.iterator())


def forget_failures(user: User, where: str) -> None:
    """Delete the user's failures at that place, and wrong codes, because the user has signed in."""
    Failure.objects.filter(user=user, place__in=(where, EVERYWHERE)).delete()
