"""Secrets that must be read again, and so cannot be hashed: sealed in the database with a key that is not in it.

A sealed value reads `fernet:NAME:TOKEN`: the algorithm, the name of the key (`keys.Key.name`), and what the algorithm made.
A value without names is what older versions sealed: a Fernet token of any key of the ring.
"""

import base64
import hmac
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from musterbook import keys
from musterbook.keys import Key

_ALGORITHM = "fernet"
"""What seals now. Another algorithm gets another word here; `unseal` then reads both."""


def seal(text: str) -> str:
    """Seal the text so that only this installation can read it."""
    token = _box(keys.ring()[0].derive("secrecy")).encrypt(text.encode())
    return f"{beginning()}{token.decode('ascii')}"


def beginning() -> str:
    """Give what every value begins with that is sealed now: the algorithm and the name of the current key."""
    return f"{_ALGORITHM}:{keys.ring()[0].name}:"


def unseal(sealed: str, *, stored: bool = True) -> str:
    """Give the text that was sealed. Raises cryptography.fernet.InvalidToken for what no key of this installation sealed.

    `stored`: False for a value that comes back from outside, such as a cookie: an old key whose signatures are refused, for
    somebody may know it, does not open such a value.
    """
    return _opened(sealed, keys.ring() if stored else keys.accepted())[1]


def sealed_by(sealed: str) -> str:
    """Give the name of the key that sealed the value, "" if it does not say, and no key of the ring reads it."""
    name = _parts(sealed)[1]
    try:
        return name or _opened(sealed, keys.ring())[0].name
    except InvalidToken:
        return ""


def _opened(sealed: str, ring: Iterable[Key]) -> tuple[Key, str]:
    algorithm, name, token = _parts(sealed)
    if algorithm != _ALGORITHM or not token.isascii():
        raise InvalidToken
    for key in ring:
        if name in ("", key.name):
            with suppress(InvalidToken):
                return key, _box(key.derive("secrecy")).decrypt(token.encode("ascii")).decode()
    raise InvalidToken


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
