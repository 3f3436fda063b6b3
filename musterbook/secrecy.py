"""Secrets that must be read again, and so cannot be hashed: sealed in the database with a key that is not in it.

A sealed value reads `fernet:NAME:TOKEN`: the algorithm, the name of the key (`keys.Key.name`), and what the algorithm made.
A value without names is what older versions sealed: a Fernet token of any key of the ring.
"""

import base64
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from musterbook import keys

_ALGORITHM = "fernet"
"""What seals now. Another algorithm gets another word here; `unseal` then reads both."""


def seal(text: str) -> str:
    """Seal the text so that only this installation can read it."""
    key = keys.ring()[0]
    return f"{_ALGORITHM}:{key.name}:{_box(key.derive('secrecy')).encrypt(text.encode()).decode('ascii')}"


def unseal(sealed: str) -> str:
    """Give the text that was sealed. Raises cryptography.fernet.InvalidToken for what no key of this installation sealed."""
    algorithm, name, token = _parts(sealed)
    if algorithm != _ALGORITHM or not token.isascii():
        raise InvalidToken
    for key in keys.ring():
        if name in ("", key.name):
            try:
                return _box(key.derive("secrecy")).decrypt(token.encode("ascii")).decode()
            except InvalidToken:
                continue
    raise InvalidToken


def sealed_by(sealed: str) -> str:
    """Give the name of the key that sealed the value, "" for a value of an older version, which does not say."""
    return _parts(sealed)[1]


def _parts(sealed: str) -> tuple[str, str, str]:
    algorithm, colon, rest = sealed.partition(":")
    if not colon:
        return _ALGORITHM, "", sealed
    name, _, token = rest.partition(":")
    return algorithm, name or "unnamed", token


@lru_cache(maxsize=64)
def _box(derived: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derived))


def mark(text: str) -> str:
    """Give a short mark that tells two secrets apart and reveals nothing else about them."""
    return hmac.new(str(settings.SECRET_KEY).encode(), text.encode(), "sha256").hexdigest()[:8]
