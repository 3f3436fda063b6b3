"""The file of the log, `muster.log`: written by many processes, readable by its owner alone, bounded, and read by `doctor`."""

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from musterbook.config import environment
from musterbook.config.home import prepare_folder
from musterbook.config.log_lines import STAMP, format_stamp

NAME = "muster.log"
LARGEST, FILES = 10_000_000, 10
"""The bytes of one file, and the most files: `muster.log`, then the older `muster.log.1` and so on."""
NEW_FILE_AFTER, KEEP_FOR = timedelta(days=30), timedelta(days=90)
"""A file is closed after so long even if it is small, and deleted so long after its last line."""


def path() -> Path:
    """Return the file that is written to."""
    return environment.home() / NAME


def write_stderr(text: str) -> None:
    """Write to standard error what can be written nowhere else."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{text}\n")


def append(text: str) -> None:
    """Append a line, and begin another file when this one is large. Raise OSError if it cannot be written."""
    with _lock():
        if path().exists() and path().stat().st_size >= LARGEST:
            _rotate_files()
        with _open_private(path()) as file:
            file.write(f"{text}\n")


@contextmanager
def _lock() -> Iterator[None]:
    """One process at a time. The lock ends with the process that holds it."""
    with _open_private(prepare_folder(path().parent) / f".{NAME}.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_private(file: Path) -> IO[str]:
    """Return the file, opened to append and readable only by its owner, even if an older version made it readable by all."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(descriptor).st_mode & 0o077:
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "a", encoding="utf-8")


def _rotate_files() -> None:
    for age in range(FILES - 2, 0, -1):
        with suppress(FileNotFoundError):
            _make_older_path(age).replace(_make_older_path(age + 1))
    path().replace(_make_older_path(1))


def _make_older_path(age: int) -> Path:
    return path().with_name(f"{NAME}.{age}")


def tidy(at: datetime) -> None:
    """Close a file that has been open for long, and delete old ones."""
    with _lock():
        begun = _read_first_line(path())[:STAMP]
        if begun and begun < format_stamp(at - NEW_FILE_AFTER):
            _rotate_files()
        for age in range(1, FILES):
            with suppress(FileNotFoundError):
                if _make_older_path(age).stat().st_mtime < (at - KEEP_FOR).timestamp():
                    _make_older_path(age).unlink()


def _read_first_line(file: Path) -> str:
    with suppress(FileNotFoundError), file.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline()
    return ""


def check_writable() -> None:
    """Raise OSError unless the log can be written."""
    with _lock(), _open_private(path()):
        pass


_ERROR = re.compile(rf"[0-9TZ:.-]{{{STAMP}}} (?:ERROR|CRITICAL) ")


def find_errors_since(at: datetime) -> list[str]:
    """Return the heads of all errors from that time on, without their messages: time, level, logger, process, number.

    Raises OSError where the log cannot be read.
    """
    heads: list[str] = []
    for file in (_make_older_path(1), path()):
        if file.exists() and file.stat().st_mtime >= at.timestamp():
            with file.open(encoding="utf-8", errors="replace") as lines:
                heads += [" ".join(line.split(" ", 5)[:5]) for line in lines if _ERROR.match(line)]
    return [head for head in heads if head >= format_stamp(at)]
