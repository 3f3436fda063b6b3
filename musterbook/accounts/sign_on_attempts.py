"""Sign-ins at a provider that have begun. `http.sign_on_cookies` stores them in browsers; `spend` lets each be used once."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from musterbook.accounts import limits

LIFETIME = 600
"""Seconds that a user may take at the provider."""
_LONGEST_NEXT = 500


@dataclass(frozen=True, slots=True)
class SignOnAttempt:
    """A sign-in that was begun: its provider, its time, and the values that the answer must contain.

    `again`: the account that re-authenticates, or 0 for a new sign-in.
    """

    state: str
    nonce: str
    verifier: str
    slug: str
    at: float
    next: str = ""
    again: int = 0


def start_sign_on(slug: str, at: datetime, following: str, again: int = 0, state: str = "") -> SignOnAttempt:
    """Return a sign-in that begins now, with an unguessable state, nonce and proof key."""
    next_url = following if len(following) <= _LONGEST_NEXT else ""
    return SignOnAttempt(
        state or secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), slug,
        at.timestamp(), next_url, again,
    )  # fmt: skip


def spend(attempt: SignOnAttempt, at: datetime) -> bool:
    """Mark the sign-in as used, and return whether it was unused before.

    Call this outside a transaction.
    """
    return limits.take("sign-on answer", attempt.state, at)
