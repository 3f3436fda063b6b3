"""The credentials of a former person: what is deleted when their account becomes another person's (M12)."""

from collections.abc import Sequence

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession

from musterbook.accounts.models import Account, Failure, Identity, Lock, PastPassword, UsedCode


def forget_credentials(users: Sequence[int]) -> None:
    """Delete the accounts of the users: password, second factors and passkeys, sessions, provider links and locks.

    Call it in the transaction of the change.
    """
    accounts = Account.objects.filter(user__in=users)
    theirs = Authenticator.objects.filter(user__in=accounts)
    UsedCode.objects.filter(authenticator__in=theirs).delete()
    theirs.delete()
    UserSession.objects.filter(user__in=accounts).delete()
    PastPassword.objects.filter(account__in=accounts).delete()
    accounts.delete()
    Identity.objects.filter(user__in=users).delete()
    Lock.objects.filter(user__in=users).delete()
    Failure.objects.filter(user__in=users).delete()
