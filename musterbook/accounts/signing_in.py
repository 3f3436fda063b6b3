"""Signing in with a name and a password: the same answer, and the same work, whatever is wrong."""

from functools import cache

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.crypto import get_random_string

from musterbook.accounts import kinds, lockout, passwords, registration
from musterbook.accounts.models import Account
from musterbook.directory import trail
from musterbook.directory.models import Agency, User
from musterbook.directory.trail import Act


def account_of(agency: Agency, name: str, password: str, act: Act) -> Account | None:
    """The account with that username or e-mail address and password, if it may sign in now; None if anything is wrong.

    What is wrong is in the trail, and nowhere else.
    """
    user = registration.named(agency, name)
    account: Account | None = getattr(user, "account", None)
    right = passwords.is_right(password, account.password if account and account.password else _nobodys())
    if user and account and right and _may(user, act):
        return account
    _tell(agency, user, act)
    return None


def _may(user: User, act: Act) -> bool:
    if user.locked_at and not lockout.is_locked(user, act.at):
        with transaction.atomic():
            lockout.unlock(user, act)
    return user.active and not user.locked_at


def _tell(agency: Agency, user: User | None, act: Act) -> None:
    with transaction.atomic():
        trail.tell(agency, act, kinds.SIGN_IN_FAILED, user, outcome=kinds.FAILED)
        lockout.count_failure(user, act)


@cache
def _nobodys() -> str:
    """What the password of nobody is held against, so that it takes as long."""
    return make_password(get_random_string(32))


def signed_in(account: Account, act: Act, factors: str) -> None:
    """Records that the user has signed in, by these factors (`password`, `password+totp`, `webauthn`, a provider)."""
    user = account.user
    with transaction.atomic():
        trail.tell(user.agency, registration.by(user, act), kinds.SIGNED_IN, user, {"factors": ("", factors)})
        lockout.forget(user)
        User.objects.filter(pk=user.pk).update(last_sign_in_at=act.at)


def signed_in_again(account: Account, act: Act, factor: str) -> None:
    """Records that the user, who is signed in, has done so again, by that factor."""
    user = account.user
    with transaction.atomic():
        trail.tell(user.agency, registration.by(user, act), kinds.SIGNED_IN_AGAIN, user, {"factors": ("", factor)})
        lockout.forget(user)
