"""Secrets that must be read again, and so cannot be hashed: sealed in the database with a key that is not in it.

A sealed value reads `aesgcm:NAME:TOKEN`: the algorithm, the name of the key (`keys.Key.name`), and what the algorithm made, in
base64 for URLs: 12 random bytes, then the ciphertext of AES-256-GCM with its tag. Older versions sealed with Fernet:
`fernet:NAME:TOKEN`, and before that the token alone, of any key of the ring. Both are read.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from musterbook import keys
from musterbook.keys import Key

_ALGORITHM, _BEFORE = "aesgcm", "fernet"
"""What seals now, and what sealed before. `unseal` reads both."""
_PURPOSE = "secrecy-aesgcm"
"""What the keys of AES-GCM are derived for: no key serves two algorithms."""
_NONCE = 12
"""Bytes. With a random one for each value, a key may seal 2^32 values (NIST SP 800-38D)."""


def seal(text: str) -> str:
    """Seal the text so that only this installation can read it."""
    key, nonce = keys.ring()[0], secrets.token_bytes(_NONCE)
    token = nonce + _box(key.derive(_PURPOSE)).encrypt(nonce, text.encode(), None)
    return f"{_beginning(key)}{base64.urlsafe_b64encode(token).decode('ascii')}"


def beginning() -> str:
    """Give what every value begins with that is sealed now: the algorithm and the name of the current key."""
    return _beginning(keys.ring()[0])


def _beginning(key: Key) -> str:
    return f"{_ALGORITHM}:{key.name}:"


def unseal(sealed: str, *, stored: bool = True) -> str:
    """Give the text that was sealed. Raises cryptography.fernet.InvalidToken for what no key of this installation sealed.

    `stored`: False for a value that comes back from outside, such as a cookie: an old key whose signatures are refused, for
    somebody may know it, does not open such a value.
    """
    return _opened(sealed, keys.ring() if stored else keys.accepted())[1]


def unseal_older(sealed: str, key: Key) -> str:
    """Give the text that an older version sealed with that key, of the ring or not. Raises cryptography.fernet.InvalidToken."""
    if not is_older(sealed):
        raise InvalidToken
    return _opened(sealed, (key,))[1]


def is_older(sealed: str) -> bool:
    """Whether an algorithm sealed the value that seals no more."""
    return _parts(sealed)[0] == _BEFORE


def sealed_by(sealed: str) -> str:
    """Give the name of the key that sealed the value, "" if it does not say, and no key of the ring reads it."""
    name = _parts(sealed)[1]
    try:
        return name or _opened(sealed, keys.ring())[0].name
    except InvalidToken:
        return ""


def _opened(sealed: str, ring: Iterable[Key]) -> tuple[Key, str]:
    algorithm, name, token = _parts(sealed)
    if algorithm not in _OPENERS or not token.isascii():
        raise InvalidToken
    for key in ring:
        if name in ("", key.name):
            with suppress(InvalidToken):
                return key, _OPENERS[algorithm](key, token).decode()
    raise InvalidToken


def _open(key: Key, token: str) -> bytes:
    try:
        # Strictly: letters that are not base64 are refused, not skipped.
        told = base64.b64decode(token, altchars=b"-_", validate=True)
        return _box(key.derive(_PURPOSE)).decrypt(told[:_NONCE], told[_NONCE:], None)
    except (binascii.Error, ValueError, InvalidTag):
        raise InvalidToken from None


def _open_older(key: Key, token: str) -> bytes:
    return _older_box(key.derive("secrecy")).decrypt(token.encode("ascii"))


_OPENERS: dict[str, Callable[[Key, str], bytes]] = {_ALGORITHM: _open, _BEFORE: _open_older}


def _parts(sealed: str) -> tuple[str, str, str]:
    algorithm, colon, rest = sealed.partition(":")
    if not colon:
        return _BEFORE, "", sealed
    name, _, token = rest.partition(":")
    return algorithm, name or "unnamed", token


@lru_cache(maxsize=64)
def _box(derived: bytes) -> AESGCM:
    return AESGCM(derived)


@lru_cache(maxsize=64)
def _older_box(derived: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derived))


def mark(text: str) -> str:
    """Give a short mark that tells two secrets apart and reveals nothing else about them."""
    return hmac.new(str(settings.SECRET_KEY).encode(), text.encode(), "sha256").hexdigest()[:8]
