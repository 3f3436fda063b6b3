"""A list of refused passwords in a file, such as the breached ones of Have I Been Pwned, searched without reading it whole.

The file is sorted by bytes (`LC_ALL=C sort -u`). Each line is a password, or the SHA-1 of one in capital hexadecimal digits,
with or without `:count` after it. Fifty gigabytes take some 36 short reads.
"""

import hashlib
import logging
import re
from pathlib import Path
from typing import BinaryIO

_LOG = logging.getLogger(__name__)
_SHA1 = re.compile(rb"[0-9A-Fa-f]{40}(:\d+)?\Z")
_LONGEST = 4096
"""More bytes than any line has."""
_SMALL = 1_000_000


def contains(path: Path, password: str) -> bool:
    """Whether the password is in the file, as it is or in lower case. Logs a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return any(_has(file, sought) for sought in _sought(file, password))
    except OSError as error:
        _LOG.error("The list of refused passwords cannot be read: %s", error)
        return False


def _sought(file: BinaryIO, password: str) -> list[bytes]:
    forms = {password.encode(), password.casefold().encode()}
    if not _hashes(file):
        return list(forms)
    return [hashlib.sha1(form).hexdigest().upper().encode() for form in forms]  # noqa: S324  (as such lists have them)


def _hashes(file: BinaryIO) -> bool:
    file.seek(0)
    return _SHA1.match(file.readline(_LONGEST).rstrip(b"\r\n")) is not None


def _has(file: BinaryIO, sought: bytes) -> bool:
    """Looks for a line by halving: `low` is the beginning of a line, and what is sought is before `high`."""
    low, high = 0, file.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        line, begins, ends = _line(file, low, middle)
        if line == sought:
            return True
        low, high = (ends, high) if line < sought else (low, begins)
    return False


def _line(file: BinaryIO, low: int, middle: int) -> tuple[bytes, int, int]:
    """The line that holds the byte at `middle`: without its count, and where it begins and ends."""
    start = max(low, middle - _LONGEST)
    file.seek(start)
    begins = start + file.read(middle - start).rfind(b"\n") + 1
    file.seek(begins)
    line = file.readline(_LONGEST)
    return _told(line), begins, begins + max(len(line), 1)


def _told(line: bytes) -> bytes:
    """What a line says: a password, or a hash without its count."""
    told = line.rstrip(b"\r\n")
    return told.upper().partition(b":")[0] if _SHA1.match(told) else told


def fault(path: Path) -> str:
    """What is wrong with the file; "" if nothing is. Reads a small file whole, and of a large one a thousand lines."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            lines = _sample(file, size)
    except OSError as error:
        return f"It cannot be read: {error.strerror}."
    if not size:
        return "It is empty."
    return "" if lines == sorted(lines) else "It is not sorted by bytes. Sort it: LC_ALL=C sort -u."


def _sample(file: BinaryIO, size: int) -> list[bytes]:
    if size > _SMALL:
        return [_line(file, 0, size * part // 1000)[0] for part in range(1000)]
    file.seek(0)
    return [_told(line) for line in file]
