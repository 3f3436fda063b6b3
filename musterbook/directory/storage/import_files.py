"""The files of imports, kept for a while beside the database, and after that only by their hash (rule A4)."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from django.conf import settings

DAY = 86_400
"""Seconds of a day."""
_PART = 1 << 20


class FileGone(Exception):
    """The import's file is kept no longer."""


def _folder() -> Path:
    folder: Path = settings.MUSTER_HOME / "files"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def keep(number: str, content: bytes | Iterable[bytes]) -> None:
    """Keeps an import's file whole, readable by the owner of the installation alone; and lets go of those past their time.

    `content`: all of it, or its parts. Raises OSError, with nothing kept, where the folder is full or may not be written to.
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


def keep_copy(number: str, of: str) -> None:
    """Keeps for an import the file of another, part by part. Raises FileGone, and what `keep` raises."""
    with path(of).open("rb") as file:
        keep(number, iter(partial(file.read, _PART), b""))


def let_go(number: str) -> None:
    """Lets go of the file of an import that came to nothing."""
    (_folder() / number).unlink(missing_ok=True)


def forget_old(at: datetime) -> None:
    """Deletes the files that are kept for longer than MUSTER_KEEP_FILES_DAYS."""
    before = at.timestamp() - settings.MUSTER_KEEP_FILES_DAYS * DAY
    for path in _folder().iterdir():
        # Another import may have let it go, or somebody else owns it: no reason to fail this one.
        with suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


def path(number: str) -> Path:
    """Where the file of an import is. Raises FileGone if it is kept no longer."""
    found = _folder() / number
    if not found.exists():
        raise FileGone(number)
    return found


def content(number: str) -> bytes:
    """The file of an import, whole: not for a process that answers requests. Raises FileGone if it is kept no longer."""
    try:
        return (_folder() / number).read_bytes()
    except FileNotFoundError:
        raise FileGone(number) from None
