"""The installation's secret keys: the current one, which seals and signs, and old ones, which only read what they sealed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured

from musterbook.config import environment, home

OLD_FILE = "old-secret-keys"
"""The file in MUSTER_HOME that holds old keys, one a line: the key, a tab, when it was replaced, a tab, SIGNS or READS."""

SIGNS, READS = "signs", "reads"
"""What an old key may still do: have its signatures accepted for SIGNS_FOR, or only read what it sealed."""

SIGNS_FOR = timedelta(days=30)
"""How long after a routine rotation sessions and links that were signed with the old key are accepted."""

SHORTEST, LEAST_DIFFERENT = 32, 10
"""The fewest characters of a key, and the fewest different ones."""

NEW_KEY = 'python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
"""The command that makes a strong key."""

_REPEATED = re.compile(r"(.+?)\1+.{0,16}", re.DOTALL)
_WRITTEN = re.compile(
    r"insecure|change|replace|secret|password|example|django|muster|please|qwerty|1234567|abcdefg", re.IGNORECASE
)
"""What keys hold that somebody wrote, or copied from a manual. Of a million keys made by chance not one does."""
_Stamp: TypeAlias = tuple[int, int, int] | None
_State: TypeAlias = tuple[tuple[str, ...], tuple[_Stamp, ...]]


@dataclass(frozen=True, slots=True)
class Key:
    """One secret key. Only `name` and `source` may be shown to people."""

    secret: str = field(repr=False)
    source: str
    signs_until: datetime | None = None
    """For an old key: the time at which its signatures stop being accepted. None: they are not accepted."""

    @property
    def name(self) -> str:
        """The public name of the key: 10 hexadecimal digits, from which the key cannot be computed."""
        return self.derive("key-name")[:5].hex()

    def derive(self, purpose: str) -> bytes:
        """Give the 32 bytes (HKDF-SHA256) that serve as the key of one purpose."""
        return _derive(self.secret, purpose)


@lru_cache(maxsize=64)
def _derive(secret: str, purpose: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=f"musterbook.{purpose}".encode()).derive(secret.encode())


def ring() -> tuple[Key, ...]:
    """Give all keys: the current one first, then old ones. Raises ImproperlyConfigured for a key that is missing or weak.

    Files are read again as soon as they change, so running processes use a new key at once.
    """
    global _ring  # noqa: PLW0603  (the one place that keeps what was read)
    # The stamps come before the reading: a file that changes in between is read again next time.
    state = _read_state()
    if _ring is not None and _ring[0] == state:
        return _ring[1]
    keys, is_new = _read_ring(), find_key_file() is not None and state[1][0] is None
    _ring = None if is_new else (state, keys)
    return keys


_ring: tuple[_State, tuple[Key, ...]] | None = None


def list_accepted() -> tuple[Key, ...]:
    """Give the keys whose signatures are accepted now: the current one, and old ones for SIGNS_FOR."""
    first, *old = ring()
    now = datetime.now(UTC)
    return first, *(key for key in old if key.signs_until and key.signs_until > now)


def get_current() -> str:
    """Give the current key itself; Django's SECRET_KEY."""
    return ring()[0].secret


class Fallbacks(list[str]):
    """Old keys whose signatures are accepted now; Django's SECRET_KEY_FALLBACKS, which must be a list."""

    def __iter__(self) -> Iterator[str]:
        return iter([key.secret for key in list_accepted()[1:]])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def find_weakness(secret: str) -> str:
    """Say what makes the key too weak, "" for one that is strong enough."""
    if len(secret) < SHORTEST:
        return f"has {len(secret)} characters, and needs at least {SHORTEST}"
    if len(set(secret)) < LEAST_DIFFERENT:
        return f"has {len(set(secret))} different characters, and needs at least {LEAST_DIFFERENT}"
    if _REPEATED.fullmatch(secret):
        return "repeats itself"
    if word := _WRITTEN.search(secret):
        return f"holds “{word[0]}”, as keys do that somebody wrote"
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(secret)]
    return "is a sequence" if sum(step <= 1 for step in steps) > len(steps) / 2 else ""


def find_key_file() -> Path | None:
    """Give the file that holds the current key if Musterbook keeps it, None if it comes from the environment."""
    given = any(environment.text(name) for name in ("MUSTER_SECRET_KEY", "MUSTER_SECRET_KEY_FILE"))
    return None if given else environment.home() / home.KEY_FILE


def _read_state() -> _State:
    names = ("MUSTER_HOME", "MUSTER_SECRET_KEY", "MUSTER_SECRET_KEY_FILE", "MUSTER_OLD_SECRET_KEYS")
    values = tuple(environment.text(name) for name in names)
    folder = environment.home()
    own = Path(values[2]) if values[2] else folder / home.KEY_FILE
    return (str(folder), *values), tuple(_read_stamp(path) for path in (own, folder / OLD_FILE))


def _read_stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read_ring() -> tuple[Key, ...]:
    current_key = _read_current()
    known, keys = {current_key.secret}, [current_key]
    for key in (*_parse_given_old(), *read_kept_old()):
        if key.secret not in known:
            known.add(key.secret)
            keys.append(key)
    return tuple(keys)


def _read_current() -> Key:
    given, path = environment.text("MUSTER_SECRET_KEY"), environment.text("MUSTER_SECRET_KEY_FILE")
    if given and path:
        raise ImproperlyConfigured("MUSTER_SECRET_KEY and MUSTER_SECRET_KEY_FILE are both set. Unset one of them.")
    own = environment.home() / home.KEY_FILE
    if given:
        key = Key(given, "MUSTER_SECRET_KEY")
    elif path:
        key = Key(_read_key(Path(path)), f"the file {path} (MUSTER_SECRET_KEY_FILE)")
    else:
        key = Key(_read_own(own), f"the file {own}")
    fault = find_weakness(key.secret)
    if fault:
        raise ImproperlyConfigured(
            f"The secret key of {key.source} {fault}. Make a new one: {NEW_KEY}. If the old one is in use, "
            "put it into MUSTER_OLD_SECRET_KEYS, so that what it sealed can be read."
        )
    return key


def _read_own(path: Path) -> str:
    try:
        return home.read_or_make_key(path.parent)
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"The secret key in {path} cannot be read: it is not text. Restore it.") from None


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ImproperlyConfigured(f"The file {path} of MUSTER_SECRET_KEY_FILE cannot be read: {reason}.") from None


def _parse_given_old() -> list[Key]:
    given = environment.text("MUSTER_OLD_SECRET_KEYS").split(",")
    return [Key(secret.strip(), "MUSTER_OLD_SECRET_KEYS") for secret in given if secret.strip()]


def read_kept_old() -> list[Key]:
    """Give the old keys of the file in MUSTER_HOME. Raises ImproperlyConfigured for a line that cannot be read."""
    path = environment.home() / OLD_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ImproperlyConfigured(f"The old keys cannot be read: {'. '.join(home.explain_error(error))}") from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"The file {path} of old keys cannot be read: it is not text. Restore it.") from None
    return [_parse_old(line, number, path) for number, line in enumerate(lines, 1) if line.strip()]


def _parse_old(line: str, number: int, path: Path) -> Key:
    secret, replaced, use = (*line.strip().split("\t"), "", "")[:3]
    if not replaced or use == READS:
        return Key(secret, f"the file {path}")
    try:
        until = datetime.fromisoformat(replaced) + SIGNS_FOR
        if use != SIGNS or until.tzinfo is None:
            raise ValueError
    except ValueError:
        fault = "is not a key, a tab, the time it was replaced, a tab, and “signs” or “reads”"
        raise ImproperlyConfigured(f"Line {number} of {path} {fault}. Correct the line.") from None
    return Key(secret, f"the file {path}", until)
