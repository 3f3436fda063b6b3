"""The folders in which backups, restores and imports of agencies do their work: they hold everything, unencrypted."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from django.conf import settings

from musterbook.config import home
from musterbook.directory.storage import locks

_NAME, _LOCK = ".backup-", ".in-use"
"""How the name of such a folder begins, and the file in it that its process locks until it ends, for any reason."""
_GUARD, _PATIENCE = "work-folders", 10.0
"""The lock of who makes or removes such folders, and the seconds that it is waited for."""
_STALE_SECONDS = 24 * 60 * 60
"""The age at which a folder that has no lock is left over: an older version made it."""


@contextmanager
def open_work_folder() -> Iterator[Path]:
    """Yield a folder for half-done things, on the disk of the installation."""
    folder = home.prepare_folder(settings.MUSTER_HOME)
    with ExitStack() as stack:
        # Nobody looks for leftovers while this folder has no lock yet.
        with locks.hold_named_lock(_GUARD, _PATIENCE) as is_alone:
            if is_alone:
                _remove_leftovers(folder)
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=_NAME)))
            lock = stack.enter_context((work / _LOCK).open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield work


def forget_left(_: datetime) -> None:
    """Remove what a command left that was killed: the worker does it each minute."""
    with locks.hold_named_lock(_GUARD, 0) as is_alone:
        if is_alone:
            _remove_leftovers(settings.MUSTER_HOME)


def _remove_leftovers(folder: Path) -> None:
    """Remove the folders that a process left that was killed: they hold everything, unencrypted."""
    for leftover in folder.glob(f"{_NAME}*"):
        if _is_left(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Return whether the process that made the folder has ended. One of an older version has no lock, and is old then."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        with suppress(FileNotFoundError):
            return folder.stat().st_mtime < time.time() - _STALE_SECONDS
        return False
    except OSError:
        return False  # it is in use, or another user's
    return True
