"""Secrets that must be read again, and so cannot be hashed: sealed in the database by a key that is not in it."""

import base64
import hmac
from functools import cache

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def seal(text: str) -> str:
    """The text as only this installation reads it."""
    return _box(str(settings.SECRET_KEY)).encrypt(text.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    """The text that was sealed. Raises cryptography.fernet.InvalidToken for what this installation has not sealed."""
    return _box(str(settings.SECRET_KEY)).decrypt(sealed.encode("ascii")).decode()


@cache
def _box(key: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"musterbook.secrecy").derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def mark(text: str) -> str:
    """A short mark by which two secrets are told apart, and that tells nothing else of them."""
    return hmac.new(str(settings.SECRET_KEY).encode(), text.encode(), "sha256").hexdigest()[:8]
