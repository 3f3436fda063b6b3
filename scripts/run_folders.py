"""The folder of all temporary files of a run of tests. It goes when the run ends, or if that is killed, when another one begins.

Tests kill processes, and what a killed process has begun stays behind. So does what a run that is killed has begun itself.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_NAME = "muster-run-"
_YOUNG = 60.0
"""The seconds in which a folder may be there before its process has locked it."""


def make_folder(parent: Path) -> Path:
    """Make a folder for this run, after the removal of those of runs that were killed. All users may write into it."""
    for old in parent.glob(f"{_NAME}*"):
        if _is_left(old):
            shutil.rmtree(old, ignore_errors=True)
    folder, owner = Path(tempfile.mkdtemp(prefix=_NAME, dir=parent)), os.getpid()
    folder.chmod(0o1777)  # as the usual folder is: PostgreSQL, and some tests, run as other users
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)  # until the process ends

    def remove() -> None:
        if os.getpid() == owner:  # a fork does not own it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def is_used() -> bool:
    """Return whether the temporary files of this process are in such a folder."""
    return _NAME in tempfile.gettempdir()


def use_folder(folder: Path) -> None:
    """Have all temporary files of this process, and of those that it starts, in the folder."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def _is_left(folder: Path) -> bool:
    """Return whether the process that made the folder has ended."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False  # it is gone, another user's, or something else, such as a pipe that nobody opens at its other end
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return time.time() - os.fstat(number).st_mtime > _YOUNG
    finally:
        os.close(number)
