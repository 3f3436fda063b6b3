"""Password hashing: costly for attackers, and bounded for the machine, however many users sign in at once.

Each hash takes 19 MiB and some hundredths of a second (argon2id with m=19456, t=2, p=1, as the OWASP Password Storage
Cheat Sheet advises). Each process computes only a few at once. A user whose request waits too long is asked to come
back.
"""

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.contrib.auth import hashers

AT_ONCE = max(2, os.cpu_count() or 1)
"""The number of hashes that one process computes at once. More would only share the processors, and take more
memory."""
PATIENCE = 10.0
"""Seconds to wait for a free slot."""
_SLOTS = BoundedSemaphore(AT_ONCE)


class Busy(Exception):
    """The error for too many password checks at the moment."""


class Argon2(hashers.Argon2PasswordHasher):
    """Argon2id with few hashes at once.

    Hashes with other parameters are still read; a sign-in replaces them.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """Return the hash of the password. Raise Busy if no slot becomes free."""
        with _wait_for_slot():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Return whether the hash matches the password. Raise Busy if no slot becomes free."""
        with _wait_for_slot():
            return super().verify(password, encoded)


@contextmanager
def _wait_for_slot() -> Iterator[None]:
    if not _SLOTS.acquire(timeout=PATIENCE):
        raise Busy
    try:
        yield
    finally:
        _SLOTS.release()


def is_outdated(encoded: str) -> bool:
    """Return whether the hash would be computed differently today."""
    try:
        hasher = hashers.identify_hasher(encoded)
    except ValueError:
        return False
    preferred = hashers.get_hasher("default")
    return hasher.algorithm != preferred.algorithm or preferred.must_update(encoded)


def make_decoy(encoded: str) -> str:
    """Return a hash that no password has, and that takes as long to check as the given one.

    Return "" for a hash of another kind.
    """
    algorithm, _, rest = encoded.partition("$")
    if algorithm != Argon2.algorithm or rest.count("$") != 4:
        return ""
    *parameters, salt, digest = rest.split("$")
    return "$".join([algorithm, *parameters, _make_random(salt), _make_random(digest)])


def _make_random(like: str) -> str:
    """Return random bytes in Base64, as many as the text represents."""
    number = len(like) * 3 // 4
    return base64.b64encode(secrets.token_bytes(number)).decode("ascii").rstrip("=")
