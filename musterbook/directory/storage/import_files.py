"""The files of imports, kept for a limited time next to the database, and after that only by their hash (rule A4)."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from django.conf import settings

DAY = 86_400
"""The seconds in a day."""
NUMBER = r"[0-6][0-9A-HJKMNP-TV-Z]{25}"
"""The form of an import's number, as a regular expression: a ULID (`records.new_number`) of a time before the year 9774."""
_NAME = re.compile(rf"{NUMBER}(\.users)?")
_PART = 1 << 20


class FileGone(Exception):
    """The file of the import is no longer kept."""


def locate(name: str) -> Path:
    """Return where the file of that name is, if it is kept. Raise FileGone for a name that no file of an import has.

    Each path is made here: a number with `..` in it, as a hostile row may have one, never leads to another file.
    """
    if not _NAME.fullmatch(name):
        raise FileGone(name)
    return _prepare_folder() / name


def _prepare_folder() -> Path:
    folder: Path = settings.MUSTER_HOME / "files"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def store_file(number: str, content: bytes | Iterable[bytes]) -> None:
    """Store an import's file whole, readable only by the owner of the installation, and delete expired files.

    `content`: all of it, or its parts. Raise OSError, with nothing kept, if the folder is full or cannot be written to.
    """
    path = locate(number)
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
    delete_expired(datetime.now(UTC))


def adopt_file(number: str, source: Path) -> None:
    """Store an existing file as an import's file, by a second name for the same bytes.

    The caller deletes the first name when the import is recorded, so a crash in between loses nothing. On a file
    system without links, the file is copied. Raise FileNotFoundError if it is gone, and what `store_file` raises.
    """
    try:
        os.link(source, locate(number))
    except OSError:
        _copy_file(number, source)
    else:
        delete_expired(datetime.now(UTC))


def store_copy(number: str, source_number: str) -> None:
    """Copy the file of another import for this one, part by part. Raise FileGone, and what `store_file` raises."""
    _copy_file(number, find_path(source_number))


def _copy_file(number: str, source: Path) -> None:
    with source.open("rb") as file:
        store_file(number, iter(partial(file.read, _PART), b""))


def delete_file(number: str) -> None:
    """Delete the file of an import that did not take place."""
    locate(number).unlink(missing_ok=True)


def delete_expired(at: datetime) -> None:
    """Delete the files that are older than MUSTER_KEEP_FILES_DAYS."""
    before = at.timestamp() - settings.MUSTER_KEEP_FILES_DAYS * DAY
    for path in _prepare_folder().iterdir():
        # Another import may have deleted the file, or another user may own it: this import does not fail for that.
        with suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


def find_path(number: str) -> Path:
    """Return the path of an import's file. Raise FileGone if it is no longer kept."""
    file_path = locate(number)
    if not file_path.exists():
        raise FileGone(number)
    return file_path


def read_content(number: str) -> bytes:
    """Return the whole file of an import. Raise FileGone if it is no longer kept.

    Do not call it in a process that answers requests.
    """
    try:
        return locate(number).read_bytes()
    except FileNotFoundError:
        raise FileGone(number) from None
