"""A file of refused passwords, such as the breached ones of Have I Been Pwned.

It is searched without reading all of it. The file is sorted by bytes (`LC_ALL=C sort -u`). Each line is a password, or
the SHA-1 of one in uppercase hexadecimal digits, with or without `:count` after it. A search in fifty gigabytes takes
about 36 short reads.
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
    """Return whether the file has the password, as it is or in lower case. Log a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return any(_has_line(file, target) for target in _list_lines(file, password))
    except OSError as error:
        _LOG.error("The list of refused passwords cannot be read: %s", error)
        return False


def _list_lines(file: BinaryIO, password: str) -> list[bytes]:
    forms = {password.encode(), password.casefold().encode()}
    if not _has_hashes(file):
        return list(forms)
    return [hashlib.sha1(form).hexdigest().upper().encode() for form in forms]  # noqa: S324  (such lists use SHA-1)


def _has_hashes(file: BinaryIO) -> bool:
    file.seek(0)
    return _SHA1.match(file.readline(_LONGEST).rstrip(b"\r\n")) is not None


def _has_line(file: BinaryIO, target: bytes) -> bool:
    """Search for a line by bisection.

    `low` is the beginning of a line, and the sought line is before `high`.
    """
    low, high = 0, file.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        line, begins, ends = _read_line(file, low, middle)
        if line == target:
            return True
        low, high = (ends, high) if line < target else (low, begins)
    return False


def _read_line(file: BinaryIO, low: int, middle: int) -> tuple[bytes, int, int]:
    """Return the line that contains the byte at `middle`, without its count, and its beginning and end."""
    start = max(low, middle - _LONGEST)
    file.seek(start)
    begins = start + file.read(middle - start).rfind(b"\n") + 1
    file.seek(begins)
    line = file.readline(_LONGEST)
    return _strip_count(line), begins, begins + max(len(line), 1)


def _strip_count(line: bytes) -> bytes:
    """Return the content of a line: a password, or a hash without its count."""
    content = line.rstrip(b"\r\n")
    return content.upper().partition(b":")[0] if _SHA1.match(content) else content


def find_fault(path: Path) -> str:
    """Return the fault of the file, or "" if there is none.

    Read all of a small file, and a thousand lines of a large one.
    """
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
        return [_read_line(file, 0, size * part // 1000)[0] for part in range(1000)]
    file.seek(0)
    return [_strip_count(line) for line in file]
