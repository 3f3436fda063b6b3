"""What must happen only once: a secret that was used is remembered in the database until it is worthless anyway."""

from datetime import UTC, datetime
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from allauth.mfa.utils import decrypt
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

from musterbook.accounts import limits
from musterbook.accounts.models import UsedCode
from musterbook.directory.storage import frames

_TABLE = frames.table(UsedCode)
_USE = f"""
INSERT INTO {_TABLE} (authenticator_id, step) VALUES (%s, %s)
ON CONFLICT (authenticator_id) DO UPDATE SET step = excluded.step WHERE {_TABLE}.step < excluded.step
RETURNING step
"""
_LONGEST = 12 * 60 * 60
"""Seconds that the cache of a library remembers something for which it names no time."""


def use_code(authenticator: Authenticator, code: str) -> bool:
    """Use a one-time code; tell whether it is right, and later than every code of that device that was used before."""
    step = _step(authenticator, code)
    if step is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(_USE, [authenticator.pk, step])
        return cursor.fetchone() is not None


def _step(authenticator: Authenticator, code: str) -> int | None:
    """The time step that the code belongs to; None if it is wrong."""
    secret = decrypt(authenticator.data["secret"])
    values = {
        step: auth.format_hotp_value(auth.hotp_value(secret, step)) for step in auth.yield_hotp_counters_from_time()
    }
    right = [step for step, value in values.items() if compare_user_code(actual=code, expected=value)]
    return max(right, default=None)


def use_up(authenticator: Authenticator) -> None:
    """Use up the codes of this moment: the one that set the device up does not sign in as well."""
    latest = max(auth.yield_hotp_counters_from_time())
    with connection.cursor() as cursor:
        cursor.execute(_USE, [authenticator.pk, latest])


class Cache(BaseCache):
    """The cache of libraries: it remembers what is used once, in the database, and refuses everything else.

    So nothing that security depends on is ever in a cache that forgets, and nothing is unpickled. django-allauth would use it
    for one-time codes, answers of providers (`jti`) and limits; ours of codes and limits are `use_code` and `limits`.
    """

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:  # noqa: ARG002  (Django's signature)
        """Tell whether the key is new."""
        seconds = _LONGEST if timeout in (DEFAULT_TIMEOUT, None) else int(timeout) + 1
        return limits.once("cache", key, datetime.now(UTC), seconds)
