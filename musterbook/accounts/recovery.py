"""Recovery codes of 160 random bits each. Only digests are stored, so a reader of the database cannot use one.

The account library would store them encrypted, with eight digits each. It can hold codes from elsewhere
(`migrated_codes`), and accepts one of them by comparison. So the digests are stored there, and
`web.accounts.mfa_adapter.Adapter.decrypt` returns each as an object that equals its code.
"""

import base64
import hashlib
import secrets

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils import timezone

from musterbook.accounts.models import Account

NUMBER, _BYTES, _GROUP = 10, 20, 4
DIGEST_PREFIX = "sha256$"
"""The prefix of a digest, where the library would store a sealed code."""


class RecoveryCodeDigest(str):
    """The digest of a code. It equals the code, however the code is typed."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Return whether `other` is the code of this digest."""
        return isinstance(other, str) and secrets.compare_digest(str(self), _digest(other))

    __hash__ = str.__hash__


def _digest(code: str) -> str:
    letters = "".join(letter for letter in code.upper() if letter.isalnum())
    return DIGEST_PREFIX + hashlib.sha256(letters.encode()).hexdigest()


def make_codes(account: Account) -> list[str]:
    """Create new codes in place of the old ones, and return them.

    They can be shown once, and are stored nowhere.
    """
    codes = [_make_code() for _ in range(NUMBER)]
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        Authenticator.objects.filter(user=account, type=Authenticator.Type.RECOVERY_CODES).delete()
        data = {"migrated_codes": [_digest(code) for code in codes], "viewed_at": timezone.now().timestamp()}
        Authenticator.objects.create(user=account, type=Authenticator.Type.RECOVERY_CODES, data=data)
    return codes


def _make_code() -> str:
    letters = base64.b32encode(secrets.token_bytes(_BYTES)).decode("ascii")
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def has_codes(account: Account) -> bool:
    """Return whether the account has any codes, used up or not."""
    return bool(Authenticator.objects.filter(user=account, type=Authenticator.Type.RECOVERY_CODES).exists())


def has_old_codes(account: Account) -> bool:
    """Return whether the codes are the library's own, of eight digits.

    They work until the user makes new ones, as each sign-in asks.
    """
    old = Authenticator.objects.filter(user=account, type=Authenticator.Type.RECOVERY_CODES, data__has_key="seed")
    return bool(old.exists())
