"""Locks: so many failed sign-ins in a quarter of an hour, and an account takes no password until the lock ends.

An administrator's lock ends by itself after a quarter of an hour at the latest: otherwise anybody who knows a name could keep
every administrator out. A passkey, a provider and a reset by mail get past a lock, for whoever has those is no guesser.
"""

from datetime import datetime, timedelta

from musterbook.accounts import kinds
from musterbook.accounts.models import Failure
from musterbook.directory import trail
from musterbook.directory.models import Mail, User
from musterbook.directory.trail import Act

SPAN = timedelta(minutes=15)
"""Failures count together for so long; so long at most are administrators locked."""


def ends(user: User) -> datetime | None:
    """When the user's lock ends by itself; None if it does not."""
    own = timedelta(minutes=user.agency.lock_minutes)
    if user.role.administrator:
        own = min(own or SPAN, SPAN)
    return user.locked_at + own if user.locked_at and own else None


def is_locked(user: User, at: datetime) -> bool:
    """Whether the user takes no password at that time."""
    end = ends(user)
    return user.locked_at is not None and (end is None or end > at)


def count_failure(user: User | None, act: Act) -> None:
    """Counts a failed sign-in, of nobody that we know if None; locks the user if it is one too many. In a transaction."""
    Failure.objects.create(user=user, at=act.at)
    recent = Failure.objects.filter(user=user, at__gt=act.at - SPAN).count()
    if user and user.locked_at is None and recent >= user.agency.lock_failures:
        _lock(user, act)


def _lock(user: User, act: Act) -> None:
    user.locked_at = act.at
    User.objects.filter(pk=user.pk).update(locked_at=act.at)
    trail.tell(user.agency, act, kinds.LOCKED, user)
    Mail.objects.create(agency=user.agency, user=user, kind="locked", to=user.email, created_at=act.at)


def unlock(user: User, act: Act) -> bool:
    """Ends the user's lock, and forgets the failures that led to it; tells whether there was one. In a transaction."""
    Failure.objects.filter(user=user).delete()
    if not User.objects.filter(pk=user.pk, locked_at__isnull=False).update(locked_at=None):
        return False
    user.locked_at = None
    trail.tell(user.agency, act, kinds.UNLOCKED, user)
    return True


def unlock_due(at: datetime) -> int:
    """Ends all locks whose time is over, in all agencies, and forgets old failures; gives how many ended."""
    Failure.objects.filter(at__lt=at - SPAN).delete()
    locked = User.objects.filter(locked_at__isnull=False).select_related("agency", "role")
    return sum(unlock(user, Act(at, "", "system")) for user in locked.iterator() if not is_locked(user, at))


def forget(user: User) -> None:
    """Forgets the user's failures: they have signed in."""
    Failure.objects.filter(user=user).delete()
