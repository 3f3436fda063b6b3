"""Encryption of secrets that must be read again, and therefore cannot be hashed. The key is not in the database.

A sealed value has the form `aesgcm:NAME:TOKEN`: the algorithm, the name of the key (`keys.Key.name`), and the output of
the algorithm in URL-safe base64: 12 random bytes, then the ciphertext of AES-256-GCM with its tag. Older versions
sealed with Fernet: `fernet:NAME:TOKEN`, and before that only the token, with any key of the ring. Both forms can be
read.
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

from musterbook.config import secret_keys
from musterbook.config.secret_keys import Key

_ALGORITHM, _OLD_ALGORITHM = "aesgcm", "fernet"
"""The current algorithm, and the older one. `unseal` reads both."""
_PURPOSE = "secrecy-aesgcm"
"""The purpose from which the keys of AES-GCM are derived, so that no key is used for two algorithms."""
_NONCE = 12
"""The length of the nonce in bytes. A key may seal 2^32 values with random nonces (NIST SP 800-38D)."""


def seal(text: str) -> str:
    """Seal the text so that only this installation can read it."""
    key, nonce = secret_keys.ring()[0], secrets.token_bytes(_NONCE)
    token = nonce + _make_cipher(key.derive(_PURPOSE)).encrypt(nonce, text.encode(), None)
    return f"{_make_prefix(key)}{base64.urlsafe_b64encode(token).decode('ascii')}"


def get_prefix() -> str:
    """Return the prefix of every value that is sealed now: the algorithm and the name of the current key."""
    return _make_prefix(secret_keys.ring()[0])


def _make_prefix(key: Key) -> str:
    return f"{_ALGORITHM}:{key.name}:"


def unseal(sealed: str, *, stored: bool = True) -> str:
    """Return the text that was sealed.

    Raise cryptography.fernet.InvalidToken for a value that no key of this installation sealed. `stored`: False for
    a value that comes back from outside, such as a cookie. An old key whose signatures are refused does not open
    such a value, because another person may know that key.
    """
    return _try_keys(sealed, secret_keys.ring() if stored else secret_keys.list_accepted())[1]


def unseal_older(sealed: str, key: Key) -> str:
    """Give the text that an older version sealed with that key, of the ring or not. Raises cryptography.fernet.InvalidToken."""
    if not is_older(sealed):
        raise InvalidToken
    return _try_keys(sealed, (key,))[1]


def is_older(sealed: str) -> bool:
    """Return whether the value was sealed with an algorithm that is no longer used for sealing."""
    return _split_sealed(sealed)[0] == _OLD_ALGORITHM


def find_key_name(sealed: str) -> str:
    """Return the name of the key that sealed the value.

    Return "" if the value has no name and no key of the ring can read it.
    """
    name = _split_sealed(sealed)[1]
    try:
        return name or _try_keys(sealed, secret_keys.ring())[0].name
    except InvalidToken:
        return ""


def _try_keys(sealed: str, ring: Iterable[Key]) -> tuple[Key, str]:
    algorithm, name, token = _split_sealed(sealed)
    if algorithm not in _OPENERS or not token.isascii():
        raise InvalidToken
    for key in ring:
        if name in ("", key.name):
            with suppress(InvalidToken):
                return key, _OPENERS[algorithm](key, token).decode()
    raise InvalidToken


def _open(key: Key, token: str) -> bytes:
    try:
        # Decode strictly: characters that are not base64 are refused, not skipped.
        data = base64.b64decode(token, altchars=b"-_", validate=True)
        return _make_cipher(key.derive(_PURPOSE)).decrypt(data[:_NONCE], data[_NONCE:], None)
    except (binascii.Error, ValueError, InvalidTag):
        raise InvalidToken from None


def _open_older(key: Key, token: str) -> bytes:
    return _make_old_cipher(key.derive("secrecy")).decrypt(token.encode("ascii"))


_OPENERS: dict[str, Callable[[Key, str], bytes]] = {_ALGORITHM: _open, _OLD_ALGORITHM: _open_older}


def _split_sealed(sealed: str) -> tuple[str, str, str]:
    algorithm, colon, rest = sealed.partition(":")
    if not colon:
        return _OLD_ALGORITHM, "", sealed
    name, _, token = rest.partition(":")
    return algorithm, name or "unnamed", token


@lru_cache(maxsize=64)
def _make_cipher(derived: bytes) -> AESGCM:
    return AESGCM(derived)


@lru_cache(maxsize=64)
def _make_old_cipher(derived: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derived))


def make_fingerprint(text: str) -> str:
    """Return a short mark that distinguishes two secrets and reveals nothing else about them."""
    return hmac.new(str(settings.SECRET_KEY).encode(), text.encode(), "sha256").hexdigest()[:8]
