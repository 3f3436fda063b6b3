"""The files of imports, kept for a limited time next to the database, and after that only by their hash (rule A4)."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from django.conf import settings

DAY = 86_400
"""The seconds in a day."""
_PART = 1 << 20


class FileGone(Exception):
    """The file of the import is no longer kept."""


def _folder() -> Path:
    folder: Path = settings.MUSTER_HOME / "files"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def keep(number: str, content: bytes | Iterable[bytes]) -> None:
    """Store an import's file whole, readable only by the owner of the installation, and delete expired files.

    `content`: all of it, or its parts. Raise OSError, with nothing kept, if the folder is full or cannot be written to.
    """
    path = _folder() / number
    try:
        path.touch(mode=0o600)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            with path.open("wb") as file:
                file.writelines(content)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
    forget_old(datetime.now(UTC))


def adopt(number: str, source: Path) -> None:
    """Store an existing file as an import's file, by a second name for the same bytes.

    The caller deletes the first name when the import is recorded, so a crash in between loses nothing. On a file
    system without links, the file is copied. Raise FileNotFoundError if it is gone, and what `keep` raises.
    """
    try:
        os.link(source, _folder() / number)
    except OSError:
        _copy(number, source)
    else:
        forget_old(datetime.now(UTC))


def keep_copy(number: str, of: str) -> None:
    """Copy the file of another import for this one, part by part. Raise FileGone, and what `keep` raises."""
    _copy(number, path(of))


def _copy(number: str, source: Path) -> None:
    with source.open("rb") as file:
        keep(number, iter(partial(file.read, _PART), b""))


def let_go(number: str) -> None:
    """Delete the file of an import that did not take place."""
    (_folder() / number).unlink(missing_ok=True)


def forget_old(at: datetime) -> None:
    """Delete the files that are older than MUSTER_KEEP_FILES_DAYS."""
    before = at.timestamp() - settings.MUSTER_KEEP_FILES_DAYS * DAY
    for path in _folder().iterdir():
        # Another import may have deleted the file, or another user may own it: this import does not fail for that.
        with suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


def path(number: str) -> Path:
    """Return the path of an import's file. Raise FileGone if it is no longer kept."""
    found = _folder() / number
    if not found.exists():
        raise FileGone(number)
    return found


def content(number: str) -> bytes:
    """Return the whole file of an import. Raise FileGone if it is no longer kept.

    Do not call it in a process that answers requests.
    """
    try:
        return (_folder() / number).read_bytes()
    except FileNotFoundError:
        raise FileGone(number) from None
