"""One-time use: the database remembers a used secret until the secret is worthless anyway."""

from datetime import UTC, datetime
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

from musterbook.accounts import limits
from musterbook.accounts.allauth_internals import compare_user_code, totp
from musterbook.accounts.models import Account, UsedCode
from musterbook.directory.storage import frames

_TABLE = frames.table(UsedCode)
_USE = f"""
INSERT INTO {_TABLE} (authenticator_id, step) VALUES (%s, %s)
ON CONFLICT (authenticator_id) DO UPDATE SET step = excluded.step WHERE {_TABLE}.step < excluded.step
RETURNING step
"""
_LONGEST = 12 * 60 * 60
"""Seconds for which the cache remembers an entry if the library names no time."""


def use_code(authenticator: Authenticator, code: str) -> bool:
    """Use a one-time code, and return whether it is accepted.

    It must be right, and later than every code of that device that was used before.
    """
    step = _find_step(authenticator, code)
    if step is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(_USE, [authenticator.pk, step])
        return cursor.fetchone() is not None


def _find_step(authenticator: Authenticator, code: str) -> int | None:
    """Return the time step of the code, or None if the code is wrong."""
    secret = decrypt(authenticator.data["secret"])
    values = {
        step: totp.format_hotp_value(totp.hotp_value(secret, step)) for step in totp.yield_hotp_counters_from_time()
    }
    right = [step for step, value in values.items() if compare_user_code(actual=code, expected=value)]
    return max(right, default=None)


def find_authenticator(account: Account, code: str) -> Authenticator | None:
    """Use a one-time code or a recovery code of the account. Return its authenticator, or None if the code is wrong.

    Each code is used once. The library does not ensure this if many requests arrive at once.
    """
    for authenticator in Authenticator.objects.filter(user=account).exclude(type=Authenticator.Type.WEBAUTHN):
        is_totp = authenticator.type == Authenticator.Type.TOTP
        if use_code(authenticator, code) if is_totp else authenticator.wrap().validate_code(code):
            authenticator.user = account
            return authenticator
    return None


def count_recovery_codes(authenticator: Authenticator) -> int:
    """Return how many recovery codes are left, as the database has them now."""
    return len(Authenticator.objects.get(pk=authenticator.pk).wrap().get_unused_codes())


def use_current_codes(account: Account) -> None:
    """Use up the current one-time codes, so that the code that set up the device cannot also sign in."""
    authenticator = Authenticator.objects.get(user=account, type=Authenticator.Type.TOTP)
    latest = max(totp.yield_hotp_counters_from_time())
    with connection.cursor() as cursor:
        cursor.execute(_USE, [authenticator.pk, latest])


class Cache(BaseCache):
    """The cache for libraries. It remembers in the database what was used once, and refuses everything else.

    So security never depends on a cache that forgets, and nothing is unpickled. django-allauth would use the cache for
    one-time codes, answers of providers (`jti`) and limits. Our codes and limits use `use_code` and `limits` instead.
    """

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:  # noqa: ARG002  (Django's signature)
        """Add the key, and return whether it is new."""
        seconds = _LONGEST if timeout in (DEFAULT_TIMEOUT, None) else int(timeout) + 1
        return limits.take_once("cache", key, datetime.now(UTC), seconds)
