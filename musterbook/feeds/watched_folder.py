"""A folder that `muster watch` watches: its files, since when each is as it is, and what else is in it that no one takes.

Only one process at a time watches a folder. Its lock is a file in the folder, and ends with the process.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.feeds import complete
from musterbook.feeds.locations import file_names
from musterbook.feeds.locations.folder import FolderLocation
from musterbook.feeds.locations.location import FoundFile, LocationError, NotAllowed, Unreachable

LOCK = ".muster-watch.lock"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_SKIPPED = 100
_KINDS = (
    (stat.S_ISLNK, gettext_lazy("%(name)s is a link. It is skipped.")),
    (stat.S_ISDIR, gettext_lazy("%(name)s is a folder. It is skipped.")),
    (lambda mode: not stat.S_ISREG(mode), gettext_lazy("%(name)s is not a regular file. It is skipped.")),
)
"""What no one takes, and the sentence about it."""


class FolderBusy(LocationError):
    """Another process watches the folder. The message says which."""


class WatchLock:
    """The lock of a watched folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path, self._file = folder, folder / LOCK, -1

    def hold(self) -> float:
        """Hold the lock, even if its file was removed meanwhile. Return the time by the clock of the folder.

        Raise FolderBusy, and the other errors of a location.
        """
        try:
            if self._file < 0 or not self._is_in_place():
                self.release()
                self._file = self._open()
            os.utime(self._file)
            return os.fstat(self._file).st_mtime_ns / 1_000_000_000
        except OSError as error:
            text = _("The folder %(path)s cannot be used: %(reason)s.")
            raise Unreachable(text % {"path": self._folder, "reason": error.strerror}) from None

    def _open(self) -> int:
        while True:
            file = os.open(self._path, _LOCK_FLAGS, 0o660)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise NotAllowed(_("%(path)s is not a regular file. Remove it.") % {"path": self._path})
                self._lock(file)
                self._file = file
                if self._is_in_place():
                    os.ftruncate(file, 0)
                    os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
                    return file
            except BaseException:
                self._file = -1
                os.close(file)
                raise
            os.close(file)  # it was removed between the two steps

    def _is_in_place(self) -> bool:
        """Return whether the locked file is the one that the next process would find."""
        ours = os.fstat(self._file)
        with suppress(FileNotFoundError):
            there = self._path.lstat()
            return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
        return False

    def _lock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file_names.show(os.pread(file, 100, 0).strip())
            text = _("%(path)s is watched already, by %(owner)s.") if owner else _("%(path)s is watched already.")
            raise FolderBusy(text % {"path": self._folder, "owner": owner}) from None

    def release(self) -> None:
        """End the lock. Its file stays, because another process may have just opened it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class WatchedFolder(FolderLocation):
    """A watched folder. `clock`: the time by the clock of the folder, in seconds. Raise LocationError."""

    def __init__(self, folder: Path, clock: float) -> None:
        super().__init__(folder)
        self._clock = clock
        self.skipped: list[str] = []
        """After `list_files`: one sentence about each thing that no one takes."""
        if not self.moves:
            self.close()
            text = _("The files in %(path)s cannot be moved. Let this account write there.")
            raise NotAllowed(text % {"path": folder})

    def list_files(self) -> list[FoundFile]:
        """Return all regular files here."""
        found = super().list_files()
        odd = [_("%(name)s has a name that cannot be used. It is skipped.") % {"name": name} for name in self.left_out]
        self.skipped = [*odd, *self._describe_others()][:_MOST_SKIPPED]
        return found

    def _describe_others(self) -> Iterator[str]:
        with self._explain_errors(), os.scandir(self._folder) as entries:
            names = sorted((entry.name for entry in entries), key=os.fsencode)
        for name in names:
            if complete.is_temporary(name) or name in ("done", "failed"):
                continue
            with suppress(OSError):
                mode = os.stat(name, dir_fd=self._folder, follow_symlinks=False).st_mode
                sentence = next((sentence for is_kind, sentence in _KINDS if is_kind(mode)), None)
                if sentence:
                    yield sentence % {"name": file_names.show(os.fsencode(name))}

    def find_age(self, found: FoundFile) -> float:
        """Return for how many seconds the file has been here as it is: written, renamed or with other permissions since."""
        with suppress(OSError):
            status = os.stat(found.name, dir_fd=self._folder, follow_symlinks=False)
            # A time of the future is that of another machine's clock, and says nothing.
            times = [time for time in (status.st_ctime, status.st_mtime) if time <= self._clock]
            return self._clock - max(times) if status.st_ctime in times else 0.0
        return 0.0
